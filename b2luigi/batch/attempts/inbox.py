"""The inbox of a run: the folder in which its jobs leave their markers, and from which other runs learn about it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from b2luigi.batch.attempts import requests
from b2luigi.batch.attempts.heartbeat import BEAT, SILENCE, Heartbeat
from b2luigi.batch.attempts.liveness import has_ended, this_process
from b2luigi.batch.attempts.outcome import Marker
from b2luigi.batch.attempts.users import foreign_owner, moment, user_name
from b2luigi.core.files import read_text, write_atomically

OWNER, CLAIMS = "run.json", "claims"
"""Files of an inbox: the process of the run, touched while it lives; the task file folders in which it claimed."""
PREFIX = "inbox-"
_TOKEN = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Claim:
    """That a run has, or had, an attempt in a task file folder. Runs of former versions wrote the folder only."""

    folder: str
    """Relative to the folder of the inboxes, so that it holds whatever way leads to that; as written if it is a former
    version's."""
    number: int = 0
    token: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """How to find its job, should its record be lost: batch system, submit host, mark."""


class Inbox:
    """The inbox of one run: this one, an earlier one, or another one that is under way."""

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.monotonic, beat: float = BEAT, process: Any = None
    ) -> None:
        self.folder = folder
        self.process = process
        """The process of the run, as the record of an attempt has it: for an inbox that was removed by hand."""
        self._clock = clock
        self._beat = beat
        self._heartbeat: Heartbeat | None = None
        self._touched: tuple[int, float] | None = None
        self._abandoned: tuple[float, bool | None] = (float("-inf"), None)
        self._claims: tuple[int, tuple[Claim, ...]] = (0, ())
        self._indexed: tuple[tuple[Claim, ...], dict[str, Claim]] = ((), {})
        self._since = time.time()
        self._entered: dict[str, str] = {}
        self._entering, self._writing = threading.Lock(), threading.Lock()
        self._unsynced, self._synced_folders = False, False
        self._opening = threading.Lock()
        self._listing: tuple[float, list[str]] = (float("-inf"), [])
        """When the folder was listed last, and what was in it."""

    @classmethod
    def new(cls, base: Path) -> Inbox:
        """The inbox of a new run, below the task file folder; it is made by `open`."""
        return cls(base / f"{PREFIX}{secrets.token_hex(6)}", process=this_process())

    def ready(self) -> Path:
        """The folder, which is made if this run has none yet. Raises OSError.

        Whether it is still there, `write_claims` and `sync` find out before a job is sent.
        """
        return self.open() if self._heartbeat is None else self.folder

    def open(self) -> Path:
        """Makes the folder if it is not there, with its owner file in it from the first moment. Raises OSError."""
        if self._heartbeat is None or not self.folder.is_dir():  # not any more: somebody took this run for dead
            with self._opening:  # threads that write the files of jobs come at the same time
                if not self.folder.is_dir():
                    self._make_at_once()
                if self._heartbeat is None:
                    heartbeat = Heartbeat(self.folder / OWNER, self._beat)
                    heartbeat.start()
                    self._heartbeat = heartbeat
        return self.folder

    def _make_at_once(self) -> None:
        aside = self.folder.with_name(f".{self.folder.name}")
        try:
            self._make(aside)
            os.rename(aside, self.folder)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            raise

    def _make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / OWNER, json.dumps({**this_process(), "since": self._since}), 0o644)

    @property
    def was_silent(self) -> bool:
        """Runs on other hosts may have taken this one for dead."""
        return self._heartbeat is not None and self._heartbeat.was_silent

    @property
    def is_shut(self) -> bool:
        """This run can no longer write into its own inbox: an expired token, a full disk."""
        try:
            if self._heartbeat is not None:
                write_atomically(self.folder / OWNER, json.dumps({**this_process(), "since": self._since}), 0o644)
        except OSError:
            return True
        return False

    @property
    def name(self) -> str:
        """Identifies the inbox, whatever path leads to the folder that holds it."""
        return self.folder.name

    def enter(self, folder: Path, number: int = 0, token: str = "", **facts: Any) -> None:
        """Notes that this run has an attempt in a task file folder; `write_claims` and `sync` write that down."""
        path, above = str(folder), f"{self.folder.parent}/"
        is_below = path.startswith(above) and "/.." not in path  # nearly always; relpath() takes ten times as long
        place = path.removeprefix(above) if is_below else os.path.relpath(path, above)
        claim = json.dumps([place, number, token, facts])
        with self._entering:
            self._entered[place] = f"{json.dumps(path)}\n{claim}\n"  # the first line is for former versions

    def write_claims(self) -> None:
        """Writes down what was entered since the last time, all at once; does nothing while a thread is at it.

        Raises OSError; then it is still to be written.
        """
        if self._entered and self._writing.acquire(blocking=False):
            try:
                self._append_claims()
            finally:
                self._writing.release()

    def sync(self) -> None:
        """Writes down what was entered, and sees to it that all claims survive a power cut.

        May take long; raises OSError.
        """
        with self._writing:
            self._append_claims(for_good=True)

    def _append_claims(self, for_good: bool = False) -> None:
        """For the thread that is writing: the claims are one file, and one `write` of it is seen as a whole or not."""
        with self._entering:
            entered, self._entered = self._entered, {}
        if not entered and not (for_good and self._unsynced):
            return
        try:
            with self._opened_claims() as file:
                file.write("".join(entered.values()).encode(errors="surrogateescape"))
                file.flush()
                self._unsynced = True
                if for_good:
                    self._sync(file.fileno())
        except OSError:
            with self._entering:
                self._entered = {**entered, **self._entered}
            raise

    def _opened_claims(self) -> BinaryIO:
        path = self.folder / CLAIMS
        try:
            return open(path, "ab")
        except FileNotFoundError:
            self._synced_folders = False
            return open(self.open() / CLAIMS, "ab")

    def _sync(self, claims: int) -> None:
        os.fsync(claims)
        for folder in () if self._synced_folders else (self.folder, self.folder.parent):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._unsynced, self._synced_folders = False, True

    def claim_of(self, folder: Path) -> Claim | None:
        """The last claim of a task file folder; none that a former version wrote."""
        claims = self.claims()
        if claims is not self._indexed[0]:
            self._indexed = claims, {claim.folder: claim for claim in claims if claim.token}
        return self._indexed[1].get(os.path.relpath(folder, self.folder.parent)) if claims else None

    def claims(self) -> tuple[Claim, ...]:
        """The attempts that the run has, or had."""
        path = self.folder / CLAIMS
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            if size != self._claims[0]:
                self._claims = size, tuple(_claims(read_text(path, errors="replace")))
        return self._claims[1]

    def folders(self) -> Iterator[tuple[Claim, Path]]:
        """All claims with their task file folders, found from where the inbox is today."""
        base = self.folder.parent
        for claim in self.claims():
            if os.path.isabs(claim.folder):
                yield from ((claim, path) for path in _located(Path(claim.folder), base))
            else:
                yield claim, Path(os.path.normpath(base / claim.folder))

    def is_abandoned(self) -> bool | None:
        """Whether the run is over; None while that is not known (on another host: after some silence it is)."""
        if self._clock() - self._abandoned[0] >= 1.0:  # asked for each job of it
            self._abandoned = self._clock(), self._look_at_owner()
        return self._abandoned[1]

    def owner(self) -> str:
        """Whose run it is, for messages: the process, its host, since when, and since when it is silent if it may not
        live any more."""
        user = f" of {user_name(self.foreign)}" if self.foreign is not None else ""
        try:
            touched, owner = os.stat(self.folder / OWNER).st_mtime, self._process_noted()
        except (OSError, ValueError):
            return f"that{user} with the inbox {self.folder}"
        lives = "alive" if has_ended(owner) is False else f"silent since {moment(touched)}"
        since = f", since {moment(owner['since'])}" if isinstance(owner.get("since"), (int, float)) else ""
        return f"process {owner.get('pid', '?')}{user} on {owner.get('host', 'an unknown host')}, {lives}{since}"

    @property
    def foreign(self) -> int | None:
        """The other user, by uid, whose run it is; None if it is one of ours."""
        return foreign_owner(self.folder)

    @property
    def is_sealed(self) -> bool:
        """Only another user can read what it claims."""
        return (self.folder / CLAIMS).exists() and not os.access(self.folder / CLAIMS, os.R_OK)

    def _process_noted(self) -> dict[str, Any]:
        """Raises OSError and ValueError."""
        try:
            owner = json.loads(read_text(self.folder / OWNER))
        except PermissionError:  # somebody else's, of a former version
            return {}
        return owner if isinstance(owner, dict) else {}

    def _look_at_owner(self) -> bool | None:
        try:
            owner, touched = self._process_noted(), os.stat(self.folder / OWNER).st_mtime_ns
        except FileNotFoundError:
            if self.folder.is_dir() or not isinstance(self.process, dict):  # it has left
                return True
            owner, touched = self.process, 0
        except (OSError, ValueError):
            return None
        ended = has_ended(owner)
        if ended and self.foreign is not None:  # machines may hide processes of others
            ended = None
        return ended if ended is not None else self._is_silent(touched)

    def _is_silent(self, touched: int) -> bool | None:
        """Compares no clocks of two hosts: only whether the time of the last touch changes."""
        if self._touched is None or self._touched[0] != touched:
            self._touched = (touched, self._clock())
        return True if self._clock() - self._touched[1] >= SILENCE else None

    def tokens(self) -> list[str]:
        """The attempts that ended. An unreadable folder counts as empty: the batch system reports ends as well."""
        try:
            self._listing = self._clock(), os.listdir(self.folder)
        except OSError:
            return []
        return [name for name in self._listing[1] if _TOKEN.fullmatch(name)]

    def requests(self) -> list[str]:
        """Keys of the requests to this run, from the last listing by `tokens`, or a new one if that is a second old."""
        if self._heartbeat is None:
            return []
        if self._clock() - self._listing[0] > 1.0:
            self.tokens()
        return [key for name in self._listing[1] if (key := requests.key_of(name)) is not None]

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
            return Marker.from_text(read_text(f"{self.folder}/{token}", 100, errors="replace"))
        except OSError:
            return Marker(None, False)

    def remove(self, token: str) -> None:
        """Forgets an attempt that was judged."""
        with contextlib.suppress(OSError):
            os.unlink(f"{self.folder}/{token}")

    def leave(self) -> None:
        """The run is over: another one may resume its jobs, whose markers still come here."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        with contextlib.suppress(OSError):
            if self._entered:
                self.sync()
        with contextlib.suppress(OSError):
            (self.folder / OWNER).unlink(missing_ok=True)

    def close(self) -> None:
        """Removes the folder unless late jobs still have something to say."""
        self.leave()
        with contextlib.suppress(OSError):
            # *.part: markers that could not be written; .run.json.*: a run that was killed while it wrote that file
            for path in [*self.folder.glob("*.part"), *self.folder.glob(f".{OWNER}.*"), self.folder / CLAIMS]:
                path.unlink(missing_ok=True)
            requests.sweep(self.folder)
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


def _claims(text: str) -> Iterator[Claim]:
    words = [_word(line) for line in text.splitlines()]
    for word, following in zip(words, [*words[1:], None], strict=True):
        match word:
            case [str(folder), int(number), str(token), dict(facts)]:
                yield Claim(folder, number, token, facts)
            case str(folder) if not isinstance(following, list):
                yield Claim(folder)


def _located(folder: Path, base: Path) -> Iterator[Path]:
    """A folder that was written with all of its path, also where another way leads to it today."""
    yield folder
    below = (base.joinpath(*folder.parts[start:]) for start in range(1, len(folder.parts)))
    yield from (path for path in below if path != folder and path.is_dir())


def _word(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:  # the disk was full in the middle of a line
        return None
