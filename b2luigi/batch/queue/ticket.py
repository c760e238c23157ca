"""One job in a queue, and what every queue of jobs can do."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.outcome import Marker
from b2luigi.batch.systems.base import Setting
from b2luigi.batch.systems.model import JobInfo, JobSpec, Requested

ABSENCES = 2
"""Answers in a row that lack a job before it counts as gone: one listing alone has been seen to drop live jobs."""


class TicketState(enum.Enum):
    """Where a job stands, as its queue sees it."""

    waiting = "not sent yet"
    sent = "the command that submits it was started, or is about to be"
    placing = "a job of another run; which batch server has it is not known yet"
    out_of_reach = "in another batch server, which does not answer from here"
    unsure = "may or may not be in the batch system, which is searched for it"
    queued = "in the batch system, as far as we know"
    gone = "the batch system no longer lists it"
    ended = "it ended as a job of this machine, or the batch system accepted its cancellation"
    refused = "the batch system did not accept it"
    not_found = "the batch system was searched for it and has no such job"


_S = TicketState
NEXT: Mapping[TicketState, frozenset[TicketState]] = {
    _S.waiting: frozenset({_S.sent, _S.placing, _S.unsure, _S.queued, _S.refused, _S.not_found}),
    _S.placing: frozenset({_S.out_of_reach, _S.unsure, _S.queued, _S.ended}),
    _S.out_of_reach: frozenset({_S.unsure, _S.queued, _S.ended}),
    _S.sent: frozenset({_S.waiting, _S.unsure, _S.queued, _S.refused}),
    _S.unsure: frozenset({_S.queued, _S.not_found, _S.out_of_reach}),
    _S.queued: frozenset({_S.gone, _S.ended}),
    _S.gone: frozenset({_S.queued, _S.ended}),
    _S.ended: frozenset(),
    _S.refused: frozenset(),
    _S.not_found: frozenset(),
}
"""All moves there are. From `ended`, `refused` and `not_found` there is no way back."""


class SharedJob(Protocol):
    """A job that runs several tasks, as the ticket of one of them shows it."""

    marker: Marker | None
    """What its job script left when it ended."""

    @property
    def size(self) -> int:
        """How many tasks it runs, as far as that is known."""

    @property
    def is_over(self) -> bool:
        """Nothing of it begins any more, and nothing of it is at work."""

    @property
    def has_begun_any(self) -> bool:
        """Whether one of its tasks has begun, as far as is known."""

    def has_begun(self, token: str) -> bool:
        """Whether the task of an attempt has begun, as far as is known."""

    def read_ledger(self, at_most_every: float = 0.0) -> set[str]:
        """Learns which tasks have begun; returns those that are new. Raises OSError."""


@dataclass(eq=False)
class Ticket:
    """One job in a queue, from the moment it was handed in. Only the queue writes to it."""

    spec: JobSpec
    label: str = ""
    """What the batch system's answers call this job: its token, but for elements of an array."""
    before_sending: Callable[[Ticket], None] | None = None
    """Called right before the job is sent, maybe on a thread; an OSError keeps it from being sent now."""
    state: TicketState = TicketState.waiting
    reason: str = ""
    """Why it is unsure, refused or not found: the words of the batch system."""
    job_id: str | None = None
    server: str = ""
    """The batch server that has it, as `BatchSystem.parse_server` calls it; empty if that is not known."""
    is_own: bool = False
    """This run submitted it: as long as it is listed, its number proves that it is this job, whatever its labels."""
    may_be_elsewhere: bool = False
    """Nobody knows to which server it was submitted: that this one does not list it means nothing."""
    submitted_at: float = float("-inf")
    """When it was submitted, by the clock of the queue."""
    tied_at: float = float("-inf")
    """When an answer last listed its number with its label."""
    info: JobInfo | None = None
    """The last that the batch system reported about it."""
    tries: int = 0
    """Submissions that the batch system put off."""
    searches: int = 0
    """Searches that did not find it."""
    absent: int = 0
    """Answers in a row that lacked the job; those that may be from one snapshot count as one."""
    missed: bool = False
    """The last answer lacked it, for whatever reason."""
    absent_at: float = 0.0
    """When the last of them came."""
    answers: int = 0
    """Answers so far that had the job."""
    end_reported: bool = False
    """Its job script reported that a signal ended it, unless the batch system runs it once more."""
    cancelled: bool = False
    """It is to leave the batch system, wherever it is by now."""
    when_over: Callable[[], None] | None = None
    """Called as soon as there is no such job any more."""
    requested: Requested = field(default_factory=Requested)
    """What it asks for."""
    released: bool = False
    """It was judged: nobody waits for news of it."""
    pack: SharedJob | None = None
    """The job that its task shares with others; None if it has one of its own."""

    def __post_init__(self) -> None:
        self.label = self.label or self.spec.token

    def move(self, state: TicketState, reason: str = "") -> None:
        """Called by the queue only. What is over stays over: a move that `NEXT` does not have changes nothing."""
        if state in NEXT[self.state]:
            self.state, self.reason = state, reason
            if self.is_over and self.when_over is not None:
                self.when_over()

    @property
    def names_job(self) -> str:
        """The token of its job: its own, unless its task shares one with others."""
        return self.spec.token if self.spec.pack is None else self.spec.pack.name

    @property
    def logs(self) -> Path:
        """The folder with what its task has printed, or, if a job of several has not come to it, what that has."""
        of_pack = self.spec.pack
        return self.spec.log_folder if of_pack is None or (self.spec.log_folder / "stderr").exists() else of_pack

    @property
    def is_over(self) -> bool:
        """There is no such job, or no longer."""
        return not NEXT[self.state]

    @property
    def may_be_there(self) -> bool:
        """The batch system has the job, or may have it or have had it."""
        return self.state not in (TicketState.waiting, TicketState.refused)

    @property
    def is_gone(self) -> bool:
        """The batch system no longer knows the job, or never did."""
        return self.state in (TicketState.gone, TicketState.not_found)


class Queue(Protocol):
    """What `JobQueue` and the local batch system have in common. Nothing here waits, but `close`."""

    @property
    def name(self) -> str:
        """Name of the batch system."""

    @property
    def carries_files(self) -> bool:
        """Whether the system can carry files to the node and back."""

    @property
    def shares_jobs(self) -> bool:
        """Whether several tasks may share a job."""

    @property
    def slots(self) -> int | None:
        """How many jobs run at once at most; None if that is not known."""

    @property
    def leaving(self) -> set[Path]:
        """The job scripts of jobs that may be at work although nobody wants them any more."""

    def hold(self, scripts: set[Path]) -> None:
        """Starts none of these job scripts until it is called again: something else may be at work on their tasks."""

    def options(self, setting: Setting) -> Mapping[str, Any]:
        """The settings of one task that this system cares about. Raises ValueError, naming the setting."""

    def check(self, spec: JobSpec) -> None:
        """Raises ValueError for a job this system could not carry as it is."""

    def submit(
        self, spec: JobSpec, before_sending: Callable[[Ticket], None] | None = None, share: Any = None
    ) -> Ticket:
        """Hands a job in; it is sent at the next `step`. `before_sending`: see `Ticket`.

        `share`: what the task brings along that may share its job with others, if the queue `shares_jobs`.
        """

    def attach(self, spec: JobSpec, facts: Mapping[str, Any]) -> Ticket:
        """Follows a job of another run; `facts`: what the record of its attempt says.

        A job without an id is searched for. Raises ValueError for a job of which nothing can be known here.
        """

    def step(self, more_to_come: bool = False) -> list[Ticket]:
        """Moves everything a little; returns the tickets with news (id, refusal, state, gone).

        `more_to_come`: more jobs are being prepared, so that a few may wait for others.
        """

    def hurry(self, ticket: Ticket) -> None:
        """Asks for this job soon: it looks as if it had ended."""

    def calm(self, ticket: Ticket) -> None:
        """The job lives on, although it looked as if it had ended."""

    def hear(self, markers: Mapping[str, Inbox]) -> list[Ticket]:
        """Learns which job scripts have left markers, by token; returns tickets of other tasks that this concerns."""

    def learn(self, family: str, seconds: float) -> None:
        """A task of this class has taken so long."""

    def cancel(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        """Removes jobs from the batch system: at the next `step`, or within seconds, together with others."""

    def cancel_then(self, ticket: Ticket, when_over: Callable[[], None], soon: bool = True) -> None:
        """Cancels a job, and calls `when_over` as soon as there is no such job any more: now, if there is none."""

    def release(self, ticket: Ticket) -> None:
        """Forgets a job that was judged. If it is being cancelled, that goes on."""

    def detach(self, ticket: Ticket) -> None:
        """Leaves a job to another run: there will be no news of it here, and it is not cancelled."""

    def leave(self, patience: float) -> None:
        """Leaves the jobs where they are; waits, at most `patience` seconds, for submissions under way."""

    def close(self, patience: float, enough: Callable[[], bool]) -> list[Ticket]:
        """Cancels all jobs and waits until that is done; returns what may be left.

        At most `patience` seconds, or until `enough` says so.
        """


def never() -> bool:
    """Nobody is in a hurry."""
    return False


def counted(jobs: int) -> str:
    """A number of jobs, for messages."""
    return "1 job" if jobs == 1 else f"{jobs:,} jobs"


def ids(tickets: Iterable[Ticket]) -> list[str]:
    """The job ids of those that have one."""
    return [ticket.job_id for ticket in tickets if ticket.job_id is not None]
