"""Totals: how many tasks of each class are in which state, at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from b2luigi.batch.attempts.outcome import DONE, FAILED
from b2luigi.batch.processes.base import BatchProcess
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import JobStatus

RUNNING, QUEUED, HELD, ENDING, UNSENT = "running", "queued", "held", "ending", "to be submitted"
JOBS = (RUNNING, QUEUED, HELD, ENDING, UNSENT)
"""The states of jobs."""
WORDS = {JobStatus.idle: QUEUED, JobStatus.running: RUNNING}
"""All others have ended: until they are judged, what they leave is waited for."""
OVER = (DONE, FAILED, "DISABLED")
"""luigi's statuses of tasks that need no job any more."""


@dataclass(frozen=True)
class Totals:
    """The tasks of a run, by class: how many have which of luigi's statuses, and how many jobs are in which state."""

    statuses: Mapping[str, Counter[str]]
    jobs: Mapping[str, Counter[str]]

    @property
    def tasks(self) -> int:
        """All tasks that the run knows by now."""
        return sum(counts.total() for counts in self.statuses.values())

    def of_status(self, *statuses: str) -> int:
        """The tasks of all classes with one of these statuses."""
        return sum(counts[status] for counts in self.statuses.values() for status in statuses)

    def of_jobs(self, state: str) -> int:
        """The jobs of all classes in this state."""
        return sum(counts[state] for counts in self.jobs.values())

    @property
    def failed(self) -> int:
        """Tasks that failed, also those that luigi does not try again."""
        return self.of_status(FAILED, "DISABLED")

    @property
    def done(self) -> int:
        """Tasks that are done, or were so before the run."""
        return self.of_status(DONE)

    def waiting(self, family: str) -> int:
        """The tasks of a class that are neither over nor have a job."""
        statuses, jobs = self.statuses.get(family, Counter()), self.jobs.get(family, Counter())
        return max(0, statuses.total() - sum(statuses[status] for status in OVER) - jobs.total())


def count_jobs(processes: Iterable[object]) -> Mapping[str, Counter[str]]:
    """The jobs in each state, by the class of their task. `processes`: those of all tasks that luigi has running."""
    found: dict[str, Counter[str]] = {}
    for family, state in _states(processes):
        found.setdefault(family, Counter())[state] += 1
    return found


def _states(processes: Iterable[object]) -> Iterator[tuple[str, str]]:
    for process in processes:
        if isinstance(process, ClusterProcess):
            if not process.is_over:
                ticket = process.job.ticket if process.job is not None else None
                yield process.task.get_task_family(), _state(ticket, is_local=process.queue.name == "local")
        elif isinstance(process, BatchProcess) and process.last_seen in WORDS:
            yield process.task.get_task_family(), WORDS[process.last_seen]


def _state(ticket: Ticket | None, is_local: bool) -> str:
    if ticket is None or (ticket.job_id is None and not is_local):
        return UNSENT
    if ticket.info is None:
        return QUEUED
    return HELD if ticket.info.held else WORDS.get(ticket.info.status, ENDING)
