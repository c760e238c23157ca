"""A task as a job in a queue: from its claim to the verdict, with a queue that a test moves by hand."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.event import Event

import b2luigi
from b2luigi.batch.attempt import Inbox
from b2luigi.batch.model import Cause, JobInfo, JobSpec, JobStatus
from b2luigi.batch.outcome import Marker, Outcome
from b2luigi.batch.processes.cluster import HURRY, ClusterProcess
from b2luigi.batch.processes.preparation import Run
from b2luigi.batch.ticket import Ticket
from b2luigi.core.settings import with_new_settings


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
        self.problem = ""

    def options(self, setting: Any) -> Mapping[str, Any]:
        return {"queue": setting("queue")}

    def check(self, spec: JobSpec) -> None:
        if self.problem:
            raise ValueError(self.problem)

    def submit(self, spec: JobSpec) -> Ticket:
        self.tickets.append(Ticket(spec))
        return self.tickets[-1]

    def step(self) -> list[Ticket]:
        return []

    def hurry(self, ticket: Ticket) -> None:
        self.hurried += 1

    def cancel(self, tickets: Iterable[Ticket]) -> None:
        self.cancelled += tickets

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
        self.inbox = Inbox(folder / "inbox")
        self.process = ClusterProcess(Work(), None, self, 0)
        self.process.connect(self.queue, Run(self.inbox, {}, clock=lambda: self.now))

    def put(self, obj: Any) -> None:
        """luigi's queue."""
        self.results.append(obj)

    def start(self, job_id: str | None = "7") -> Ticket:
        """Submits the job; the batch system calls it so."""
        self.process.run()
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


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """A job that was not started."""
    with with_new_settings():
        for key in ("log_dir", "task_file_dir", "result_dir"):
            b2luigi.set_setting(key, str(tmp_path / key))
        yield Job(tmp_path)


def test_the_claim_is_on_disk_before_the_job_is_handed_in(job: Job) -> None:
    """Token, task and batch system are recorded at once, the job id as soon as it is known."""
    job.process.run()
    assert job.record["task_id"] == job.process.task.task_id
    assert (job.record["token"], job.record["batch_system"]) == (job.queue.tickets[0].spec.token, "hand")
    assert "job_id" not in job.record
    job.queue.tickets[0].job_id = "7"
    job.process.look()
    assert job.record["job_id"] == "7"
    assert job.process.is_alive()
    assert job.queue.tickets[0].spec.options == {"queue": "s"}


def test_nothing_is_handed_in_that_could_not_be_claimed(job: Job, tmp_path: Path) -> None:
    """No record, no job: the task fails with the reason."""
    (tmp_path / "task_file_dir").write_text("a file, no folder")
    job.process.run()
    assert (job.status, job.queue.tickets) == ("FAILED", [])
    assert "no job was submitted" in job.process.story
    assert "task_file_dir" in job.process.story


def test_a_job_the_system_could_not_carry_is_not_handed_in(job: Job, tmp_path: Path) -> None:
    """What the queue says of it is told."""
    job.queue.problem = "the folder name is too beautiful"
    job.process.run()
    assert (job.status, job.queue.tickets) == ("FAILED", [])
    assert "too beautiful" in job.process.story
    (record,) = (tmp_path / "task_file_dir").rglob("attempt-*.json")
    assert json.loads(record.read_text())["end"] == "not submitted"


def test_a_grace_that_is_no_time_is_told_before_anything_is_submitted(job: Job) -> None:
    """The message names the setting."""
    b2luigi.set_setting("result_grace", "long")
    job.process.run()
    assert (job.status, job.queue.tickets) == ("FAILED", [])
    assert "result_grace has to be a number of seconds" in job.process.story


def test_an_outcome_is_delivered_whatever_else_is_said(job: Job) -> None:
    """Even when the batch system calls the job removed: its node said DONE."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("DONE", "fine").to_json())
    ticket.info = JobInfo(JobStatus.aborted, "removed", cause=Cause.cancelled)
    job.process.look(Marker(0, True))
    assert job.results == [(job.process.task.task_id, "DONE", "fine", [], [])]
    assert (job.record["end"], job.record["outcome"]["status"]) == ("DONE", "DONE")
    assert not ticket.spec.outcome.exists()
    assert job.queue.released == [ticket]


def test_the_result_is_told_once(job: Job) -> None:
    """However often somebody looks."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    for _ in range(3):
        job.process.look(Marker(0, True))
    job.process.terminate()
    assert job.status == "DONE"
    assert job.queue.cancelled == []


def test_a_promised_outcome_is_waited_for(job: Job) -> None:
    """The marker came first: on a shared file system the outcome may be seconds late."""
    ticket = job.start()
    job.process.look(Marker(0, True))
    assert (job.status, job.process.is_ending) == (None, True)
    job.now += 59
    job.process.look(Marker(0, True))
    assert job.status is None
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    job.process.look(Marker(0, True))
    assert job.status == "DONE"


def test_a_job_shot_by_a_signal_is_asked_about_in_a_hurry_but_not_for_ever(job: Job) -> None:
    """It may have been held or evicted, and run again: as long as the batch system says it lives, it lives."""
    ticket = job.start()
    job.process.look(Marker(143, False))
    assert (job.status, job.queue.hurried) == (None, 1)
    ticket.info = JobInfo(JobStatus.idle, "held by a person", held=True)
    for _ in range(5):
        job.now += HURRY
        job.process.look(Marker(143, False))
    assert (job.status, job.queue.hurried) == (None, 1)
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    job.process.look(Marker(0, True))
    assert job.status == "DONE"


def test_a_held_job_is_told_once(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """The user learns that the job waits for a person, and why."""
    ticket = job.start()
    ticket.info = JobInfo(JobStatus.idle, "held (code 1): lunch", held=True)
    with caplog.at_level(logging.WARNING):
        job.process.look()
        job.process.look()
    assert [record.getMessage() for record in caplog.records] == [
        "hand job 7 of Work(n=1) waits for you: held (code 1): lunch"
    ]


def test_a_dead_job_that_lingers_is_taken_out_of_the_queue(job: Job) -> None:
    """HTCondor keeps held jobs for ever."""
    ticket = job.start()
    ticket.info = JobInfo(JobStatus.aborted, "held (code 34): memory", cause=Cause.memory, lingers=True)
    job.process.look()
    assert job.status == "FAILED"
    assert job.queue.cancelled == [ticket]
    assert "held (code 34): memory" in job.process.story


def test_handlers_of_a_died_process_hear_of_a_died_job(job: Job) -> None:
    """luigi's Event.PROCESS_FAILURE, as for a child process that was killed."""
    heard = []

    @Work.event_handler(Event.PROCESS_FAILURE)
    def hear(task: luigi.Task, message: str) -> None:
        heard.append((task, message))

    ticket = job.start()
    ticket.info = JobInfo(JobStatus.aborted, "node gone", cause=Cause.infrastructure)
    job.process.look()
    Work.remove_event_handler(Event.PROCESS_FAILURE, hear)
    assert heard == [(job.process.task, job.process.story)]


def test_requirements_that_can_not_be_loaded_fail_their_task_and_nothing_else(job: Job) -> None:
    """luigi would raise out of the whole run."""
    ticket = job.start()
    outcome = Outcome("PENDING", new_requirements=(("no.such.module", "Thing", {}),))
    ticket.spec.outcome.write_text(outcome.to_json())
    job.process.look(Marker(0, True))
    assert job.status == "FAILED"
    assert "it yielded a requirement that can not be loaded" in job.process.story
    assert "no.such.module.Thing" in job.process.story


def test_requirements_found_while_running_reach_luigi(job: Job) -> None:
    """Module, family and parameters, as luigi wants them."""
    ticket = job.start()
    new = (__name__, "Work", {"n": "5"})
    ticket.spec.outcome.write_text(Outcome("PENDING", new_requirements=(new,)).to_json())
    job.process.look(Marker(0, True))
    assert job.results[0][1:] == ("PENDING", "", [], [new])


def test_a_record_that_can_not_be_written_any_more_fails_no_job(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is a reason for a warning, not for throwing away a running job."""
    job.process.run()
    folder = job.queue.tickets[0].spec.folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    job.queue.tickets[0].job_id = "7"
    with caplog.at_level(logging.WARNING):
        job.process.look()
    assert job.process.is_alive()
    assert "can not be written" in caplog.text
    os.unlink(folder)


def test_a_refused_job_tells_the_words_of_the_batch_system(job: Job) -> None:
    """There is no job to cancel then."""
    ticket = job.start(job_id=None)
    ticket.refused = "nosuch: No such queue. Job not submitted."
    job.process.look()
    assert job.status == "FAILED"
    assert "hand did not take the job" in job.process.story
    assert ticket.refused in job.process.story
    job.process.terminate()
    assert job.queue.cancelled == []


def test_a_stopped_job_is_cancelled_once(job: Job) -> None:
    """luigi's worker_timeout, or the end of the run."""
    ticket = job.start()
    job.process.terminate()
    job.process.terminate()
    assert job.queue.cancelled == [ticket]
    assert (job.status, job.record["end"]) == (None, "stopped")
    assert not job.process.is_alive()


def test_a_second_attempt_leaves_one_record(job: Job, tmp_path: Path) -> None:
    """Records of attempts that ended do not pile up."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("FAILED", "once").to_json())
    job.process.look(Marker(1, True))
    again = Job(tmp_path)
    ticket = again.start()
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    again.process.look(Marker(0, True))
    assert [path.name for path in ticket.spec.folder.glob("attempt-*")] == ["attempt-2.json"]
