"""The runs that keep their jobs in one place: this one, earlier ones that were killed, others that are under way."""

from __future__ import annotations

import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.inbox import PREFIX, Claim, Inbox, inboxes_below
from b2luigi.batch.attempts.record import Record, records
from b2luigi.batch.attempts.tokens import kin_of

MAKING = 10.0
"""Seconds after which an inbox that is being made will not be finished any more."""


class Runs:
    """The inboxes below one task file folder. `base`: that folder; `clock` gives seconds."""

    def __init__(self, base: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._base, self._clock = base, clock
        self.own = Inbox.new(base)
        self.being_cancelled: set[str] = set()
        """Attempts that this run has given up, and whose jobs may be at work still, by token."""
        self._others: dict[str, Inbox] = {}
        self._watched: dict[str, Inbox] = {}
        self._scan_at, self._scanned = float("-inf"), -1

    @property
    def others(self) -> dict[str, Inbox]:
        """The inboxes of other runs by name, also of those that began after this one; looked for once a second."""
        if self._clock() >= self._scan_at:
            self._scan_at = self._clock() + 1.0
            changed = _changed(self._base)
            if changed != self._scanned:
                self._scanned = changed
                for folder in inboxes_below(self._base):
                    self.inbox_at(folder)
        return self._others

    def unfinished(self, folder: Path) -> Record | None:
        """The attempt in a task file folder that nobody has judged yet, if there is one. Raises OSError.

        The record beside the task decides, whatever is known of the run that wrote it; or else a claim of another run
        whose record is lost.
        """
        _, attempt = Record.latest(folder)
        lost = self.lost_claim(folder, attempt)
        if lost is not None:
            return self.restored(folder, lost)
        if attempt is not None and attempt.is_torn and attempt.foreign is not None:
            return attempt if self.claimant(attempt) is not None else None
        return attempt if attempt is not None and attempt.is_open else None

    def lost_claim(self, folder: Path, last: Record | None) -> tuple[Inbox, Claim] | None:
        """A claim of another run in a task file folder, if it is of a later attempt than the last one with a record."""
        number = last.number if last is not None else 0
        for inbox in self.others.values():
            claim = inbox.claim_of(folder)
            if claim is not None and claim.number > number:
                return inbox, claim
        return None

    def is_claimed(self, folder: Path) -> bool:
        """Another run has, or had, an attempt in a task file folder."""
        return any(inbox.claim_of(folder) is not None for inbox in self.others.values())

    def restored(self, folder: Path, lost: tuple[Inbox, Claim]) -> Record:
        """The record of an attempt as far as its claim has it; it is not on disk."""
        inbox, claim = lost
        facts = {**claim.facts, "inbox": str(inbox.folder)}
        return Record.of(folder, claim.number, claim.token, facts)

    def noted_before_sending(self, attempt: Record) -> dict[str, Any]:
        """What the claim of an attempt has if its job was sent: a power cut may have kept that from its record."""
        claim = self.inbox_of(attempt).claim_of(attempt.path.parent)
        is_sent = claim is not None and claim.token == attempt.token and claim.facts.get("server") is not None
        return dict(claim.facts) if claim is not None and is_sent else {}

    def claim_of_torn(self, attempt: Record) -> tuple[Inbox, Claim] | None:
        """What the claim of an attempt contains whose record is torn."""
        for inbox in (*self.others.values(), self.own):
            claim = inbox.claim_of(attempt.path.parent)
            if claim is not None and claim.number == attempt.number:
                return inbox, claim
        return None

    def claimant(self, sealed: Record) -> Inbox | None:
        """The run that has claimed an attempt whose record only another user can read; None: it was judged."""
        for inbox in self.others.values():
            if inbox.foreign == sealed.foreign and (inbox.is_sealed or _claims(inbox, sealed.path.parent)):
                return inbox
        return None

    def labels(self) -> set[str]:
        """How batch systems call the jobs that are claimed by other runs."""
        claims = (claim for inbox in self.others.values() for claim in inbox.claims())
        return {str(claim.facts.get("mark") or claim.token) for claim in claims}

    def kin(self, task_id: str) -> str:
        """How the tokens of a task of this project begin, by whatever path it is reached."""
        return kin_of(task_id, self._project)

    @functools.cached_property
    def _project(self) -> str:
        """Survives that the project is moved, and that the task files are removed."""
        try:
            return str(os.stat(self._base.parent).st_ino)
        except OSError:
            return str(self._base)

    def inbox_of(self, attempt: Record) -> Inbox:
        """Where the job of an attempt leaves its marker; looked at from now on."""
        inbox = self.inbox_at(str(attempt.facts.get("inbox") or self.own.folder))
        inbox.process = inbox.process or attempt.facts.get("run")
        return inbox if inbox is self.own else self._watched.setdefault(inbox.name, inbox)

    def inbox_at(self, path: str | Path) -> Inbox:
        """The inbox with this name, below the current task file folder, or else at the recorded path."""
        folder = Path(path)
        if folder.name == self.own.name:
            return self.own
        if folder.name not in self._others:
            here = self._base / folder.name
            self._others[folder.name] = Inbox(here if here.is_dir() else folder, self._clock)
        return self._others[folder.name]

    def markers(self) -> Iterator[tuple[str, Inbox]]:
        """The attempts that ended, by token, and where their markers lie."""
        for inbox in (self.own, *self._watched.values()):
            for token in inbox.tokens():
                yield token, inbox

    def close(self, left: bool) -> None:
        """Removes what is no longer needed: the inbox of this run, and of dead ones of which all was judged.

        `left`: jobs of this run are left in the batch system, for a later run to look after.
        """
        if left or self.being_cancelled:
            self.own.leave()
        else:
            self.own.close()
        self.tidy()
        for folder in self._base.glob(f".{PREFIX}*"):  # a run that was killed while it made its inbox
            if _is_unfinished(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def tidy(self) -> list[Inbox]:
        """Removes the inboxes of dead runs of which all was judged. Returns those of other runs that stay."""
        others = list(self.others.values())
        done = [inbox for inbox in others if inbox.is_abandoned() and not _has_open_claims(inbox)]
        for inbox in done:
            inbox.discard()
        return [inbox for inbox in others if inbox not in done]


def _is_unfinished(folder: Path) -> bool:
    """Whether a run was killed while it made its inbox: that takes a moment, and others may just be at it."""
    try:
        return time.time() - folder.stat().st_mtime > MAKING and Inbox(folder).is_abandoned() is True
    except OSError:
        return False


def _claims(inbox: Inbox, folder: Path) -> bool:
    return inbox.claim_of(folder) is not None or any(path == folder for _, path in inbox.folders())


def _has_open_claims(inbox: Inbox) -> bool:
    try:
        if any(claim.number > max(records(path), default=(0, path))[0] for claim, path in inbox.folders()):
            return True
        attempts = [attempt for _, folder in inbox.folders() if (attempt := Record.last(folder)[1]) is not None]
    except (OSError, ValueError):  # unreadable for now, or somebody else's: it may be that of a job that lives
        return True
    return any(attempt.is_torn or attempt.inbox_name == inbox.name for attempt in attempts)


def _changed(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0
