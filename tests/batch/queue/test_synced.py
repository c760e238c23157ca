"""What a submission rests on is on disk, for good, before its command starts; the loop does not wait for that."""

from __future__ import annotations

import errno
import threading

import pytest

from b2luigi.batch.queue.job_queue import JobQueue
from tests.batch.fakes import Fake, Site
from tests.batch.queue.helpers import submit
from tests.waiting import until


class Disk:
    """A disk that a test lets write."""

    def __init__(self) -> None:
        self.go_on, self.syncs, self.full = threading.Event(), 0, False

    def sync(self) -> None:
        assert threading.current_thread() is not threading.main_thread()
        self.syncs += 1
        assert self.go_on.wait(100)
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def queue(site: Site, disk: Disk) -> JobQueue:
    return JobQueue(Fake(), start=site.start, clock=site.clock, sleep=site.sleep, sync=disk.sync)


def test_a_submission_waits_for_the_disk_and_the_loop_does_not(queue: JobQueue, site: Site, disk: Disk) -> None:
    """One wait for each command, however many jobs it holds."""
    tickets = submit(queue, *"abc")
    for _ in range(5):
        queue.step()
    assert site.calls == []
    disk.go_on.set()
    until(lambda: queue.step() == tickets, "the jobs have ids")
    assert (site.commands("submit"), disk.syncs) == ([tuple("abc")], 1)


def test_a_disk_that_does_not_take_it_keeps_jobs_from_being_submitted(
    queue: JobQueue, site: Site, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """They wait as for any other full disk, and go out when there is room."""
    disk.full = True
    disk.go_on.set()
    (ticket,) = submit(queue, "a")
    until(lambda: queue.step() or "No space left" in caplog.text, "that was logged")
    assert site.calls == []
    disk.full = False
    site.now += 10
    until(lambda: queue.step() == [ticket], "the job has an id")
