"""The inbox of a run: the folder in which its jobs leave their markers, and from which other runs learn about it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.heartbeat import BEAT, SILENCE, Heartbeat
from b2luigi.batch.attempts.liveness import has_ended, this_process
from b2luigi.batch.attempts.outcome import Marker
from b2luigi.core.files import write_atomically

OWNER, CLAIMS = "run.json", "claims"
"""Files of an inbox: the process of the run, touched while it lives; the task file folders in which it claimed."""
PREFIX = "inbox-"
_TOKEN = re.compile(r"[0-9a-f]{16}")


class Inbox:
    """The inbox of one run: this one, an earlier one, or another one that is under way."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic, beat: float = BEAT) -> None:
        self.folder = folder
        self._clock = clock
        self._beat = beat
        self._heartbeat: Heartbeat | None = None
        self._touched: tuple[int, float] | None = None
        self._abandoned: tuple[float, bool | None] = (float("-inf"), None)
        self._claims: tuple[int, set[Path]] = (0, set())

    @classmethod
    def new(cls, base: Path) -> Inbox:
        """The inbox of a new run, below the task file folder; it is made by `open`."""
        return cls(base / f"{PREFIX}{secrets.token_hex(6)}")

    def open(self) -> Path:
        """Makes the folder if it is not there, with its owner file in it from the first moment. Raises OSError."""
        if self._heartbeat is None or not self.folder.is_dir():  # not any more: somebody took this run for dead
            aside = self.folder.with_name(f".{self.folder.name}")
            try:
                self._make(aside)
                os.rename(aside, self.folder)
            except OSError:
                shutil.rmtree(aside, ignore_errors=True)
                raise
        if self._heartbeat is None:
            self._heartbeat = Heartbeat(self.folder / OWNER, self._beat)
            self._heartbeat.start()
        return self.folder

    def _make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / OWNER, json.dumps(this_process()), 0o600)

    @property
    def was_silent(self) -> bool:
        """Runs on other hosts may have taken this one for dead."""
        return self._heartbeat is not None and self._heartbeat.was_silent

    @property
    def is_shut(self) -> bool:
        """This run can no longer write into its own inbox: an expired token, a full disk."""
        try:
            if self._heartbeat is not None:
                write_atomically(self.folder / OWNER, json.dumps(this_process()), 0o600)
        except OSError:
            return True
        return False

    def enter(self, folder: Path) -> None:
        """Writes down that this run has an attempt in a task file folder. Raises OSError."""
        with open(self.open() / CLAIMS, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(json.dumps(str(folder)) + "\n")

    def claims(self) -> set[Path]:
        """The task file folders in which the run has, or had, an attempt."""
        path = self.folder / CLAIMS
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            if size != self._claims[0]:
                found = map(_word, path.read_text(encoding="utf-8", errors="replace").splitlines())
                self._claims = size, {Path(name) for name in found if isinstance(name, str)}
        return self._claims[1]

    def is_abandoned(self) -> bool | None:
        """Whether the run is over; None while that is not known (on another host: after some silence it is)."""
        if self._clock() - self._abandoned[0] >= 1.0:  # asked for each job of it
            self._abandoned = self._clock(), self._look_at_owner()
        return self._abandoned[1]

    def _look_at_owner(self) -> bool | None:
        try:
            owner, touched = json.loads((self.folder / OWNER).read_text()), os.stat(self.folder / OWNER).st_mtime_ns
        except FileNotFoundError:
            return True
        except (OSError, ValueError):
            return None
        ended = has_ended(owner) if isinstance(owner, dict) else None
        return ended if ended is not None else self._is_silent(touched)

    def _is_silent(self, touched: int) -> bool | None:
        """Compares no clocks of two hosts: only whether the time of the last touch changes."""
        if self._touched is None or self._touched[0] != touched:
            self._touched = (touched, self._clock())
        return True if self._clock() - self._touched[1] >= SILENCE else None

    def tokens(self) -> list[str]:
        """The attempts that ended. An unreadable folder counts as empty: the batch system reports ends as well."""
        try:
            return [name for name in os.listdir(self.folder) if _TOKEN.fullmatch(name)]
        except OSError:
            return []

    def has(self, token: str) -> bool:
        """Whether an attempt has left its marker. Raises OSError where that cannot be read for now."""
        try:
            os.stat(self.folder / token)
        except FileNotFoundError:
            return False
        return True

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

    def leave(self) -> None:
        """The run is over: another one may resume its jobs, whose markers still come here."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        with contextlib.suppress(OSError):
            (self.folder / OWNER).unlink(missing_ok=True)

    def close(self) -> None:
        """Removes the folder unless late jobs still have something to say."""
        self.leave()
        with contextlib.suppress(OSError):
            for path in [*self.folder.glob("*.part"), self.folder / CLAIMS]:
                path.unlink(missing_ok=True)  # *.part: markers that could not be written
            self.folder.rmdir()

    def discard(self) -> None:
        """Removes the folder with all that nobody will ask for any more."""
        for token in self.tokens():
            self.remove(token)
        self.close()


def inboxes_below(base: Path) -> Iterator[Path]:
    """The inboxes of all runs in a task file folder."""
    with contextlib.suppress(OSError), os.scandir(base) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def _word(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:  # the disk was full in the middle of a line
        return None
