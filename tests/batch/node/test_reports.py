"""What a task tells while it runs, from its node to luigi's scheduler."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from b2luigi.batch.node.reports import MOST, READ_EVERY, Forwarder, NodeReporter, Reports, report_beside
from tests.waiting import until


class Scheduler:
    """luigi's reporter of one task on the submit host. `broken`: what it is told raises."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.broken = False

    def _hear(self, what: str, value: Any) -> None:
        if self.broken:
            raise OSError("no scheduler")
        self.heard.append((what, value))

    def update_tracking_url(self, value: Any) -> None:
        self._hear("url", value)

    def update_status_message(self, value: Any) -> None:
        self._hear("message", value)

    def update_progress_percentage(self, value: Any) -> None:
        self._hear("progress", value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return report_beside(tmp_path / "0123456789abcdef.outcome")


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler()


def test_the_first_word_is_written_at_once(path: Path) -> None:
    """What a task tells first is on disk when the call returns, for nobody else to read."""
    NodeReporter(path).update_status_message("begins")
    assert json.loads(path.read_text()) == {"status_message": "begins"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name == "0123456789abcdef.progress"


def test_a_loop_does_not_flood_the_disk(path: Path) -> None:
    """What follows is written after a pause, once; the last word is not lost."""
    reporter = NodeReporter(path)
    reporter.update_progress_percentage(0)
    first = path.stat().st_ino
    for percent in range(1, 100):
        reporter.update_progress_percentage(percent)
    assert path.stat().st_ino == first
    until(lambda: json.loads(path.read_text()) == {"progress_percentage": 99}, "the last word is written")
    reporter.close()


def test_the_end(path: Path) -> None:
    """When the task is over its file is gone and stays away; the outcome has it all."""
    reporter = NodeReporter(path)
    reporter.update_progress_percentage(1)
    reporter.update_progress_percentage(2)
    reporter.close()
    reporter.update_tracking_url("http://late")
    assert not path.exists()
    assert reporter.told == {"progress_percentage": 2, "tracking_url": "http://late"}


def test_nowhere_to_write(tmp_path: Path) -> None:
    """A folder that is gone ends no task, and by hand there is none."""
    for path in (tmp_path / "gone" / "x.progress", None):
        reporter = NodeReporter(path)
        reporter.update_status_message(object())  # type: ignore[arg-type]
        reporter.close()
        assert reporter.told["status_message"].startswith("<object object")


def test_each_piece_is_handed_on_once(path: Path, scheduler: Scheduler) -> None:
    """The scheduler hears what is new; a file that is not there, or not whole, says nothing."""
    forwarder = Forwarder(scheduler)
    forwarder.read(path)
    for text in ("{", "[]", "", '{"unknown": 1, "status_message": "a"}'):
        path.write_text(text)
        forwarder.read(path)
    assert scheduler.heard == [("message", "a")]
    path.unlink()
    path.write_text('{"status_message": "a", "progress_percentage": 50, "tracking_url": "http://x"}')
    forwarder.read(path)
    forwarder.read(path)
    forwarder.forward({"progress_percentage": 100})
    assert scheduler.heard == [("message", "a"), ("progress", 50), ("url", "http://x"), ("progress", 100)]


def test_a_file_that_did_not_change_is_not_read(path: Path, scheduler: Scheduler) -> None:
    """A file that was seen costs a stat and no more."""
    path.write_text('{"status_message": "a"}')
    forwarder = Forwarder(scheduler)
    forwarder.read(path)
    forwarder._known.clear()  # it would be told again if it were read again
    forwarder.read(path)
    assert scheduler.heard == [("message", "a")]


def test_a_scheduler_that_fails(scheduler: Scheduler, caplog: pytest.LogCaptureFixture) -> None:
    """It is told in the log; nothing is raised, since the job goes on."""
    scheduler.broken = True
    Forwarder(scheduler).forward({"status_message": "a"})
    assert "was not told the status_message" in caplog.text


class Job:
    """One of many."""

    def __init__(self, is_running: bool) -> None:
        self.is_running = is_running
        self.looks = 0

    def forward_report(self) -> None:
        self.looks += 1


def test_few_at_a_time_and_seldom() -> None:
    """Of all jobs only the running ones are looked at, some at each call, each once in a while."""
    now = [0.0]
    reports = Reports()
    reports.clock = lambda: now[0]
    jobs = [Job(number % 2 == 0) for number in range(6 * MOST)]
    looked = []
    for _ in range(5):
        reports.look(jobs)
        looked.append(sum(job.looks for job in jobs))
    assert looked == [MOST, 2 * MOST, 3 * MOST, 3 * MOST, 3 * MOST]
    assert all(job.looks == job.is_running for job in jobs)
    now[0] = READ_EVERY
    reports.look(jobs)
    assert sum(job.looks for job in jobs) == 4 * MOST
