"""The settings.json files of this process: which ones there are, in which order, and what they say."""

from __future__ import annotations

import functools
import json
import os
import stat
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from json import JSONDecoder
from pathlib import Path
from typing import Any

from b2luigi.core.known_settings import UnknownSettingWarning, doubt, wrong

FILE_NAME = "settings.json"
ONLY_FILE = "B2LUIGI_SETTINGS_JSON"
"""Environment variable naming the one file to read instead of searching."""
FIRST_FILES = "B2LUIGI_SETTINGS_FILES"
"""Environment variable of a job: the files of the submit host in order, joined by `os.pathsep`."""

FRESH = 0.5
"""Seconds for which a run of jobs believes what it has read."""

_Signature = tuple[int, int, int]
_read_files: dict[str, tuple[_Signature, dict[str, Any]]] = {}


class Glances:
    """While it is entered, the files are looked for twice a second at most, not at each question for a setting.

    A run of ten thousand tasks asks some hundred thousand times. `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._found: list[dict[str, Any]] = []

    def __enter__(self) -> Glances:
        _glances.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _glances.remove(self)

    def contents(self) -> list[dict[str, Any]]:
        """Like the function of this name."""
        if self._clock() >= self._until:
            self._found = list(_contents())
            self._until = self._clock() + FRESH
        return self._found


_glances: list[Glances] = []


def settings_files() -> list[Path]:
    """The settings files in use, the one that wins first, as absolute paths.

    settings.json is looked for in the current folder and above, then in the folder of the script and above.
    B2LUIGI_SETTINGS_JSON names one file to use instead. In a job, the files of the submit host come first.
    Raises FileNotFoundError if the file named is not there, PermissionError if one found can not be trusted.
    """
    return [Path(path) for path, _ in _existing()]


def contents() -> Iterable[dict[str, Any]]:
    """What each of the `settings_files` says, in their order; a file is read again only when it changed."""
    return _glances[-1].contents() if _glances else _contents()


def _contents() -> Iterator[dict[str, Any]]:
    for path, status in _existing():
        yield _content(path, status)


def _existing() -> Iterator[tuple[str, os.stat_result]]:
    named = os.environ.get(ONLY_FILE, "")
    current = _current_folder()
    candidates = _candidates(os.environ.get(FIRST_FILES, ""), named, current, _script_folder(current))
    for path, was_named in candidates:
        status = _status(path)
        if status is not None:
            if not was_named:
                _refuse_if_foreign(path, status)
            yield path, status
    if named and _status(os.path.abspath(named)) is None:
        raise FileNotFoundError(f"{ONLY_FILE} names {named}, which is not there: correct or unset the variable.")


@functools.lru_cache(maxsize=64)
def _candidates(first: str, named: str, current: str, script: str) -> tuple[tuple[str, bool], ...]:
    """All paths worth a look, in order, and whether the path was named and not just come upon."""
    chosen = [*filter(None, first.split(os.pathsep)), *filter(None, [named])]
    paths = {os.path.normpath(os.path.join(current, path)): True for path in chosen}
    for folder in () if named else (current, script):
        for path in _upwards(folder):
            paths.setdefault(path, False)
    return tuple(paths.items())


def _upwards(folder: str) -> Iterator[str]:
    """The path of a settings.json in the folder and in each one above, without the root."""
    while folder and folder != os.path.dirname(folder):
        yield os.path.join(folder, FILE_NAME)
        folder = os.path.dirname(folder)


@functools.lru_cache(maxsize=8)
def _folder_of(script: str, current: str) -> str:
    return os.path.dirname(os.path.normpath(os.path.join(current, script)))


def _current_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # somebody removed the folder we are in
        return ""


def _script_folder(current: str) -> str:
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return _folder_of(script, current) if script else ""


def _status(path: str) -> os.stat_result | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _refuse_if_foreign(path: str, status: os.stat_result) -> None:
    """Settings name programs to run: a stranger must not be able to put some in our way, as in /tmp."""
    if status.st_uid in (0, os.geteuid()):
        return
    folder = os.path.dirname(path)
    if os.stat(folder).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            f"{path} belongs to another user (uid {status.st_uid}), and others may write into {folder}: "
            f"its settings are not used. Remove it, work elsewhere, or name the file to use in {ONLY_FILE}."
        )


def _content(path: str, status: os.stat_result) -> dict[str, Any]:
    signature = (status.st_mtime_ns, status.st_size, status.st_ino)
    known = _read_files.get(path)
    if known is None or known[0] != signature:
        known = _read_files[path] = (signature, _read(path))
    return known[1]


def _read(path: str) -> dict[str, Any]:
    text = _text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise _unreadable(path, error.lineno, error.colno, f"not valid JSON ({error.msg})") from error
    if not isinstance(content, dict):
        raise _unreadable(path, 1, 1, f"a JSON object {{...}} was expected, not a {type(content).__name__}")
    _check(path, text, content)
    return content


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        raise _unreadable(path, line, column, "not text in UTF-8") from error


def _check(path: str, text: str, content: dict[str, Any]) -> None:
    """Refuses values of a wrong kind, and warns about names that are probably mistakes."""
    for key, value in content.items():
        problem, doubtful = wrong(key, value), doubt(key)
        if problem:
            raise ValueError(f"{path}, line {_line_of(key, text)}: {problem}. Please correct the file.")
        if doubtful:
            warnings.warn(UnknownSettingWarning(f"{path}, line {_line_of(key, text)}: {doubtful}"), stacklevel=2)


def _line_of(key: str, text: str) -> int:
    """The line on which the value of a key begins to be told: that of the key, the last one if there are several."""
    return max(text.count("\n", 0, place) + 1 for name, place in _keys(text) if name == key)


def _keys(text: str) -> Iterator[tuple[str, int]]:
    """The keys of the outermost object of a valid JSON text, and where each begins."""
    decode = JSONDecoder().raw_decode
    place = text.index("{") + 1
    while text[place := _skip(text, place)] != "}":
        key, end = decode(text, place)
        yield key, place
        _, place = decode(text, _skip(text, end))


def _skip(text: str, place: int) -> int:
    """The place of what comes next: only blanks, a colon or a comma can stand before it."""
    while text[place] in " \t\r\n:,":
        place += 1
    return place


def _unreadable(path: str, line: int, column: int, what: str) -> ValueError:
    return ValueError(f"{path}, line {line}, column {column}: {what}. Please correct the file.")
