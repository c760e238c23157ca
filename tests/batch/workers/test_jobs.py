"""What is logged at the end of a run about the jobs that it leaves behind, or does not."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.batch.attempts.runs import Runs
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.processes.run import Run
from b2luigi.batch.queue.local import LocalQueue
from b2luigi.batch.queue.ticket import Ticket, TicketState, never
from b2luigi.batch.systems.model import Cause, JobInfo, JobStatus
from b2luigi.batch.workers.jobs import Jobs
from tests.batch.processes.hands import HandQueue, Job, Work, a_process, accept, at_once
from tests.batch.systems.recorded import a_job


def a_job_of(ticket: Ticket | None) -> ClusterProcess:
    """A task whose job is as the ticket says; None: it was postponed."""
    return a_process(HandQueue(), ticket)


def a_ticket(token: str, state: TicketState) -> Ticket:
    return Ticket(a_job(token), state=state)


def there() -> ClusterProcess:
    return a_job_of(a_ticket("ab", TicketState.queued))


@pytest.mark.parametrize(
    ("jobs", "logged"),
    [
        ([], []),
        ([there()], ["Cancelling 1 job; please wait (press Ctrl-C again to stop waiting).", "Cancelled 1 job."]),
        (
            [there(), a_job_of(a_ticket("cd", TicketState.sent)), a_job_of(a_ticket("ef", TicketState.unsure))],
            ["Cancelling 3 jobs; please wait (press Ctrl-C again to stop waiting).", "Cancelled 3 jobs."],
        ),
        (
            [there(), a_job_of(Ticket(a_job("cd"))), a_job_of(None)],
            ["Cancelling 1 job; please wait (press Ctrl-C again to stop waiting).", "Cancelled 1 job."],
        ),
        ([a_job_of(Ticket(a_job("cd")))], []),
    ],
    ids=["none", "one", "some of doubt", "some not sent", "none sent"],
)
def test_the_number_of_cancelled_jobs_is_true(
    jobs: list[ClusterProcess], logged: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs that never left this process need no cancelling, and are not logged as cancelled."""
    assert Jobs().cancel(jobs, never) == []
    assert caplog.messages == logged


class Deaf(HandQueue):
    """A queue in which no job can be cancelled."""

    def close(self, patience: float, enough: Callable[[], bool] = never) -> list[Ticket]:
        return self.tickets


def shared(token: str) -> Ticket:
    """A task that shares job 7 with others."""
    spec = replace(a_job(token), pack=Path("/packs/of-several"))
    return Ticket(spec, state=TicketState.queued, job_id="7")


def test_a_job_of_several_tasks_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """What is cancelled, and what may be left: nobody has to look for 50 jobs where there is one."""
    jobs, queue = Jobs(), Deaf()
    queue.tickets = [shared(token) for token in ("ab", "cd", "ef")]
    jobs.queues["hand"] = queue
    jobs.cancel([a_job_of(ticket) for ticket in queue.tickets], never)
    assert [message for message in caplog.messages if "cancel" in message.lower()] == [
        "Cancelling 1 job; please wait (press Ctrl-C again to stop waiting).",
        "Could not confirm that this job was cancelled; please check: hand job 7",
    ]


def test_jobs_of_another_run_are_not_logged_as_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """They keep running: they belong to that run."""
    queue = HandQueue()
    watched = a_process(queue, a_ticket("cd", TicketState.queued), watched=True)
    Jobs().cancel([there(), watched], never)
    assert caplog.messages[-1] == "Cancelled 1 job."
    assert [ticket.spec.token for ticket in queue.detached] == ["cd"]


def test_jobs_that_wait_for_a_slot_are_not_logged_as_cancelled(
    script_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On this machine most of a large run has not begun when Ctrl-C comes."""
    jobs = Jobs()
    queue = jobs.queues["local"] = LocalQueue(folder=script_folder, slots=1)
    tickets = [queue.submit(a_job(token)) for token in ("ab", "cd")]
    jobs.cancel([a_job_of(ticket) for ticket in tickets], never)
    assert caplog.messages == []


class Reporting(HandQueue):
    """A queue that reports all of its jobs at each step, in the order in which they were submitted."""

    def step(self, more_to_come: bool = False) -> list[Ticket]:
        return self.tickets

    def close(self, patience: float, enough: Callable[[], bool] = never) -> list[Ticket]:
        return []


def test_results_come_in_the_order_in_which_the_queue_reports_them(script_folder: Path) -> None:
    """Not in the order of a set, which differs from run to run, and with it the log and luigi's next choices."""
    jobs, site, results = Jobs(lambda: 0.0), Reporting(), queue.SimpleQueue[Any]()
    jobs.queues["hand"] = site
    shared = Run(Runs(script_folder / "task_files"), {}, lambda name: site, writer=at_once())
    tasks = [Work(n=n) for n in range(20)]
    for task in tasks:
        process = ClusterProcess(task, None, results, 0)
        process.connect(site, shared)
        process.run()
        jobs.register(process)
    for number, ticket in enumerate(site.tickets):
        accept(ticket, str(number))
        ticket.info = JobInfo(JobStatus.aborted, "killed by its owner", cause=Cause.cancelled)
    jobs.look()
    assert [results.get_nowait()[0] for _ in tasks] == [task.task_id for task in tasks]


class Noting(HandQueue):
    """A queue that notes whether it is to wait for more jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.more_to_come: list[bool] = []

    def step(self, more_to_come: bool = False) -> list[Ticket]:
        self.more_to_come.append(more_to_come)
        return super().step(more_to_come)


def test_many_jobs_with_news_are_weighed_in_several_looks(script_folder: Path) -> None:
    """Ten thousand may begin at once, or end; each has its turn, also if those before it have to wait for something.

    Meanwhile more jobs may be to come: those whose tasks are submitted again.
    """
    now = itertools.count()
    jobs, site, results = Jobs(lambda: float(next(now))), Noting(), queue.SimpleQueue[Any]()
    jobs.queues["hand"] = site
    shared = Run(Runs(script_folder / "task_files"), {}, lambda name: site, writer=at_once())
    tasks = [Work(n=n) for n in range(4)]
    for task in tasks:
        process = ClusterProcess(task, None, results, 0)
        process.connect(site, shared)
        process.run()
        jobs.register(process)
    for number, ticket in enumerate(site.tickets):
        accept(ticket, str(number))
        (shared.runs.own.folder / ticket.spec.token).write_text("0 outcome")  # which is late
    site.news = list(site.tickets)
    assert jobs.look()
    is_noted = [process.job is not None and process.job.is_ending for process in jobs._by_token.values()]
    assert is_noted == [True, False, False, False]
    for _ in range(4):
        jobs.look()
    assert all(process.job is not None and process.job.is_ending for process in jobs._by_token.values())
    assert site.more_to_come == [False, True, True, True, False]


@pytest.fixture
def job(script_folder: Path) -> Job:
    """A job that was not started."""
    for key in ("log_dir", "task_file_dir", "result_dir"):
        b2luigi.set_setting(key, str(script_folder / key))
    return Job(script_folder)


def test_a_late_marker_of_an_earlier_attempt_says_nothing_of_the_new_one(job: Job) -> None:
    """A lost job that was submitted again may show its marker yet, which is removed."""
    jobs = Jobs()
    jobs.queues["hand"] = job.queue
    job.process.run()
    jobs.register(job.process)
    first, ticket = job.process.token, job.in_flight.ticket
    accept(ticket, "7")
    ticket.info = JobInfo(JobStatus.aborted, "node lost", cause=Cause.infrastructure)
    job.queue.news = [ticket]
    jobs.look()
    second = job.process.token
    (job.runs.own.folder / first).write_text("1 none\n")
    jobs.look()
    assert (second != first, job.process.token, job.results) == (True, second, [])
    assert job.runs.own.tokens() == []
