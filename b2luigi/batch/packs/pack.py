"""Pack: one job that runs several tasks, and the tickets of those for which somebody waits."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.ledger import Ledger
from b2luigi.batch.attempts.outcome import Marker
from b2luigi.batch.packs.description import is_open
from b2luigi.batch.packs.share import Share
from b2luigi.batch.queue.ticket import Ticket, TicketState
from b2luigi.batch.systems.model import JobInfo, JobStatus

SETTLED = 5.0
"""Seconds from the moment when a task must not begin any more to the one when it is sure that it has not."""
WAITS = "its job runs, and it waits for its turn"
RECORDS = 1.0
"""Seconds between two looks into the records of tasks for which nobody waits here."""
WAY: Mapping[TicketState, TicketState] = {
    TicketState.gone: TicketState.queued,
    TicketState.ended: TicketState.queued,
    TicketState.out_of_reach: TicketState.unsure,
    TicketState.not_found: TicketState.unsure,
}
"""States that cannot be the first one of a ticket, and what comes before each."""


class Pack:
    """One job that runs several tasks.

    `folders`: of all of them, by token; None for a job of another run that does not say. `share`: what one of its tasks
    brought along; None for a job of another run.
    """

    def __init__(
        self,
        ticket: Ticket,
        folders: Mapping[str, Path] | None,
        clock: Callable[[], float],
        share: Share | None = None,
    ) -> None:
        self.ticket, self.share = ticket, share
        self._folders = folders
        self.members: dict[str, Ticket] = {}
        """By token: those for which somebody waits."""
        self.ended: set[str] = set()
        """The tokens of those that have left their markers, or were judged."""
        self.leaving: dict[str, float | None] = {}
        """The tokens of those that are not wanted any more, and since when they cannot begin."""
        self.marker: Marker | None = None
        """What the job script of the pack left when it ended."""
        self.is_cancelled = False
        self._inbox: Inbox | None = None
        self._ledger, self._clock = Ledger(ticket.spec.folder), clock
        self._begun: frozenset[str] = frozenset()
        self._read_at = self._records_read_at = float("-inf")
        self._read_at_end = False
        self._shown = (0, 0)

    @property
    def token(self) -> str:
        """Names the job."""
        return self.ticket.spec.token

    @property
    def folder(self) -> Path:
        """Holds its job script, its ledger and its own output."""
        return self.ticket.spec.folder

    @property
    def size(self) -> int:
        """How many tasks it runs, as far as that is known."""
        return len(self._folders if self._folders is not None else self.members)

    @property
    def is_over(self) -> bool:
        """Nothing of it begins any more, and nothing of it is at work."""
        info = self.ticket.info
        return self.marker is not None or self.ticket.is_over or (info is not None and info.status.is_final)

    @property
    def is_running(self) -> bool:
        """Its batch system says so."""
        info = self.ticket.info
        return info is not None and info.status is JobStatus.running

    @property
    def is_at_work(self) -> bool:
        """Its batch system says so, or its tasks do: the last answer may be a minute old."""
        return self.is_running or bool(self._begun or self.ended)

    @property
    def waits(self) -> bool:
        """It will run as soon as there is a slot for it, as far as is known."""
        info = self.ticket.info
        return not self.is_at_work and (info is None or not info.held)

    @property
    def unbegun(self) -> int:
        """How many of its tasks have not begun, as far as is known."""
        return len(self.members.keys() - self._begun)

    @property
    def has_begun_any(self) -> bool:
        """Whether one of its tasks has begun, as far as is known."""
        return bool(self._begun)

    def has_begun(self, token: str) -> bool:
        """Whether a task of it has begun, as far as is known."""
        return token in self._begun

    def read_ledger(self, at_most_every: float = 0.0) -> set[str]:
        """Learns which tasks have begun; returns those that are new. Raises OSError.

        What was read before the job was over does not count then.
        """
        is_first = self._ends and not self._read_at_end
        if self._clock() < self._read_at + at_most_every and not is_first:
            return set()
        before, self._begun = self._begun, self._begun | self._ledger.begun()
        self._read_at, self._read_at_end = self._clock(), self._ends
        return set(self._begun - before)

    @property
    def _ends(self) -> bool:
        return self.is_over or self.ticket.is_gone

    def adopt(self, member: Ticket) -> None:
        """Somebody waits for this task of it."""
        member.pack = self
        self.members[member.spec.token] = member
        self.mirror(member)

    @property
    def ended_well(self) -> bool:
        """Its job script ran to its end, whatever became of the tasks."""
        info = self.ticket.info
        by_script = self.marker is not None and self.marker.exit_code == 0
        return by_script or (info is not None and info.status is JobStatus.successful)

    def remove(self) -> None:
        """Removes its files. What it has printed stays for a while if it ended badly, and not because we wanted it.

        One that is still at its end, after all of its tasks, has nothing to say any more.
        """
        if self.ended_well or self.is_cancelled or not self._ends:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.folder.parent.rmdir()
        with contextlib.suppress(OSError):
            for path in (self.ticket.spec.script, self._ledger.path):
                path.unlink(missing_ok=True)
            self.folder.rmdir()  # if it has printed nothing

    def mirror(self, member: Ticket) -> bool:
        """Passes on what is known of the job to the ticket of a task; True if that is news."""
        mine, state = self.ticket, self.ticket.state
        before = member.state, member.info, member.job_id, member.server
        member.job_id, member.server, member.label = mine.job_id, mine.server, mine.label
        member.submitted_at, member.answers, member.absent = mine.submitted_at, mine.answers, mine.absent
        member.may_be_elsewhere, member.is_own = mine.may_be_elsewhere, mine.is_own
        member.info = self._info_of(member.spec.token)
        if state in WAY and member.state is not state:
            member.move(WAY[state])
        member.move(state, mine.reason)
        return before != (member.state, member.info, member.job_id, member.server)

    def _info_of(self, token: str) -> JobInfo | None:
        info = self.ticket.info
        if info is None or info.status is not JobStatus.running or self.has_begun(token):
            return info
        return replace(info, status=JobStatus.idle, native=WAITS)

    def mirror_answers(self) -> None:
        """Passes on how often the batch system has answered since something looked like the end of the job."""
        shown = self.ticket.answers, self.ticket.absent
        if self.ticket.end_reported and shown != self._shown:
            self._shown = shown
            for member in self.members.values():
                self.mirror(member)

    def note_end(self, inbox: Inbox) -> None:
        """Its job script has left a marker there."""
        self._inbox, self.marker = inbox, inbox.read(self.token)

    def forget_end(self) -> None:
        """The job lives on, or will run again: its next end will leave another marker."""
        self.marker = None
        if self._inbox is not None:
            self._inbox.remove(self.token)

    @property
    def is_unwanted(self) -> bool:
        """Nobody wants any of its tasks any more, as far as is known."""
        return self.leaving.keys() >= self.members.keys() and not self.others_want(at_most_every=RECORDS)

    def others_want(self, at_most_every: float = 0.0) -> bool:
        """Whether another run may wait for one of its tasks, by their records.

        True until the next look is due, if the last one found one.
        """
        if self._folders is None:
            return True
        unknown = self._folders.keys() - self.members.keys() - self.ended
        if unknown and self._clock() < self._records_read_at + at_most_every:
            return True
        self._records_read_at = self._clock()
        for token in unknown:
            if is_open(token, self._folders[token]):
                return True
            self.ended.add(token)
        return False

    def over_by_now(self) -> list[str]:
        """Those of the unwanted that are not at work, and will not be. Raises OSError."""
        found = [token for token in self.leaving if self.is_over or token in self.ended]
        limit = self._clock() - SETTLED
        settled = [token for token, since in self.leaving.items() if since is not None and since <= limit]
        if settled and not self.is_over:
            self.read_ledger(at_most_every=1.0)
            found += [token for token in settled if token not in self._begun and token not in found]
        return found

    def end(self, member: Ticket) -> None:
        """A task of it that nobody wants is not at work, and will not be."""
        member.move(TicketState.queued)
        member.move(TicketState.ended)
