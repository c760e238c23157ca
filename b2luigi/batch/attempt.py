"""Attempt: one try to run a task as a job, as files beside the job script; and the inbox of a run."""

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

from b2luigi.batch.outcome import Marker, Outcome
from b2luigi.core.files import write_aside

FORMAT = 1
LARGEST = 64 * 1024 * 1024
"""Bytes of an outcome file that are read at most."""
_RECORD = re.compile(r"attempt-(\d+)\.json")
_TOKEN = re.compile(r"[0-9a-f]{16}")


class Attempt:
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
    def claim(cls, folder: Path, facts: Mapping[str, Any]) -> Attempt:
        """A new attempt, the next number in this folder: on disk before anything is submitted.

        Raises OSError if it can not be written: then nothing may be submitted either.
        """
        folder.mkdir(parents=True, exist_ok=True)
        number = max((number for number, _ in records(folder)), default=0)
        while True:
            number += 1
            known = {"format": FORMAT, "attempt": number, "token": secrets.token_hex(8), "claimed": time.time()}
            attempt = cls(folder / f"attempt-{number}.json", {**known, **facts})
            with contextlib.suppress(FileExistsError):
                attempt._create()
                return attempt

    def note(self, **facts: Any) -> None:
        """Adds facts to the record. Raises OSError."""
        self.facts.update(facts)
        write_aside(self.path, self._text(), 0o600)

    def drop_predecessors(self) -> None:
        """Removes the records of earlier attempts that ended, so that files do not pile up."""
        for _, path in list(records(self.path.parent)):
            if path != self.path and "ended" in _facts(path):
                path.unlink(missing_ok=True)

    def _create(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(self._text())

    def _text(self) -> str:
        return json.dumps(self.facts, indent=1) + "\n"


def records(folder: Path) -> Iterator[tuple[int, Path]]:
    """Number and path of each record in a task file folder."""
    for name in os.listdir(folder):
        found = _RECORD.fullmatch(name)
        if found:
            yield int(found[1]), folder / name


def read_outcome(path: Path) -> Outcome | None:
    """The outcome a node left, None while there is none that is whole."""
    try:
        with open(path, encoding="utf-8") as file:
            return Outcome.from_json(file.read(LARGEST))
    except (OSError, UnicodeDecodeError):
        return None


def look_again(folder: Path) -> None:
    """Makes a network file system look at the folder itself instead of at what it remembers of it."""
    with contextlib.suppress(OSError):
        os.utime(folder)
        os.listdir(folder)


def look_at_folders_of(targets: Iterable[Any]) -> None:
    """The same for the folders of targets that are files of this machine."""
    paths = (getattr(target, "path", None) for target in targets)
    for folder in {os.path.dirname(path) for path in paths if isinstance(path, str) and os.path.isabs(path)}:
        look_again(Path(folder))


class Inbox:
    """The folder in which the jobs of this run leave their markers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> Path:
        """Makes the folder if it is not there yet. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder

    def tokens(self) -> list[str]:
        """The attempts that ended. An unreadable folder reads as empty: the batch system tells, too."""
        try:
            return [name for name in os.listdir(self.folder) if _TOKEN.fullmatch(name)]
        except OSError:
            return []

    def read(self, token: str) -> Marker:
        """What the job script left."""
        try:
            return Marker.from_text((self.folder / token).read_text(errors="replace")[:100])
        except OSError:
            return Marker(None, False)

    def remove(self, token: str) -> None:
        """Forgets an attempt that was judged."""
        with contextlib.suppress(OSError):
            (self.folder / token).unlink(missing_ok=True)

    def close(self) -> None:
        """Removes the folder unless late jobs still have something to say."""
        with contextlib.suppress(OSError):
            for path in self.folder.glob("*.part"):  # markers that could not be written
                path.unlink()
            self.folder.rmdir()


def _facts(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
