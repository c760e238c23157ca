"""A queue that a test moves by hand, and a task that runs as a job in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import b2luigi
from b2luigi.batch.attempts.runs import Runs
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.processes.preparation import Run
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import JobSpec


class Work(b2luigi.Task):
    """What the jobs are to do."""

    n = b2luigi.IntParameter(default=1)

    def output(self) -> Any:
        yield self.add_to_output("out.txt")


class HandQueue:
    """A queue in which nothing happens by itself."""

    name = "hand"
    carries_files = False

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.cancelled: list[Ticket] = []
        self.released: list[Ticket] = []
        self.hurried = 0
        self.attached: list[dict[str, Any]] = []
        self.problem = ""
        self.stranger = ""
        """Why nothing can be known of a job of an earlier run."""
        self.nowhere = ""
        """Why a job of an earlier run is not found at once."""

    def options(self, setting: Any) -> Mapping[str, Any]:
        return {"queue": setting("queue")}

    def check(self, spec: JobSpec) -> None:
        if self.problem:
            raise ValueError(self.problem)

    def submit(self, spec: JobSpec) -> Ticket:
        self.tickets.append(Ticket(spec))
        return self.tickets[-1]

    def attach(self, spec: JobSpec, facts: Mapping[str, Any]) -> Ticket:
        if self.stranger:
            raise ValueError(self.stranger)
        self.attached.append(dict(facts))
        return Ticket(spec, job_id=facts.get("job_id"), refused=self.nowhere)

    def leave(self, patience: float) -> None:
        pass

    def step(self) -> list[Ticket]:
        return []

    def hurry(self, ticket: Ticket) -> None:
        self.hurried += 1

    def cancel(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        for ticket in tickets:
            if not ticket.cancelled and not ticket.others:
                ticket.cancelled = True
                self.cancelled.append(ticket)

    def release(self, ticket: Ticket) -> None:
        self.released.append(ticket)

    def close(self, patience: float) -> list[Ticket]:
        return []


class Job:
    """A process, its queue, and what luigi hears of it."""

    def __init__(self, folder: Path) -> None:
        self.results: list[tuple[Any, ...]] = []
        self.now = 100.0
        self.queue = HandQueue()
        self.runs = Runs(folder / "task_file_dir", clock=lambda: self.now)
        self.output = folder / "result_dir" / "n=1" / "out.txt"
        self.process = ClusterProcess(Work(), None, self, 0)
        self.shared = Run(self.runs, {}, lambda name: self.queue, clock=lambda: self.now)
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
        ticket.job_id = job_id
        self.process.look()
        return ticket

    @property
    def record(self) -> dict[str, Any]:
        """What is on disk about the attempt."""
        assert self.process.attempt is not None
        return dict(json.loads(self.process.attempt.path.read_text()))

    @property
    def status(self) -> str | None:
        """What luigi was told, if it was."""
        assert len(self.results) <= 1
        return self.results[0][1] if self.results else None
