"""Record: one try to run a task as a job, as files beside the job script."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.outcome import Outcome
from b2luigi.core.files import create_atomically, write_atomically

FORMAT = 1
LARGEST_OUTCOME = 64 * 1024 * 1024
"""Bytes of an outcome file that are read at most."""
_RECORD = re.compile(r"attempt-(\d{1,9})\.json")
_TOKEN = re.compile(r"[0-9a-f]{16}")


class ClaimedError(Exception):
    """Another run has just claimed the next attempt of this task."""


class Record:
    """The record of one attempt: written before the submission, completed as more becomes known.

    A record is `attempt-<n>.json` in the task file folder, mode 0600, since it may hold values of parameters.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.facts = dict(facts)

    @property
    def token(self) -> str:
        """Names this attempt for good, 16 hexadecimal digits."""
        return str(self.facts["token"])

    @classmethod
    def claim(cls, folder: Path, facts: Mapping[str, Any], after: int) -> Record:
        """A new attempt, the one after number `after`: on disk before anything is submitted.

        Raises OSError if it cannot be written, and ClaimedError if another run was faster: then nothing may be
        submitted either.
        """
        folder.mkdir(parents=True, exist_ok=True)
        number = after + 1
        known = {"format": FORMAT, "attempt": number, "token": secrets.token_hex(8), "claimed": time.time()}
        attempt = cls(folder / f"attempt-{number}.json", {**known, **facts})
        try:
            create_atomically(attempt.path, attempt._text(), 0o600)
        except FileExistsError:
            raise ClaimedError(str(attempt.path)) from None
        return attempt

    @classmethod
    def last(cls, folder: Path) -> tuple[int, Record | None]:
        """The number of the last attempt in this folder (0: there was none), and the attempt if nobody has judged it.

        Raises OSError for a record that cannot be read: it may be that of a job that lives; ValueError for one of
        another user: whatever it says is none of our business.
        """
        number, path = max(records(folder), default=(0, None))
        facts = _read(path) if path is not None else {}
        if path is not None:
            _refuse_if_foreign(path, facts)
        is_whole = facts.get("format") == FORMAT and bool(_TOKEN.fullmatch(str(facts.get("token"))))
        return number, cls(path, facts) if path is not None and is_whole and not facts.get("ended") else None

    @classmethod
    def given_up(cls, folder: Path) -> list[Record]:
        """The attempts that a run has given up, and whose jobs may be at work all the same. Raises OSError."""
        found = [cls(path, _read(path)) for _, path in records(folder)]
        return [attempt for attempt in found if "ended" not in attempt.facts and attempt._is_given_up]

    @property
    def _is_given_up(self) -> bool:
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
        """Reads what another run has noted meanwhile; if it has made another attempt since, how that one ended."""
        facts = _facts(self.path)
        if not facts and not self.path.exists():
            _, latest = max(records(self.path.parent), default=(0, None))
            later = _facts(latest) if latest is not None else {}
            ended = {name: later.get(name) for name in ("ended", "end", "outcome")}
            facts = ended if later.get("ended") else {"ended": time.time(), "end": "given up", "outcome": None}
        self.facts.update(facts)

    def note(self, **facts: Any) -> None:
        """Adds facts to the record. Raises OSError."""
        self.facts.update(facts)
        write_atomically(self.path, self._text(), 0o600)

    def drop_predecessors(self) -> None:
        """Removes the records of earlier attempts that ended, so that files do not pile up."""
        for _, path in list(records(self.path.parent)):
            if path != self.path and "ended" in _facts(path):
                path.unlink(missing_ok=True)

    def _text(self) -> str:
        return json.dumps(self.facts, indent=1) + "\n"


def records(folder: Path) -> Iterator[tuple[int, Path]]:
    """Number and path of each record in a task file folder; none where there is no folder."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            found = _RECORD.fullmatch(name)
            if found:
                yield int(found[1]), folder / name


def read_outcome(path: Path) -> Outcome | None:
    """The outcome a node left, None while there is none that is whole."""
    try:
        with open(path, encoding="utf-8") as file:
            return Outcome.from_json(file.read(LARGEST_OUTCOME))
    except (OSError, UnicodeDecodeError):
        return None


def look_again(folder: Path) -> bool:
    """Makes a network file system look at the folder itself instead of at what it remembers of it.

    False if it cannot be read for now.
    """
    with contextlib.suppress(OSError):
        os.utime(folder)
    try:
        os.listdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def look_at_folders_of(targets: Iterable[Any]) -> None:
    """The same for the folders of targets that are files of this machine."""
    paths = (getattr(target, "path", None) for target in targets)
    for folder in {os.path.dirname(path) for path in paths if isinstance(path, str) and os.path.isabs(path)}:
        look_again(Path(folder))


def _refuse_if_foreign(path: Path, facts: Mapping[str, Any]) -> None:
    owner = path.stat().st_uid
    if owner != os.geteuid() and not facts.get("ended"):
        raise ValueError(
            f"another user (uid {owner}) has, or had, a job for the same outputs: {path} is theirs. Ask them, or "
            "set result_dir, log_dir and task_file_dir to folders of your own."
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _facts(path: Path) -> dict[str, Any]:
    try:
        return _read(path)
    except OSError:
        return {}
