from __future__ import annotations

import multiprocessing
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.workers.results import LONGEST, SHORTEST, Results
from tests.waiting import PATIENCE


class Recorded(queue.Queue[Any]):
    """A queue that records how long it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.naps: list[float] = []
        self.closed = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        assert timeout is not None
        self.naps.append(timeout)
        return super().get(block, timeout / 100)

    def close(self) -> None:
        self.closed = True


def make(look: Callable[[], None] = lambda: None) -> tuple[Results, Recorded]:
    real = Recorded()
    return Results(real, look), real


def test_first_come_first_served() -> None:
    """Results come in the order they were put, at once, without a look or a wait."""
    results, real = make(lambda: pytest.fail("looked while a result was waiting"))
    for number in range(3):
        results.put(number)
    assert len(results) == 3
    assert [results.get() for _ in range(3)] == [0, 1, 2]
    assert (len(results), real.naps) == (0, [])


def test_results_of_other_processes_are_taken_in_without_a_wait() -> None:
    """While luigi hands out tasks; what is not there yet comes later."""
    results, real = make()
    for number in range(2):
        real.put(number)
    results.gather()
    assert (len(results), real.naps) == (2, [0, 0, 0])
    assert [results.get() for _ in range(2)] == [0, 1]


def test_a_look_may_bring_the_result() -> None:
    """What a look finds is returned without another wait."""
    results, real = make(lambda: results.put("found"))
    assert results.get(timeout=0) == "found"
    assert real.naps == []


@pytest.mark.parametrize("timeout", [0, 0.001, 0.05, None])
def test_nothing_comes(timeout: float | None) -> None:
    """Without a result the wait ends after its time; jobs were looked after at least once."""
    looks: list[float] = []
    results, real = make(lambda: looks.append(time.monotonic()))
    began = time.monotonic()
    with pytest.raises(queue.Empty):
        results.get(timeout=timeout)
    assert (timeout or 0) <= time.monotonic() - began
    assert max(real.naps) <= (timeout or 0.001)
    assert looks


def test_looks_get_rarer_while_nothing_happens() -> None:
    """After activity jobs are looked after soon, then less and less often, but every second."""
    results, real = make(lambda: results.put("at last") if len(real.naps) == 15 else None)
    results.get(timeout=100)
    assert real.naps == sorted(real.naps)
    assert (real.naps[0], real.naps[-1]) == (SHORTEST, LONGEST)


def test_news_mean_activity() -> None:
    """Whoever knows that something happened makes the next look come soon."""
    results, real = make(lambda: results.put("at last") if len(real.naps) == 16 else stir_after(8))

    def stir_after(naps: int) -> None:
        if len(real.naps) == naps:
            results.stir()

    results.get(timeout=100)
    assert (real.naps[0], real.naps[8]) == (SHORTEST, SHORTEST)
    assert real.naps[7] > 5 * SHORTEST


def test_a_result_means_activity() -> None:
    """After each result the next look is soon."""
    stops = [9, 12]

    def look() -> None:
        if len(real.naps) == stops[0]:
            stops.pop(0)
            results.put("at last")

    results, real = make(look)
    results.get(timeout=100)
    assert real.naps[8] > 5 * SHORTEST
    results.put("at once")
    results.get()
    results.get(timeout=100)
    assert real.naps[9] == SHORTEST


def test_it_never_waits_longer_than_asked() -> None:
    """The last nap is cut to what is left of the time."""
    results, real = make()
    with pytest.raises(queue.Empty):
        results.get(timeout=SHORTEST / 2)
    assert max(real.naps) <= SHORTEST / 2


def test_a_task_in_another_process_wakes_us() -> None:
    """A result on luigi's own queue is returned as soon as it is there, however long the nap."""
    real = multiprocessing.get_context("fork").Queue()
    results = Results(real, lambda: None, Backoff(time.monotonic, first=2 * PATIENCE, most=2 * PATIENCE))
    threading.Timer(0.05, real.put, [("task", "DONE")]).start()
    assert results.get(timeout=PATIENCE) == ("task", "DONE")
    results.close()
    real.join_thread()


def test_an_error_of_the_look_is_not_swallowed() -> None:
    """KeyboardInterrupt and friends leave through the wait, and no result is lost."""

    def interrupted() -> None:
        results.put("kept")
        raise KeyboardInterrupt

    results, _ = make(interrupted)
    with pytest.raises(KeyboardInterrupt):
        results.get()
    assert results.get() == "kept"


def test_closing() -> None:
    """Closing closes luigi's own queue."""
    results, real = make()
    results.close()
    assert real.closed
