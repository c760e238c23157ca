"""When threads write the files of jobs, and what becomes of their work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

import pytest

from b2luigi.batch.processes import writer as module
from b2luigi.batch.processes.writer import GATHER, RECENT, SLOW, Writer, Writing
from b2luigi.batch.queue.ticket import never
from tests.waiting import PATIENCE, until

_T = TypeVar("_T")


class Clock:
    """Seconds of the day, and those that a thread has worked."""

    def __init__(self) -> None:
        self.now = self.worked = 0.0

    def writer(self, make_pool: Callable[[], Executor] | None = None) -> Writer:
        return Writer(lambda: self.now, lambda: self.worked, make_pool)

    def passes(self, seconds: float, worked: float = 0.0) -> None:
        self.now += seconds
        self.worked += worked


def begun(writer: Writer, owner: object, work: Callable[[], _T]) -> Writing[_T]:
    """Work that a thread does, or is about to do."""
    writing = writer.beside(owner, work)
    assert writing is not None
    return writing


def test_a_disk_is_slow_if_files_keep_us_waiting() -> None:
    """One slow file proves nothing; a few do, and a few fast ones prove the opposite."""
    clock = Clock()
    writer = clock.writer()
    writer.timed(lambda: clock.passes(100.0))
    assert not writer.is_slow
    for _ in range(3):
        writer.timed(lambda: clock.passes(4 * SLOW))
    assert writer.is_slow
    for _ in range(RECENT):
        writer.timed(lambda: None)
    assert not writer.is_slow


def test_work_is_no_waiting() -> None:
    """Threads do not make a job script shorter."""
    clock = Clock()
    writer = clock.writer()
    for _ in range(100):
        writer.timed(lambda: clock.passes(1.0, worked=1.0))
    assert not writer.is_slow


def test_the_time_of_work_that_failed_counts() -> None:
    """A full disk may be a slow one."""
    clock = Clock()
    writer = clock.writer()

    def fails() -> None:
        clock.passes(1.0)
        raise OSError("full")

    for _ in range(10):
        with pytest.raises(OSError, match="full"):
            writer.timed(fails)
    assert writer.is_slow


def test_a_result_and_an_error_belong_to_their_owners() -> None:
    """Each gets their own, whatever the order in which they come."""
    writer = Clock().writer()
    fine, failed = begun(writer, "first", lambda: 7), begun(writer, "second", lambda: 1 // 0)
    until(lambda: fine.is_over and failed.is_over, "both are over")
    assert fine.result() == 7
    with pytest.raises(ZeroDivisionError):
        failed.result()
    until(lambda: sorted(writer.finished()) == ["first", "second"], "both are known to be over")
    assert writer.finished() == []


def test_files_are_written_side_by_side() -> None:
    """Two that wait for each other come to an end."""
    writer, both = Clock().writer(), threading.Barrier(2)
    works = [begun(writer, n, lambda: both.wait(PATIENCE)) for n in range(2)]
    until(lambda: all(work.is_over for work in works), "both are over")


def test_what_is_written_gathers() -> None:
    """As long as more is on its way, jobs wait for each other, since they are submitted together; but not for long."""
    clock, end = Clock(), threading.Event()
    writer = clock.writer()
    begun(writer, "first", lambda: None)
    until(lambda: writer.finished() == ["first"], "the first, which is alone, is over")
    begun(writer, "last", lambda: end.wait(PATIENCE))
    second = begun(writer, "second", lambda: None)
    until(lambda: second.is_over, "the second is over")
    assert writer.finished() == []
    clock.passes(GATHER)
    until(lambda: writer.finished() == ["second"], "its time has come")
    end.set()
    until(lambda: writer.finished() == ["last"], "the last is over")


def test_not_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph of 100,000 tasks does not fit into memory as job scripts."""
    monkeypatch.setattr(module, "MOST", 3)
    writer, end = Clock().writer(), threading.Event()
    for _ in range(3):
        assert not writer.is_full
        writer.beside("one", lambda: end.wait(PATIENCE))
    assert writer.is_full
    end.set()
    until(lambda: writer.finished() or not writer.is_full, "some are over")
    assert not writer.is_full


def test_the_end_revokes_what_was_not_begun() -> None:
    """And waits for what was."""
    writer, began, end = Clock().writer(lambda: ThreadPoolExecutor(1)), threading.Event(), threading.Event()

    def work() -> str:
        began.set()
        end.wait(PATIENCE)
        return "whole"

    first, second = begun(writer, "first", work), begun(writer, "second", work)
    assert began.wait(PATIENCE)
    threading.Timer(0.1, end.set).start()
    writer.stop(PATIENCE, never)
    assert first.result() == "whole"
    assert second.revoke()
    assert not first.revoke()


def test_the_end_does_not_wait_for_ever() -> None:
    """A disk may hang: after a second Ctrl-C nobody waits for it."""
    writer, end = Clock().writer(), threading.Event()
    writer.beside("first", lambda: end.wait(PATIENCE))
    writer.stop(PATIENCE, lambda: True)
    end.set()


def test_without_threads_files_are_written_one_after_the_other() -> None:
    """Some machines limit the number of threads."""

    class NoThreads(ThreadPoolExecutor):
        def _adjust_thread_count(self) -> None:
            raise RuntimeError("can't start new thread")

    clock = Clock()
    writer = clock.writer(lambda: NoThreads(1))
    for _ in range(10):
        writer.timed(lambda: clock.passes(1.0))
    assert writer.is_slow
    assert writer.beside("one", lambda: None) is None
    assert not writer.is_slow
