"""Tasks that share a job: what becomes of each, over a queue that a test moves by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from luigi.task import flatten

import b2luigi
from b2luigi.batch.attempts.ledger import Ledger
from b2luigi.batch.attempts.outcome import DONE, FAILED, Marker, Outcome
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.attempts.runs import Runs
from b2luigi.batch.packs.queue import PATIENT, PackingQueue
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.processes.run import Run
from b2luigi.batch.queue.ticket import Ticket, TicketState
from b2luigi.batch.systems.model import Cause, JobInfo, JobStatus
from b2luigi.core.files import write_atomically
from b2luigi.core.settings import with_new_settings
from tests.batch.packs.lane import Below
from tests.batch.processes.hands import Work, accept, at_once, refuse, search_in_vain
from tests.present import present

RUNNING = JobInfo(JobStatus.running, "R", node="n1")
ENDED = JobInfo(JobStatus.successful, "CD", 0)
LOST = JobInfo(JobStatus.aborted, "NODE_FAIL", None, Cause.infrastructure)
STARVED = JobInfo(JobStatus.aborted, "OUT_OF_MEMORY", 137, Cause.memory)


class Tasks:
    """A run with tasks that share jobs."""

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self.folder, self.now = folder, 1000.0
        self.below = Below()
        self.below.shares_jobs = True
        self.queue = PackingQueue(self.below, clock=lambda: self.now)
        self.runs = Runs(folder / "task_file_dir", clock=lambda: self.now)
        self.run = Run(self.runs, {}, lambda name: self.queue, clock=lambda: self.now, writer=at_once(), fresh=fresh)
        self.results: dict[int, tuple[Any, ...]] = {}
        self.processes: list[ClusterProcess] = []

    def start(self, number: int) -> list[ClusterProcess]:
        """So many tasks are started."""
        for n in range(number):
            put = SimpleNamespace(put=lambda result, n=n: self.results.update({n: result}))
            process = ClusterProcess(Work(n=n), None, put, 0)
            process.connect(self.queue, self.run)
            process.run()
            self.processes.append(process)
        return self.processes

    def pack(self, number: int = 3, job_id: str = "7") -> tuple[Ticket, list[ClusterProcess]]:
        """The job of so many tasks, which the batch system has accepted."""
        processes = self.start(number)
        return self.sent(job_id), processes

    def sent(self, job_id: str) -> Ticket:
        """The next job is formed, sent and accepted."""
        self.wait(PATIENT)
        job = self.below.tickets[-1]
        present(job.before_sending)(job)
        accept(job, job_id)
        self.hear_of(job)
        return job

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.queue.step()
        self.look()

    def hear_of(self, job: Ticket, info: JobInfo | None = None) -> None:
        """The batch system says something about a job."""
        job.info = info or job.info
        self.below.news = [job]
        self.queue.step()
        self.look()

    def look(self) -> None:
        """All that is known is weighed."""
        markers = dict(self.runs.markers())
        self.queue.hear(markers)
        for process in self.processes:
            inbox = markers.get(process.token)
            process.look(inbox.read(process.token) if inbox is not None else None)

    def begin(self, job: Ticket, *processes: ClusterProcess) -> None:
        """The node begins with tasks."""
        for process in processes:
            Ledger(job.spec.folder).begin(process.token)

    def end(self, process: ClusterProcess, status: str = DONE) -> None:
        """A task ends on its node."""
        job = present(process.job)
        for target in flatten(job.task.output()) if status == DONE else ():
            Path(target.path).parent.mkdir(parents=True, exist_ok=True)
            Path(target.path).touch()
        outcome = Outcome(status, task_id=job.task.task_id, usage={"wall": 3.0})
        write_atomically(job.ticket.spec.outcome, outcome.to_json(), 0o600)
        marker = Marker(0 if status == DONE else 1, True, alone=True)
        (job.ticket.spec.inbox / process.token).write_text(marker.to_text())
        self.look()

    def end_job(self, job: Ticket, text: str = "0 none\n") -> None:
        """The job script of a pack ends."""
        (job.spec.inbox / job.spec.token).write_text(text)
        self.look()

    def status(self, n: int) -> str | None:
        """What luigi hears of a task, if it does."""
        return self.results[n][1] if n in self.results else None


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[Tasks]:
    """A run in which nothing was started."""
    with with_new_settings():
        for key in ("log_dir", "task_file_dir", "result_dir"):
            b2luigi.set_setting(key, str(tmp_path / key))
        b2luigi.set_setting("tasks_per_job", 3)
        b2luigi.set_setting("job_retries", 1)
        yield Tasks(tmp_path)


def record_of(process: ClusterProcess) -> dict[str, Any]:
    """What is on disk about an attempt."""
    return dict(json.loads(present(process.job).record.path.read_text()))


def test_each_task_gets_its_own_result_as_soon_as_it_ends(tasks: Tasks) -> None:
    """The job works on with the others."""
    job, (first, second, third) = tasks.pack()
    tasks.begin(job, first)
    tasks.hear_of(job, RUNNING)
    tasks.end(first)
    assert [tasks.status(n) for n in range(3)] == [DONE, None, None]
    tasks.begin(job, second)
    tasks.end(second, FAILED)
    assert [tasks.status(n) for n in range(3)] == [DONE, FAILED, None]
    tasks.end(third)
    assert [tasks.status(n) for n in range(3)] == [DONE, FAILED, DONE]


def test_the_record_of_each_task_leads_to_the_job(tasks: Tasks) -> None:
    """Its token, its label and its number: a later run that finds any of them finds it."""
    job, processes = tasks.pack()
    for process in processes:
        facts = record_of(process)
        assert (facts["pack"], facts["mark"], facts["job_id"]) == (job.spec.token, job.label, "7")


def test_what_a_job_has_not_begun_when_it_ends_is_submitted_again_at_no_cost(tasks: Tasks) -> None:
    """No try, no retry, no failure; its job script has run to its end, say since its time was over."""
    job, (first, second, third) = tasks.pack()
    tasks.begin(job, first)
    tasks.hear_of(job, RUNNING)
    tasks.end(first)
    before = [second.token, third.token]
    tasks.end_job(job)
    tasks.sent("8")
    assert [second.token, third.token] != before
    assert [present(one.job).ticket.job_id for one in (second, third)] == ["8", "8"]
    assert (second._retries, tasks.run.tries[second.task.task_id], vars(second.task)["job_attempt"]) == (0, 1, 1)
    assert dict(tasks.run.not_begun) == {"hand job 7": 2}
    assert [tasks.status(n) for n in range(3)] == [DONE, None, None]


@pytest.mark.parametrize("info", [LOST, STARVED], ids=["node lost", "no memory"])
def test_when_a_job_dies_the_task_at_work_is_judged_and_the_others_are_not(tasks: Tasks, info: JobInfo) -> None:
    """Done is done; the one at work has cost a retry; the one that had not begun nothing."""
    job, (first, second, third) = tasks.pack()
    tasks.begin(job, first, second)
    tasks.hear_of(job, RUNNING)
    tasks.end(first)
    tasks.hear_of(job, info)
    tasks.wait(61.0)
    assert tasks.status(0) == DONE
    assert [one._retries for one in (second, third)] == [1, 0]
    assert [tasks.run.tries[one.task.task_id] for one in (second, third)] == [2, 1]


def test_a_job_that_died_before_its_first_task_counts_for_all(tasks: Tasks) -> None:
    """Or else a job that always dies would be submitted for ever."""
    job, processes = tasks.pack()
    tasks.hear_of(job, RUNNING)
    tasks.hear_of(job, LOST)
    tasks.wait(61.0)
    assert [one._retries for one in processes] == [1, 1, 1]


def test_a_job_script_that_fails_before_its_first_task_fails_all(tasks: Tasks) -> None:
    """An error in the script: trying again would not help."""
    job, _ = tasks.pack()
    tasks.hear_of(job, RUNNING)
    tasks.end_job(job, "1 none\n")
    tasks.wait(1.0)
    assert [tasks.status(n) for n in range(3)] == [FAILED] * 3


def test_a_ledger_that_cannot_be_read_judges_nothing(tasks: Tasks) -> None:
    """Whether a task has begun is not known for now."""
    job, processes = tasks.pack()
    (job.spec.folder / "begun").mkdir()
    tasks.hear_of(job, RUNNING)
    tasks.end_job(job)
    tasks.wait(1.0)
    assert [one.token for one in processes] == [present(one.job).token for one in processes]
    assert tasks.results == {}
    (job.spec.folder / "begun").rmdir()
    tasks.begin(job, processes[0])
    before = processes[1].token
    tasks.wait(2.0)
    assert processes[1].token != before


def test_a_task_whose_own_word_has_come_is_not_taken_for_one_that_had_not_begun(tasks: Tasks) -> None:
    """The ledger is behind: its outcome proves that it was at work."""
    job, (first, second, _) = tasks.pack()
    tasks.begin(job, first)
    tasks.hear_of(job, RUNNING)
    tasks.end(second)
    tasks.end_job(job)
    assert tasks.status(1) == DONE


def test_a_task_that_crashed_is_not_taken_for_one_that_had_not_begun(tasks: Tasks) -> None:
    """Its own marker proves that it was at work, whatever the ledger says."""
    job, (first, second, _) = tasks.pack()
    tasks.begin(job, first)
    tasks.hear_of(job, RUNNING)
    (job.spec.inbox / second.token).write_text("139 none alone\n")
    tasks.end_job(job)
    tasks.wait(1.0)
    assert tasks.status(1) == FAILED


def test_what_was_read_before_the_end_is_no_word_on_what_had_begun(tasks: Tasks) -> None:
    """A task that began a moment before its job died was at work."""
    job, (first, second, third) = tasks.pack()
    tasks.begin(job, first)
    tasks.hear_of(job, RUNNING)
    tasks.wait(2.0)
    tasks.begin(job, second)
    tasks.hear_of(job, LOST)
    tasks.wait(0.1)
    assert [one._retries for one in (first, second, third)] == [1, 1, 0]


def test_all_hear_that_the_batch_system_refused_their_job(tasks: Tasks) -> None:
    """With its words; nothing of them is in the batch system."""
    processes = tasks.start(3)
    tasks.wait(PATIENT)
    (job,) = tasks.below.tickets
    refuse(job, "no such queue")
    tasks.hear_of(job)
    assert [tasks.status(n) for n in range(3)] == [FAILED] * 3
    assert all(process.is_over for process in processes)


def test_a_job_that_may_have_been_submitted_and_is_not_there_is_submitted_again(tasks: Tasks) -> None:
    """Its tasks, that is, in another job; the first one finds nothing to do if it comes after all."""
    processes = tasks.start(3)
    tasks.wait(PATIENT)
    (job,) = tasks.below.tickets
    present(job.before_sending)(job)
    search_in_vain(job, "timeout")
    folders = [present(one.job).record.path.parent for one in processes]
    tasks.hear_of(job)
    assert all(will_not_work(folder) for folder in folders)
    tasks.wait(31.0)
    tasks.sent("8")
    assert [present(one.job).ticket.job_id for one in processes] == ["8"] * 3


def will_not_work(folder: Path) -> bool:
    """Whether the last job of a task ends at once, should it start after all."""
    _, records = Record.all_in(folder)
    return "ended" in records[-1].facts and records[-1].facts.get("void") is True


def test_a_hold_is_reported_once_for_each_job(tasks: Tasks, caplog: pytest.LogCaptureFixture) -> None:
    """It may have a thousand tasks."""
    job, _ = tasks.pack()
    tasks.hear_of(job, replace(RUNNING, status=JobStatus.idle, native="HOLD: no such file", held=True))
    tasks.wait(1.0)
    assert caplog.text.count("waits for you") == 1


def test_a_task_that_is_cancelled_is_over_and_the_others_are_not(tasks: Tasks) -> None:
    """Its void keeps it from beginning."""
    job, (first, second, _) = tasks.pack()
    tasks.begin(job, second)
    tasks.hear_of(job, RUNNING)
    folder, token = present(first.job).record.path.parent, first.token
    assert first.cancel("you") == ""
    tasks.wait(0.1)
    assert (folder / f"{token}.void").exists()
    assert (tasks.status(0), tasks.status(1)) == (FAILED, None)
    assert tasks.below.cancelled == []
    tasks.end(second)
    assert tasks.status(1) == DONE


def test_the_durations_of_tasks_are_learned(tasks: Tasks) -> None:
    """For "auto"."""
    job, (first, *_) = tasks.pack()
    tasks.begin(job, first)
    tasks.hear_of(job, RUNNING)
    tasks.end(first)
    assert tasks.queue._sizes.durations.mean("Work") == 3.0


def test_a_later_run_takes_the_job_over_task_by_task(tasks: Tasks) -> None:
    """One job is followed; what was done counts, what had not begun is submitted again."""
    job, (first, second, _) = tasks.pack()
    tasks.begin(job, first)
    tasks.hear_of(job, RUNNING)
    tasks.runs.own.leave()
    later = Tasks(tasks.folder)
    later.start(3)
    assert len(later.below.attached) == 1
    assert [present(one.job).ticket.job_id for one in later.processes] == ["7"] * 3
    (again,) = later.below.tickets
    later.hear_of(again, RUNNING)
    later.wait(2.0)
    later.end(later.processes[0])
    assert later.status(0) == DONE
    later.end_job(again)
    later.sent("8")
    assert [present(one.job).ticket.job_id for one in later.processes[1:]] == ["8", "8"]
    assert second.token != later.processes[1].token


def test_a_fresh_run_cancels_the_job_and_submits_its_tasks_anew(tasks: Tasks) -> None:
    """When it is gone; two jobs are never at work on a task."""
    tasks.pack()
    tasks.runs.own.leave()
    later = Tasks(tasks.folder, fresh=True)
    later.start(3)
    later.look()
    later.wait(0.1)
    (old,) = later.below.cancelled
    assert old.spec.is_pack
    later.look()
    later.wait(PATIENT)
    assert later.below.tickets == [old]
    old.move(TicketState.ended)
    later.hear_of(old)
    later.sent("8")
    assert [present(one.job).ticket.job_id for one in later.processes] == ["8"] * 3
