"""The settings.json files of this process: where they are, and in which order they apply."""

from __future__ import annotations

import functools
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from b2luigi.core.bad_input import BadInputError, NoSettingsFileError, UntrustedFileError
from b2luigi.core.script import script_folder
from b2luigi.core.settings_json import read_settings

FILE_NAME = "settings.json"
ONLY_FILE = "B2LUIGI_SETTINGS_JSON"
"""Environment variable that names the one file to read instead of searching."""
FIRST_FILES = "B2LUIGI_SETTINGS_FILES"
"""Environment variable of a job: the files of the submit host in order, joined by `os.pathsep`."""

CACHE_SECONDS = 0.5
"""How long a run trusts the content it has read before it checks the files again."""

logger = logging.getLogger("luigi-interface.b2luigi")

_Signature = tuple[int, int, int]
_read_files: dict[str, tuple[_Signature, dict[str, Any]]] = {}


class SettingsCache:
    """While entered, the files are checked at most twice a second instead of for each setting that is read.

    A run of ten thousand tasks reads settings a few hundred thousand times, and the node of a job on a slow disk some
    twenty times. `clock` returns seconds, `valid_for` is how many of them the content is trusted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, valid_for: float = CACHE_SECONDS) -> None:
        self._clock, self._valid_for = clock, valid_for
        self._valid_until = float("-inf")
        self._paths: list[Path] = []
        self._contents: list[dict[str, Any]] | None = None
        self._problem = ""

    def __enter__(self) -> SettingsCache:
        _caches.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _caches.remove(self)

    def paths(self) -> list[Path]:
        """Like `settings_files`, but cached."""
        self.contents()
        return list(self._paths)

    def contents(self) -> list[dict[str, Any]]:
        """Like the function of this name, but cached. Files that someone is editing count again once they are valid."""
        if self._contents is None or self._clock() >= self._valid_until:
            self._contents = self._look(self._contents)
            self._valid_until = self._clock() + self._valid_for
        return self._contents

    def _look(self, known: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        try:
            found = list(_existing())
            contents = [_content(path, status) for path, status in found]
        except BadInputError as error:
            if known is None:
                raise
            if str(error) != self._problem:
                self._problem = str(error)
                logger.warning("The settings of this run stay as they were: %s", error)
            return known
        self._paths = [Path(path) for path, _ in found]
        return contents


_caches: list[SettingsCache] = []


def settings_files() -> list[Path]:
    """The settings files in use, in order of precedence, as absolute paths.

    settings.json is searched for in the current folder and its parents, then in the folder of the script and its
    parents. B2LUIGI_SETTINGS_JSON names one file to use instead. In a job, the files of the submit host come first.
    Raises FileNotFoundError if the named file does not exist, PermissionError if a file found cannot be trusted.
    """
    return _caches[-1].paths() if _caches else [Path(path) for path, _ in _existing()]


def contents() -> Iterable[dict[str, Any]]:
    """The content of each of the `settings_files`, in their order; a file is read again only if it changed."""
    return _caches[-1].contents() if _caches else (_content(path, status) for path, status in _existing())


def _existing() -> Iterator[tuple[str, os.stat_result]]:
    named = os.environ.get(ONLY_FILE, "")
    current = current_folder()
    candidates = _candidates(os.environ.get(FIRST_FILES, ""), named, current, script_folder())
    for path, was_named in candidates:
        status = _status(path)
        if status is not None:
            if not was_named:
                _refuse_if_foreign(path, status)
            yield path, status
    if named and _status(os.path.abspath(named)) is None:
        what = "is not a file" if os.path.exists(named) else "does not exist"
        raise NoSettingsFileError(f"{ONLY_FILE} names {named}, which {what}: correct or unset the variable.")


@functools.lru_cache(maxsize=64)
def _candidates(first: str, named: str, current: str, script: str) -> tuple[tuple[str, bool], ...]:
    """All paths to check, in order, and whether the user named the path explicitly."""
    chosen = [*filter(None, first.split(os.pathsep)), *filter(None, [named])]
    paths = {os.path.normpath(os.path.join(current, path)): True for path in chosen}
    for folder in () if named else (current, script):
        for path in _upwards(folder):
            paths.setdefault(path, False)
    return tuple(paths.items())


def _upwards(folder: str) -> Iterator[str]:
    """The path of a settings.json in the folder and in each of its parents, except the root."""
    while folder and folder != os.path.dirname(folder):
        yield os.path.join(folder, FILE_NAME)
        folder = os.path.dirname(folder)


def current_folder() -> str:
    """The current folder; empty if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _status(path: str) -> os.stat_result | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _refuse_if_foreign(path: str, status: os.stat_result) -> None:
    """Settings name programs to run, so a file that another user may have planted, as in /tmp, is rejected."""
    if status.st_uid in (0, os.geteuid()):
        return
    folder = os.path.dirname(path)
    if os.stat(folder).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UntrustedFileError(
            f"{path} belongs to another user (uid {status.st_uid}), and others can write to {folder}: its settings "
            f"are not used. Remove it, work in another folder, or name the file to use in {ONLY_FILE}."
        )


def _content(path: str, status: os.stat_result) -> dict[str, Any]:
    signature = (status.st_mtime_ns, status.st_size, status.st_ino)
    cached = _read_files.get(path)
    if cached is None or cached[0] != signature:
        cached = _read_files[path] = (signature, read_settings(path))
    return cached[1]
