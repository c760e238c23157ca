"""The progress line of a run: what it says, and how seldom."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from b2luigi.batch.processes import BatchProcess
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import JobInfo, JobStatus
from b2luigi.batch.workers.progress import FIRST, MOST, Lines, NoScreen, Progress, quiet_keepalive
from tests.batch.processes.hands import HandQueue, Work, a_process
from tests.batch.systems.recorded import a_job
from tests.present import present
from tests.waiting import PATIENCE

DONE, FAILED, PENDING = "DONE", "FAILED", "PENDING"
RUNNING = JobInfo(JobStatus.running, "RUN")
IDLE = JobInfo(JobStatus.idle, "PEND")
HELD = JobInfo(JobStatus.idle, "PSUSP", held=True)
ENDED = JobInfo(JobStatus.aborted, "EXIT")


class Clock:
    """A time that passes when the test wants it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress(Lines(clock))


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "luigi-interface.b2luigi"]


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "luigi-interface")


def in_queue(info: JobInfo | None = None, job_id: str | None = "7", name: str = "hand") -> ClusterProcess:
    """A task whose job is in a batch system."""
    return a_process(HandQueue(name), Ticket(a_job("ab"), job_id=job_id, info=info))


def note(progress: Progress, **counts: int) -> None:
    """So many tasks of a status; the names of the tasks say which."""
    for status, count in counts.items():
        for number in range(count):
            progress.note(f"{status}_{number}", "Work", status)


def test_a_whole_line(progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Tasks by what became of them, jobs by what they do; it fits into a terminal of 80 columns."""
    note(progress, PENDING=9186, DONE=812, FAILED=2)
    jobs = [in_queue(RUNNING)] * 120 + [in_queue(IDLE)] * 38 + [in_queue(None)] * 2 + [in_queue(HELD)] * 3
    clock.now += FIRST
    progress.look(jobs)
    assert lines(caplog) == ["812 of 10,000 tasks done, 2 failed; jobs: 120 running, 40 queued, 3 held"]
    assert caplog.records[0].levelno == logging.INFO
    assert len(f"INFO: {lines(caplog)[0]}") < 80


@pytest.mark.parametrize(
    ("process", "state"),
    [
        (in_queue(RUNNING), "running"),
        (in_queue(IDLE), "queued"),
        (in_queue(None), "queued"),
        (in_queue(HELD), "held"),
        (in_queue(ENDED), "ending"),
        (in_queue(None, job_id=None), "to be submitted"),
        (in_queue(None, job_id=None, name="local"), "queued"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_state_of_a_job(
    process: ClusterProcess, state: str, progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """As the batch system reported it last; what it does not know yet waits here."""
    clock.now += FIRST
    progress.look([process])
    assert lines(caplog) == [f"0 of 0 tasks done; jobs: 1 {state}"]


def test_a_job_that_was_judged(progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """It counts no more, though luigi has not taken its result yet."""
    process = in_queue(ENDED)
    process.finish(DONE)
    clock.now += FIRST
    progress.look([process])
    assert lines(caplog) == ["0 of 0 tasks done"]


def test_a_task_without_a_job_yet(progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk, or another run, keeps it from being submitted for now."""
    process = a_process(HandQueue(), None)
    clock.now += FIRST
    progress.look([process])
    assert lines(caplog) == ["0 of 0 tasks done; jobs: 1 to be submitted"]


class Own(BatchProcess):
    """A batch system of the user's own."""

    asked = 0

    def start_job(self) -> None:
        """There is none."""

    def get_job_status(self) -> JobStatus:
        self.asked += 1
        return JobStatus.running


def test_a_process_of_the_users_own(progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """It counts as luigi's last look has seen it; nobody asks it once more. What is no job is not counted."""
    process = Own(Work(), None, queue.SimpleQueue(), 0)
    clock.now += FIRST
    progress.look([process, object()])
    process._started = True
    assert process.is_alive()
    clock.now += MOST
    progress.look([process, object()])
    process.last_seen = JobStatus.successful
    clock.now += MOST
    progress.look([process, object()])
    assert lines(caplog) == [
        "0 of 0 tasks done; jobs: 1 queued",
        "0 of 0 tasks done; jobs: 1 running",
        "0 of 0 tasks done",
    ]
    assert process.asked == 1


def test_a_task_that_is_tried_again_counts_once(
    progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Failed, pending again, done: it is one task, and what counts is the last word on it."""
    for status in (PENDING, FAILED, PENDING, DONE, DONE):
        progress.note("T_1", "T", status)
    clock.now += FIRST
    progress.look([])
    assert lines(caplog) == ["1 of 1 tasks done"]


def test_a_short_run_has_no_line(progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A run of less than ten seconds ends without one."""
    for number in range(99):
        note(progress, DONE=number)
        progress.look([])
        progress.look_at_scheduling()
        clock.now += FIRST / 100
    assert lines(caplog) == []


def seconds_of_lines(progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture, until: float) -> list[float]:
    """When lines came, while something changes all the time."""
    begin = clock.now
    times: list[float] = []
    while clock.now < begin + until:
        clock.now += 0.5
        note(progress, DONE=int(clock.now))
        progress.look([])
        times += [clock.now - begin] * (len(lines(caplog)) - len(times))
    return times


def test_lines_come_less_and_less_often(progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """After ten seconds, and then up to a minute apart: a day has no more than some fifteen hundred."""
    times = seconds_of_lines(progress, clock, caplog, 400)
    assert times == [10, 25, 47.5, 81.5, 132.5, 192.5, 252.5, 312.5, 372.5]


def test_nothing_new_is_not_logged(progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A night of waiting has one line; what comes after it is logged within ten seconds."""
    job = in_queue(IDLE)
    for _ in range(8 * 360):
        clock.now += 10
        progress.look([job])
    assert len(lines(caplog)) == 1
    present(job.job).ticket.info = RUNNING
    clock.now += 10
    progress.look([job])
    assert lines(caplog)[1:] == ["0 of 0 tasks done; jobs: 1 running"]


class Seen(list[object]):
    """Counts how often all jobs are looked at."""

    looks = 0

    def __iter__(self) -> Iterator[Any]:
        self.looks += 1
        return super().__iter__()


def test_the_jobs_are_counted_seldom(progress: Progress, clock: Clock) -> None:
    """The loop looks twice a second and more; the jobs are gone through every ten seconds at most."""
    jobs = Seen([in_queue(IDLE)])
    for _ in range(7200):
        clock.now += 0.5
        progress.look(jobs)
    assert 0 < jobs.looks <= 360


def test_a_long_look_at_the_graph(progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A slow file system may take minutes to find out what is complete: that is seen to move, too."""
    note(progress, PENDING=4213, DONE=512)
    clock.now += FIRST
    progress.look_at_scheduling()
    progress.look_at_scheduling()
    assert lines(caplog) == ["Checking the tasks: 4,725 so far, 512 of them done"]


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_a_thread_of_luigi_is_hushed(level: int, caplog: pytest.LogCaptureFixture) -> None:
    """Its words on its own end are for DEBUG; its warnings, and what others say meanwhile, are for everybody."""
    caplog.set_level(level, "luigi-interface")
    luigis, begin = logging.getLogger("luigi-interface"), threading.Event()

    def work() -> None:
        begin.wait(PATIENCE)
        luigis.info("stopped")
        luigis.warning("no ping")

    thread = threading.Thread(target=work)
    thread.start()
    with quiet_keepalive(thread):
        begin.set()
        thread.join()
        luigis.info("ours")
    luigis.info("later")
    assert caplog.messages == [*(["stopped"] if level == logging.DEBUG else []), "no ping", "ours", "later"]


def test_totals_by_class(progress: Progress) -> None:
    """Each task counts once, in its class: as waiting, by its job, or by how it ended."""
    note(progress, PENDING=5, DONE=2, FAILED=1)
    progress.note("Other_1", "Other", DONE)
    totals = progress.totals([in_queue(RUNNING), in_queue(IDLE), in_queue(None, job_id=None)])
    assert (totals.tasks, totals.done, totals.failed) == (9, 3, 1)
    assert totals.waiting("Work") == 2
    assert totals.waiting("Other") == totals.waiting("Unknown") == 0
    assert totals.jobs == {"Work": {"running": 1, "queued": 1, "to be submitted": 1}}


def test_nobody_looks(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Without a screen, nobody goes through the jobs, and nothing is logged."""
    progress, jobs = Progress(NoScreen()), Seen([in_queue(IDLE)])
    clock.now += MOST
    progress.look(jobs)
    progress.look_at_scheduling()
    assert (jobs.looks, lines(caplog)) == (0, [])
