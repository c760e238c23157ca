"""Record: one try to run a task as a job, as files beside the job script."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.outcome import Outcome
from b2luigi.batch.attempts.tokens import new_token
from b2luigi.batch.attempts.users import foreign_owner
from b2luigi.core.files import create_atomically, in_folder, read_text, replace_end, write_atomically
from b2luigi.core.json_text import quoted, text_of

FORMAT = 1
LARGEST_OUTCOME = 64 * 1024 * 1024
"""Bytes of an outcome file that are read at most."""
_RECORD = re.compile(r"attempt-(\d{1,9})\.json")
_TOKEN = re.compile(r"[0-9a-f]{16}")
_OF_TOKEN = re.compile(r"([0-9a-f]{16})\.(outcome|begun|inside|progress|marker|stdout|stderr|void)")
_TORN = re.compile(r"\.(attempt-\d{1,9}\.json|executable_wrapper\.sh|[0-9a-f]{16}\.\w+)\.[0-9a-f]{8}")
TORN_AFTER = 2.0
"""Seconds after which a temporary file, which takes a moment to write, is one whose writer was killed."""
REMEMBERED = 24 * 3600.0
"""Seconds for which a batch system may still start the job of an attempt that was given up."""
MOST_ADDED = 1000
"""Characters that are added to a record in place: so few are written as a whole, or not at all."""
_END = "\n}\n"
_LINE = re.compile(r' "(\w+)": "([^"\\]*)",?')


class ClaimedError(Exception):
    """Another run has just claimed the next attempt of this task."""


class Record:
    """The record of one attempt: written before the submission, completed as more becomes known.

    A record is `attempt-<n>.json` in the task file folder, mode 0600, since it may hold values of parameters; the group
    may read it in a folder to which it may write.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.facts = dict(facts)
        self._noting = threading.Lock()
        self._size: int | None = None
        """Bytes of the record, if this object has written it last."""
        self._known_mode: int | None = None

    @functools.cached_property
    def folder(self) -> Path:
        """The task file folder in which it is."""
        return self.path.parent

    @property
    def token(self) -> str:
        """Names this attempt for good, 16 hexadecimal digits."""
        return str(self.facts.get("token", ""))

    @property
    def is_torn(self) -> bool:
        """It is empty, cut short or not ours to understand (a power cut, a later version): its job may live."""
        return self.facts.get("format") != FORMAT or not _TOKEN.fullmatch(self.token)

    @property
    def inbox_name(self) -> str:
        """Names the inbox in which its job leaves its marker, and so the run that submitted it."""
        return os.path.basename(str(self.facts.get("inbox") or ""))

    @classmethod
    def claim(
        cls, folder: Path, facts: Mapping[str, Any], after: int, token: str = "", leftovers: Iterable[str] = ()
    ) -> Record:
        """A new attempt, the one after number `after`: on disk before anything is submitted. `token`: a new one.

        `leftovers`: names of files of an earlier attempt, which are removed.
        Raises OSError if it cannot be written, and ClaimedError if another run was faster: then nothing may be
        submitted either.
        """
        number = after + 1
        known = {"format": FORMAT, "attempt": number, "token": token or new_token(), "claimed": time.time()}
        attempt = cls(folder / f"attempt-{number}.json", {**known, **facts})
        text = attempt._text()
        try:
            in_folder(folder, lambda: create_atomically(attempt.path, text, attempt._mode))
        except FileExistsError:
            raise ClaimedError(str(attempt.path)) from None
        attempt._size = len(text)
        beside = names_in(folder)
        attempt._check_is_last(beside)
        for name in beside.keys() & set(leftovers):
            (folder / name).unlink(missing_ok=True)
        return attempt

    def _check_is_last(self, beside: Mapping[str, bool]) -> None:
        """Another run may have made, and judged, several attempts since we looked: the record of this number is gone
        then, and is no sign of that. Raises ClaimedError."""
        last = max((int(found[1]) for name in beside if (found := _RECORD.fullmatch(name))), default=0)
        if last > self.number:
            self.path.unlink(missing_ok=True)
            raise ClaimedError(str(self.path))

    @classmethod
    def of(cls, folder: Path, number: int, token: str, facts: Mapping[str, Any]) -> Record:
        """A record with these facts; it is not on disk."""
        known = {"format": FORMAT, "attempt": number, "token": token}
        return cls(folder / f"attempt-{number}.json", {**known, **facts})

    @classmethod
    def last(cls, folder: Path) -> tuple[int, Record | None]:
        """The number of the last attempt in this folder (0: there was none), and the attempt if nobody has judged it.

        A record that says nothing readable (`is_torn`) counts as that of a job that may live.
        Raises OSError for a record of ours that cannot be read for now: it may be that of a job that lives.
        """
        number, attempt = cls.latest(folder)
        return number, attempt if attempt is not None and attempt.is_open else None

    @classmethod
    def latest(cls, folder: Path) -> tuple[int, Record | None]:
        """The same, with the attempt also if it was judged."""
        found = list(_entries(folder))
        taken = max((number for number, _, _ in found), default=0)
        path = max(((number, path) for number, path, is_file in found if is_file), default=(0, None))[1]
        if path is None:
            return taken, None
        number = int(path.stem.removeprefix("attempt-"))
        return taken, cls(path, {**_readable(path), "attempt": number})

    @property
    def foreign(self) -> int | None:
        """The other user, by uid, who has written the record; None if it is ours."""
        return foreign_owner(self.path)

    @property
    def is_open(self) -> bool:
        """Nobody has judged the attempt, as far as is known."""
        return not self.facts.get("ended")

    @classmethod
    def all_in(cls, folder: Path) -> tuple[int, list[Record]]:
        """The number of the last attempt in this folder (0: there was none), and all records, in their order.

        One look into the folder, and one into each record. Raises OSError like `last`.
        """
        found = sorted(_entries(folder))
        paths = [(number, path) for number, path, is_file in found if is_file]
        return max((number for number, _, _ in found), default=0), [
            cls(path, {**_readable(path), "attempt": number}) for number, path in paths
        ]

    @property
    def is_given_up(self) -> bool:
        """A run has given the attempt up, and its job may be at work all the same."""
        if "ended" in self.facts:
            return False
        return "given_up" in self.facts or ("job_id" in self.facts and self._void.exists())

    @property
    def number(self) -> int:
        """The first attempt of a task is number 1."""
        return int(self.facts["attempt"])

    def void(self) -> None:
        """Sees to it that its job does nothing if it starts after all. Raises OSError: then it is not seen to."""
        with contextlib.suppress(FileNotFoundError):  # its job script is gone, too
            self._void.touch()

    @property
    def _void(self) -> Path:
        return self.path.parent / f"{self.token}.void"

    def reload(self) -> None:
        """Reads what another run has noted meanwhile; if it has made another attempt since, how that one ended.

        A folder that cannot be read for now, or is away, has nothing new.
        """
        try:
            self.facts.update(_read(self.path))
        except FileNotFoundError:
            self.facts.update(self._of_successor())
        except OSError:
            return

    def _of_successor(self) -> dict[str, Any]:
        """How the attempt ended whose record was removed: as the one after it, or given up for it."""
        try:
            os.listdir(self.path.parent)  # a folder that is away for a moment says nothing
            _, latest = max(records(self.path.parent), default=(0, None))
            later = _facts(latest) if latest is not None else {}
        except OSError:
            return {}
        ended = {name: later.get(name) for name in ("ended", "end", "outcome")}
        return ended if later.get("ended") else {"ended": time.time(), "end": "given up", "outcome": None}

    def legible(self) -> dict[str, str]:
        """What can still be read of a record that was cut short: it has one fact in each line. Raises OSError."""
        lines = (_LINE.fullmatch(line) for line in read_text(self.path, errors="replace").splitlines())
        return {found[1]: found[2] for found in lines if found}

    def tokens_beside(self) -> set[str]:
        """The attempts of which there are files in the folder, but for those that must not run. Raises OSError."""
        found = [_OF_TOKEN.fullmatch(name) for name in os.listdir(self.path.parent)]
        return {match[1] for match in found if match} - {match[1] for match in found if match and match[2] == "void"}

    def note(self, **facts: Any) -> None:
        """Adds facts to the record, from any thread. Raises OSError."""
        with self._noting:
            self.facts.update(facts)
            if not ({"ended", "given_up"} & facts.keys()) and self._add(facts):
                return
            text = self._text()
            write_atomically(self.path, text, self._mode)
            self._size = len(text)

    def _add(self, facts: Mapping[str, Any]) -> bool:
        """Adds a few facts in place; False if that will not do. If they are torn, their job is looked for by its name.

        That is one operation on a slow disk where writing all facts anew is two. Another value of a fact that is there
        comes behind it, where it counts for whoever reads JSON, or lines.
        """
        more = ",\n" + _lines(facts) + _END
        if self._size is None or len(more) > MOST_ADDED or not replace_end(self.path, self._size, _END, more):
            return False
        self._size += len(more) - len(_END)
        return True

    def close(self, end: str, outcome: Outcome | None, beside: Mapping[str, bool] | None = None) -> None:
        """Notes how the attempt ended. `beside`: what was just seen in the folder. Raises OSError."""
        facts = {"ended": time.time(), "end": end, "outcome": outcome.to_dict() if outcome is not None else None}
        is_void = self._void.exists() if beside is None else f"{self.token}.void" in beside
        self.note(**facts, **({"void": True} if is_void else {}))

    def sweep(self, beside: Mapping[str, bool] | None = None) -> None:
        """Removes what nobody needs of attempts that ended, and files that were torn by a kill. Raises OSError.

        The record of an attempt that was given up stays for a while: it keeps the job from working, should that start
        after all. `beside`: what was just seen in the folder.
        """
        folder, now = self.folder, time.time()
        beside = names_in(folder) if beside is None else beside
        paths = [folder / name for name, is_record in beside.items() if is_record]
        found = {path: self.facts if path == self.path else _facts(path) for path in paths}
        ended = {path: facts for path, facts in found.items() if "ended" in facts}
        in_use = {str(facts.get("token")) for path, facts in found.items() if path not in ended}
        over = {str(facts.get("token")) for facts in ended.values()}
        for path, facts in ended.items():
            if path != self.path and not (facts.get("void") and now - float(facts["ended"]) < REMEMBERED):
                path.unlink(missing_ok=True)
        if any("ended" not in facts and facts.get("format") != FORMAT for facts in found.values()):
            return  # torn: what lies beside it may be the only trace of its job
        for name in beside:
            of_token = _OF_TOKEN.fullmatch(name)
            if of_token is not None and of_token[1] not in in_use:
                path = folder / name
                if of_token[2] != "void" or of_token[1] in over or _age(path, now) > REMEMBERED:
                    path.unlink(missing_ok=True)
            elif _TORN.fullmatch(name) and _age(folder / name, now) > TORN_AFTER:
                (folder / name).unlink(missing_ok=True)

    @property
    def _mode(self) -> int:
        """Who may write to the folder can change what the job runs; to let them read keeps nothing from nobody."""
        if self._known_mode is None:
            is_shared = self.folder.stat().st_mode & stat.S_IWGRP
            self._known_mode = 0o640 if is_shared else 0o600
        return self._known_mode

    def _text(self) -> str:
        return "{\n" + _lines(self.facts) + _END


def _lines(facts: Mapping[str, Any]) -> str:
    """One fact in each line, as the shell of a job script reads it; json's own `indent` is ten times as slow."""
    return ",\n".join([f" {quoted(name)}: {text_of(fact)}" for name, fact in facts.items()])


def records(folder: Path) -> Iterator[tuple[int, Path]]:
    """Number and path of each record in a task file folder; none where there is no folder. Raises OSError."""
    return ((number, path) for number, path, is_file in _entries(folder) if is_file)


def _entries(folder: Path) -> Iterator[tuple[int, Path, bool]]:
    """What has the name of a record: its number, its path, and whether it is a file (and no FIFO, say)."""
    for name, is_file in names_in(folder).items():
        found = _RECORD.fullmatch(name)
        if found:
            yield int(found[1]), folder / name, is_file


def names_in(folder: Path) -> dict[str, bool]:
    """What is in a folder, by name, and whether it can be a record (and no FIFO, say); nothing where there is none.

    Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        return {entry.name: bool(_RECORD.fullmatch(entry.name)) and entry.is_file() for entry in entries}
    return {}


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except OSError:
        return 0.0


def read_outcome(path: str | Path) -> Outcome | None:
    """The outcome a node left, None while there is none that is whole."""
    try:
        return Outcome.from_json(read_text(path, LARGEST_OUTCOME))
    except (OSError, UnicodeDecodeError):
        return None


def _readable(path: Path) -> dict[str, Any]:
    """What a record says; nothing if it is another user's, and only for them to read. Raises OSError."""
    try:
        return _read(path)
    except PermissionError:
        if foreign_owner(path) is None:
            raise
        return {}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _facts(path: Path) -> dict[str, Any]:
    try:
        return _read(path)
    except OSError:
        return {}
