"""One job in a queue, and what every queue of jobs can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from b2luigi.batch.systems.base import Setting
from b2luigi.batch.systems.model import JobInfo, JobSpec

ABSENCES = 2
"""Answers in a row that lack a job before it counts as gone: one listing alone has been seen to drop live jobs."""


@dataclass(eq=False)
class Ticket:
    """One job in a queue, from the moment it was handed in."""

    spec: JobSpec
    mark: str = ""
    """How the batch system tells this job in its answers; the token, but for elements of an array."""
    job_id: str | None = None
    refused: str = ""
    """Why the batch system did not take the job, in its own words; empty if it did, or may have."""
    doubt: str = ""
    """What the batch system said of a submission that may or may not have been taken."""
    searched: int = 0
    """Searches that did not find a job in doubt."""
    info: JobInfo | None = None
    """The last word of the batch system."""
    absent: int = 0
    """Answers in a row that lacked the job; those that may be from one snapshot count as one."""
    absent_at: float = 0.0
    """When the last of them came."""
    answers: int = 0
    """Answers so far that told about the job."""
    shot: bool = False
    """Its job script told that a signal ended it, unless the batch system runs it once more."""
    about_to_send: Callable[[], None] | None = None
    """Called right before the job is sent; an OSError keeps it from being sent now."""
    sent: bool = False
    """A command that submits it was started, or was about to be."""
    others: bool = False
    """Another run that lives has submitted it, and looks after it."""
    cancelled: bool = False
    left: bool = False
    """The batch system has taken its cancellation, or it ended as a job of ours."""
    when_left: Callable[[], None] | None = None
    """Called as soon as that is so."""
    released: bool = False
    """It was judged: nobody waits for news of it."""

    def __post_init__(self) -> None:
        self.mark = self.mark or self.spec.token

    def leaves(self) -> None:
        """Called by the queue, when the batch system has let the job go."""
        self.left = True
        if self.when_left is not None:
            self.when_left()
            self.when_left = None

    @property
    def may_be_there(self) -> bool:
        """The batch system has the job, or may have it."""
        return self.job_id is not None or self.sent or bool(self.doubt)

    @property
    def gone(self) -> bool:
        """The batch system no longer knows the job."""
        return self.absent >= ABSENCES


class Queue(Protocol):
    """What `JobQueue` and the local batch system have in common. Nothing here waits, but `close`."""

    @property
    def name(self) -> str:
        """Name of the batch system."""

    @property
    def carries_files(self) -> bool:
        """Whether the system can carry files to the node and back."""

    def options(self, setting: Setting) -> Mapping[str, Any]:
        """The settings of one task that this system cares about. Raises ValueError, naming the setting."""

    def check(self, spec: JobSpec) -> None:
        """Raises ValueError for a job this system could not carry as it is."""

    def submit(self, spec: JobSpec) -> Ticket:
        """Hands a job in; it is sent at the next `step`."""

    def attach(self, spec: JobSpec, facts: Mapping[str, Any]) -> Ticket:
        """Goes on with a job of another run; `facts`: what the record of its attempt says.

        A job without an id is looked for; one that is not found is `refused`.
        """

    def step(self) -> list[Ticket]:
        """Moves everything a little; returns the tickets with news (id, refusal, state, gone)."""

    def hurry(self, ticket: Ticket) -> None:
        """Asks for this job soon: it looks as if it had ended."""

    def cancel(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        """Removes jobs from the batch system: at the next `step`, or within seconds, together with others."""

    def release(self, ticket: Ticket) -> None:
        """Forgets a job that was judged."""

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
    """A number of jobs, as it is told."""
    return "1 job" if jobs == 1 else f"{jobs:,} jobs"


def ids(tickets: Iterable[Ticket]) -> list[str]:
    """The job ids of those that have one."""
    return [ticket.job_id for ticket in tickets if ticket.job_id is not None]
