"""Reports of a running task, from its node to luigi's scheduler."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from b2luigi.batch.node.reports import BATCH_SIZE, READ_EVERY, Forwarder, NodeReporter, Reports, report_path
from tests.machine import no_room
from tests.waiting import until


class Scheduler:
    """luigi's reporter of one task on the submit host. `broken`: every call raises."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Any]] = []
        self.broken = False

    def _receive(self, what: str, value: Any) -> None:
        if self.broken:
            raise OSError("no scheduler")
        self.received.append((what, value))

    def update_tracking_url(self, value: Any) -> None:
        self._receive("url", value)

    def update_status_message(self, value: Any) -> None:
        self._receive("message", value)

    def update_progress_percentage(self, value: Any) -> None:
        self._receive("progress", value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return report_path(tmp_path / "0123456789abcdef.outcome")


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler()


def test_the_first_report_is_written_at_once(path: Path) -> None:
    """It is on disk when the call returns, readable only by its owner."""
    NodeReporter(path).update_status_message("begins")
    assert json.loads(path.read_text()) == {"status_message": "begins"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name == "0123456789abcdef.progress"


def test_a_loop_does_not_flood_the_disk(path: Path) -> None:
    """Further reports are written once, after an interval; the last value is not lost."""
    reporter = NodeReporter(path)
    reporter.update_progress_percentage(0)
    first = path.stat().st_ino
    for percent in range(1, 100):
        reporter.update_progress_percentage(percent)
    assert path.stat().st_ino == first
    until(lambda: json.loads(path.read_text()) == {"progress_percentage": 99}, "the last value is written")
    reporter.close()


def test_no_room_for_a_thread_fails_no_task(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it reports is written later."""
    reporter = NodeReporter(path)
    reporter.update_progress_percentage(0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_room)
        reporter.update_progress_percentage(1)
    reporter.update_progress_percentage(2)
    until(lambda: json.loads(path.read_text()) == {"progress_percentage": 2}, "the last one is written")


def test_the_end(path: Path) -> None:
    """After the end of the task its file does not exist any more; the outcome contains the last values."""
    reporter = NodeReporter(path)
    reporter.update_progress_percentage(1)
    reporter.update_progress_percentage(2)
    reporter.close()
    reporter.update_tracking_url("http://late")
    assert not path.exists()
    assert reporter.reports == {"progress_percentage": 2, "tracking_url": "http://late"}


def test_without_a_file(tmp_path: Path) -> None:
    """A missing folder does not stop the task, and a task run by hand has no file."""
    for path in (tmp_path / "gone" / "x.progress", None):
        reporter = NodeReporter(path)
        reporter.update_status_message(object())  # type: ignore[arg-type]
        reporter.close()
        assert reporter.reports["status_message"].startswith("<object object")


def test_each_value_is_forwarded_once(path: Path, scheduler: Scheduler) -> None:
    """The scheduler receives new values; a missing or incomplete file is ignored."""
    forwarder = Forwarder(scheduler)
    forwarder.read(path)
    for text in ("{", "[]", "", '{"unknown": 1, "status_message": "a"}'):
        path.write_text(text)
        forwarder.read(path)
    assert scheduler.received == [("message", "a")]
    path.unlink()
    path.write_text('{"status_message": "a", "progress_percentage": 50, "tracking_url": "http://x"}')
    forwarder.read(path)
    forwarder.read(path)
    forwarder.forward({"progress_percentage": 100})
    assert scheduler.received == [("message", "a"), ("progress", 50), ("url", "http://x"), ("progress", 100)]


def test_what_the_task_says_counts_more_than_where_its_job_is(scheduler: Scheduler) -> None:
    """Before it says something, the page shows the job and its logs."""
    forwarder = Forwarder(scheduler)
    forwarder.forward_state("queued in slurm as 7", "file:///logs")
    forwarder.forward_of_task({"status_message": "half of it"})
    forwarder.forward_state("running in slurm as 7", "file:///logs")
    assert scheduler.received == [
        ("message", "queued in slurm as 7"),
        ("url", "file:///logs"),
        ("message", "half of it"),
    ]


def test_an_unchanged_file_is_not_read_again(path: Path, scheduler: Scheduler) -> None:
    """It costs a stat and no more."""
    path.write_text('{"status_message": "a"}')
    forwarder = Forwarder(scheduler)
    forwarder.read(path)
    forwarder._forwarded.clear()  # a second read would forward it again
    forwarder.read(path)
    assert scheduler.received == [("message", "a")]


def test_a_scheduler_that_fails(scheduler: Scheduler, caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged and not raised, since the job continues."""
    scheduler.broken = True
    Forwarder(scheduler).forward({"status_message": "a"})
    assert "Could not send the status_message of a task" in caplog.text


class Job:
    """One of many jobs."""

    def __init__(self, may_report: bool) -> None:
        self.may_report = may_report
        self.reads = 0

    def forward_report(self) -> None:
        self.reads += 1


def test_few_files_are_read_at_a_time() -> None:
    """Only the files of running jobs are read, a few per call, and each once per interval."""
    now = [0.0]
    reports = Reports()
    reports.clock = lambda: now[0]
    jobs = [Job(number % 2 == 0) for number in range(6 * BATCH_SIZE)]
    counts = []
    for _ in range(5):
        reports.read(jobs)
        counts.append(sum(job.reads for job in jobs))
    assert counts == [BATCH_SIZE, 2 * BATCH_SIZE, 3 * BATCH_SIZE, 3 * BATCH_SIZE, 3 * BATCH_SIZE]
    assert all(job.reads == job.may_report for job in jobs)
    now[0] = READ_EVERY
    reports.read(jobs)
    assert sum(job.reads for job in jobs) == 4 * BATCH_SIZE
