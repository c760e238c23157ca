"""A queue that a test moves by hand, and a task that runs as a job in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import b2luigi
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.attempts.runs import Runs
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.processes.job import JobInFlight
from b2luigi.batch.processes.run import Run
from b2luigi.batch.processes.writer import Writer
from b2luigi.batch.queue.ticket import Ticket, TicketState
from b2luigi.batch.systems.model import JobSpec


class Work(b2luigi.Task):
    """What the jobs are to do."""

    n = b2luigi.IntParameter(default=1)

    def output(self) -> Any:
        yield self.add_to_output("out.txt")


class Greedy(Work):
    """Asks for something else at each try."""

    @property
    def queue(self) -> str:
        return f"queue-{self.job_attempt}"


class Hiccups(Work):
    """Its outputs can be asked for only at the third try."""

    asked = 0

    def output(self) -> Any:
        self.asked += 1
        if self.asked == 2 or self.asked == 3:  # the first question comes before the submission
            raise OSError("Stale file handle")
        yield self.add_to_output("out.txt")


class HandQueue:
    """A queue in which nothing happens by itself."""

    carries_files = shares_jobs = False
    slots: int | None = None

    def __init__(self, name: str = "hand") -> None:
        self.name = name
        self.leaving: set[Path] = set()
        self.held: set[Path] = set()
        self.tickets: list[Ticket] = []
        self.cancelled: list[Ticket] = []
        self.released: list[Ticket] = []
        self.detached: list[Ticket] = []
        self.hurried = 0
        self.news: list[Ticket] = []
        """What the next step returns."""
        self.attached: list[dict[str, Any]] = []
        self.problem = ""
        self.stranger = ""
        """Why nothing can be known of a job of an earlier run."""
        self.places: TicketState | None = None
        """Where a job of an earlier run stands that is in another batch server."""
        self.nowhere = ""
        """Why a job of an earlier run is not found at once."""

    def options(self, setting: Any) -> Mapping[str, Any]:
        return {"queue": setting("queue")}

    def check(self, spec: JobSpec) -> None:
        if self.problem:
            raise ValueError(self.problem)

    def hold(self, scripts: set[Path]) -> None:
        self.held = scripts

    def hear(self, markers: Mapping[str, Inbox]) -> list[Ticket]:
        return []

    def learn(self, family: str, seconds: float) -> None:
        pass

    def submit(
        self, spec: JobSpec, before_sending: Callable[[Ticket], None] | None = None, share: Any = None
    ) -> Ticket:
        self.tickets.append(Ticket(spec, before_sending=before_sending))
        return self.tickets[-1]

    def attach(self, spec: JobSpec, facts: Mapping[str, Any]) -> Ticket:
        if self.stranger:
            raise ValueError(self.stranger)
        self.attached.append(dict(facts))
        ticket = Ticket(spec)
        if self.places is not None:
            ticket.job_id = str(facts["job_id"])
            ticket.move(TicketState.placing)
            ticket.move(self.places)
        elif self.nowhere:
            ticket.move(TicketState.not_found, self.nowhere)
        elif "job_id" in facts:
            accept(ticket, facts["job_id"])
        else:
            doubt(ticket, "it was about to be submitted")
        return ticket

    def leave(self, patience: float) -> None:
        pass

    def step(self, more_to_come: bool = False) -> list[Ticket]:
        news, self.news = self.news, []
        return news

    def calm(self, ticket: Ticket) -> None:
        pass

    def hurry(self, ticket: Ticket) -> None:
        self.hurried += 1

    def cancel(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        for ticket in tickets:
            if not ticket.cancelled:
                ticket.cancelled = True
                self.cancelled.append(ticket)

    def cancel_then(self, ticket: Ticket, when_over: Callable[[], None], soon: bool = True) -> None:
        if ticket.is_over:
            when_over()
        else:
            ticket.when_over = when_over
            self.cancel([ticket])

    def detach(self, ticket: Ticket) -> None:
        self.detached.append(ticket)

    def release(self, ticket: Ticket) -> None:
        self.released.append(ticket)

    def close(self, patience: float, enough: Callable[[], bool]) -> list[Ticket]:
        return []


def at_once() -> Writer:
    """For it, no disk is slow, however busy the machine is."""
    return Writer(clock=lambda: 0.0)


def beside() -> Writer:
    """For it, each disk is slow: threads write the files of jobs."""
    moments = itertools.count()
    writer = Writer(clock=lambda: float(next(moments)), busy=lambda: 0.0)
    while not writer.is_slow:
        writer.timed(lambda: None)
    return writer


def a_process(queue: HandQueue, ticket: Ticket | None, *, watched: bool = False) -> ClusterProcess:
    """A task whose job is as its ticket says; None: there is none yet."""
    run = Run(Runs(Path("/nowhere")), {}, lambda name: queue, writer=at_once())
    process = ClusterProcess(Work(), None, SimpleQueue(), 0)
    process.connect(queue, run)
    if ticket is not None:
        record = Record(ticket.spec.folder / "attempt-1.json", {"token": ticket.spec.token})
        process.job = JobInFlight(
            process.task, run, queue, record, ticket, run.runs.own, grace=60, earlier=watched, watched=watched
        )
    return process


def accept(ticket: Ticket, job_id: str) -> None:
    """The batch system has the job and calls it so."""
    ticket.move(TicketState.queued)
    ticket.job_id = job_id


def refuse(ticket: Ticket, words: str) -> None:
    """The batch system does not want the job."""
    ticket.move(TicketState.refused, words)


def doubt(ticket: Ticket, words: str) -> None:
    """The batch system may or may not have the job."""
    ticket.move(TicketState.unsure, words)


def search_in_vain(ticket: Ticket, words: str = "not found") -> None:
    """The batch system may have had the job, and has no such job."""
    doubt(ticket, words)
    ticket.move(TicketState.not_found, words)


def lose(ticket: Ticket) -> None:
    """The batch system no longer lists the job."""
    ticket.move(TicketState.gone)


def let_go(ticket: Ticket) -> None:
    """The batch system has accepted the cancellation of the job."""
    ticket.move(TicketState.ended)


class Job:
    """A process, its queue, and what luigi hears of it."""

    def __init__(self, folder: Path, task: Work | None = None) -> None:
        self.task = task if task is not None else Work()
        self.results: list[tuple[Any, ...]] = []
        self.now = 100.0
        self.queue = HandQueue()
        self.runs = Runs(folder / "task_file_dir", clock=lambda: self.now)
        self.output = folder / "result_dir" / "n=1" / "out.txt"
        self.process = ClusterProcess(self.task, None, self, 0)
        self.shared = Run(self.runs, {}, lambda name: self.queue, clock=lambda: self.now, writer=at_once())
        self.process.connect(self.queue, self.shared)

    def put(self, obj: Any) -> None:
        """luigi's queue."""
        self.results.append(obj)

    def start(self, job_id: str | None = "7") -> Ticket:
        """Submits the job, which makes its output; the batch system calls it so."""
        self.process.run()
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.output.touch()
        (ticket,) = self.queue.tickets
        if job_id is not None:
            accept(ticket, job_id)
        self.process.look()
        return ticket

    @property
    def in_flight(self) -> JobInFlight:
        """The attempt at work."""
        assert self.process.job is not None
        return self.process.job

    @property
    def record(self) -> dict[str, Any]:
        """What is on disk about the attempt."""
        return dict(json.loads(self.in_flight.record.path.read_text()))

    @property
    def status(self) -> str | None:
        """The status that luigi got, if it got one."""
        assert len(self.results) <= 1
        return self.results[0][1] if self.results else None
