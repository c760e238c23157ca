"""Jobs whose files threads write, since the disk is slow: nothing else differs."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.processes import preparation
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.processes.earlier import PAUSE
from b2luigi.batch.processes.job import CLAIMED
from b2luigi.batch.queue.ticket import never
from b2luigi.batch.workers.jobs import Jobs
from b2luigi.core.executable import write_job_script
from b2luigi.core.paths import get_task_file_dir
from tests.batch.processes.hands import Job, Work, accept, beside
from tests.waiting import PATIENCE, until


class Asks(Work):
    """Its code has to run on the main thread."""

    asked = 0

    def note(self) -> None:
        type(self).asked += 1
        assert threading.current_thread() is threading.main_thread()

    @property
    def queue(self) -> str:
        self.note()
        return "short"

    def output(self) -> Any:
        self.note()
        yield self.add_to_output("out.txt")

    def complete(self) -> bool:
        self.note()
        return False

    def get_log_file_dir(self) -> str:
        self.note()
        return "own_logs"


@pytest.fixture
def slow(job: Job) -> Job:
    """A job that was not started, on a slow disk."""
    job.shared.writer = beside()
    return job


def moved(job: Job) -> None:
    """Looks until there is a job, or an end, or a wait for another time."""
    jobs = Jobs()
    jobs.queues["hand"] = job.queue
    jobs.register(job.process)
    process = job.process
    until(lambda: jobs.look() or process.job or process.is_over or process.needs_looks, "its files are written")


def records(job: Job) -> list[dict[str, Any]]:
    folder = Path(get_task_file_dir(job.task))
    return [json.loads(path.read_text()) for path in sorted(folder.glob("attempt-*.json"))]


def in_the_second_half(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Something happens when the job script is written, after the claim."""

    def written(*arguments: Any) -> Path:
        act()
        return write_job_script(*arguments)

    monkeypatch.setattr(preparation, "write_job_script", written)


def test_a_job_is_handed_in_once_its_files_are_written(slow: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim is on disk before; the thread that writes is not the main one."""
    writers: list[threading.Thread] = []
    in_the_second_half(monkeypatch, lambda: writers.append(threading.current_thread()))
    slow.process.run()
    assert (slow.process.job, slow.status) == (None, None)
    moved(slow)
    (ticket,) = slow.queue.tickets
    assert writers != [threading.main_thread()]
    assert ticket.spec.script.exists()
    assert [record["token"] for record in records(slow)] == [ticket.spec.token]
    assert slow.task.job_attempt == 1


def test_code_of_users_stays_on_the_main_thread(slow: Job) -> None:
    """Settings that are functions, outputs, overridden folders."""
    job = Job(Path(slow.runs.own.folder).parent.parent, Asks())
    job.shared.writer = beside()
    job.process.run()
    moved(job)
    assert len(job.queue.tickets) == 1
    assert Asks.asked >= 3


def test_the_job_of_an_earlier_run_is_resumed(slow: Job) -> None:
    """What is found beside the loop is looked at in the loop; no second job is made."""
    folder = Path(get_task_file_dir(slow.task))
    facts = {"inbox": str(folder.parent / "inbox-dead"), "batch_system": "hand", "job_id": "17"}
    former = Record.claim(folder, facts, after=0)
    slow.process.run()
    moved(slow)
    assert (slow.queue.tickets, slow.queue.attached[0]["job_id"]) == ([], "17")
    assert slow.process.token == former.token


@pytest.mark.parametrize(
    ("error", "status", "seconds"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), None, PAUSE),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "FAILED", None),
        (PermissionError(errno.EACCES, "Permission denied"), "FAILED", None),
    ],
    ids=["full", "too long", "not ours"],
)
def test_an_error_arrives_at_its_task(
    slow: Job, monkeypatch: pytest.MonkeyPatch, error: OSError, status: str | None, seconds: float | None
) -> None:
    """As if it had come in the loop: what may pass is tried again, all else fails the task; the claim is closed."""

    def fail() -> None:
        raise error

    in_the_second_half(monkeypatch, fail)
    slow.process.run()
    moved(slow)
    assert (slow.queue.tickets, slow.status) == ([], status)
    assert [record["end"] for record in records(slow)] == ["not submitted"]
    assert slow.process._due == (None if seconds is None else slow.now + seconds)
    if status:
        assert str(error.strerror) in slow.process.story


def test_a_task_that_another_run_claims_meanwhile_waits(slow: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The faster one has it; its record stays."""
    folder = Path(get_task_file_dir(slow.task))
    claim = Record.claim

    def slower(*arguments: Any, **more: Any) -> Record:
        claim(folder, {"run": "another"}, after=0)
        return claim(*arguments, **more)

    monkeypatch.setattr(Record, "claim", slower)
    slow.process.run()
    moved(slow)
    assert (slow.queue.tickets, slow.process._due) == ([], slow.now + CLAIMED)
    assert [record["run"] for record in records(slow)] == ["another"]


def test_a_setting_that_cannot_work_fails_its_task(slow: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and before anything is written."""
    monkeypatch.setattr(slow.task, "result_grace", -1, raising=False)
    slow.process.run()
    assert (slow.status, slow.queue.tickets) == ("FAILED", [])
    assert "result_grace must be a number of seconds" in slow.process.story


def test_a_breaker_that_opens_meanwhile_keeps_the_job_from_being_submitted(slow: Job) -> None:
    """A thousand jobs may be prepared when the first ones fail."""
    b2luigi.set_setting("failure_brake", 1)
    slow.process.run()
    slow.shared.breaker.failed(slow.task.get_task_family(), "no module")
    moved(slow)
    assert (slow.status, slow.queue.tickets) == ("FAILED", [])
    assert "no module" in slow.process.story
    assert [record["end"] for record in records(slow)] == ["not submitted"]


@pytest.mark.parametrize("leave", [True, False], ids=["left", "cancelled"])
def test_the_end_of_a_run_closes_what_is_being_claimed(slow: Job, monkeypatch: pytest.MonkeyPatch, leave: bool) -> None:
    """It waits for the thread at work; what no thread has begun is not begun any more."""
    begun, go_on = threading.Event(), threading.Event()

    def waits() -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    in_the_second_half(monkeypatch, waits)
    slow.shared.writer._make_pool = lambda: ThreadPoolExecutor(1)
    other = ClusterProcess(Work(n=2), None, slow, 0)
    other.connect(slow.queue, slow.shared)
    jobs = Jobs()
    jobs.queues["hand"] = slow.queue
    for process in (slow.process, other):
        process.run()
        jobs.register(process)
    assert begun.wait(PATIENCE)
    threading.Timer(0.1, go_on.set).start()
    assert (jobs.leave([slow.process, other]) if leave else jobs.cancel([slow.process, other], never)) == []
    for process in (slow.process, other):
        process.terminate()
    assert slow.queue.tickets == []
    assert [record["end"] for record in records(slow)] == ["not submitted"]
    assert not Path(get_task_file_dir(other.task)).exists()


def test_whoever_interrupts_a_run_hears_at_once_that_it_cancels_its_jobs(
    slow: Job, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also while a thread keeps it waiting: a second Ctrl-C for want of a word would leave the jobs where they are."""
    slow.process.run()
    moved(slow)
    accept(slow.queue.tickets[0], "7")
    begun, go_on, heard = threading.Event(), threading.Event(), []

    def waits() -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    in_the_second_half(monkeypatch, waits)
    other = ClusterProcess(Work(n=2), None, slow, 0)
    other.connect(slow.queue, slow.shared)
    jobs = Jobs()
    jobs.queues["hand"] = slow.queue
    other.run()
    for process in (slow.process, other):
        jobs.register(process)
    assert begun.wait(PATIENCE)

    def enough() -> bool:
        heard.append("Cancelling 1 job; please wait" in caplog.text)
        go_on.set()
        return False

    jobs.cancel([slow.process, other], enough)
    assert heard[0]


def test_a_crash_after_the_claim_leaves_a_record_that_says_so(slow: Job) -> None:
    """The next run finds that the job was never sent, and sends one."""
    slow.process.run()
    until(lambda: len(records(slow)) == 1, "the claim is on disk")
    (record,) = records(slow)
    assert (record["server"], record.get("job_id"), record.get("ended")) == (None, None, None)
    moved(slow)
