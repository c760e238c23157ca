"""Writes the files of jobs: at once, or, where file operations prove slow, side by side on threads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

SLOW = 0.01
"""Mean seconds that the files of one job keep us waiting, above which threads pay off."""
RECENT = 8
"""Number of jobs that dominate this mean. None counts more than `4 * SLOW`: a single slow one proves nothing."""
THREADS = 32
MOST = 1000
"""Jobs that are written, or wait for that, before luigi hands out more tasks."""
GATHER = 1.0
"""Seconds between two looks at what is written, as long as more is on its way: jobs are submitted together."""
GLANCE = 0.02
"""Seconds between two looks at threads that are waited for."""
_T = TypeVar("_T")


class Writing(Generic[_T]):
    """Work on files that a thread does, or is about to do. `owner`: who waits for it."""

    def __init__(self, owner: Any, future: Future[_T]) -> None:
        self.owner, self._future = owner, future

    @property
    def is_over(self) -> bool:
        """There is a result, or an error."""
        return self._future.done()

    def result(self) -> _T:
        """What the work returned, once it is over; raises what it raised."""
        return self._future.result(timeout=0)

    def revoke(self) -> bool:
        """Keeps the work from being begun; False if it was begun already."""
        return self._future.cancel()


class Writer:
    """Measures how long files take, and has threads if that is long.

    `clock` gives seconds, `busy` those of them that this thread has worked: the rest it has waited for the disk.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        busy: Callable[[], float] = time.thread_time,
        make_pool: Callable[[], Executor] | None = None,
    ) -> None:
        self._clock, self._busy = clock, busy
        self._make_pool = make_pool or _make_pool
        self._pool: Executor | None = None
        self._mean = 0.0
        self._has_threads = True
        self._under_way = 0
        self._over: deque[Writing[Any]] = deque()
        self._gather_at = float("-inf")

    @property
    def is_slow(self) -> bool:
        """Threads pay off, and there may be some."""
        return self._mean > SLOW and self._has_threads

    @property
    def is_busy(self) -> bool:
        """Some work is under way."""
        return self._under_way > 0

    @property
    def is_full(self) -> bool:
        """Enough is under way for now."""
        return self._under_way >= MOST

    def timed(self, work: Callable[[], _T]) -> _T:
        """Does some work on the files of one job, on any thread, and remembers how long the disk took for it."""
        began, worked = self._clock(), self._busy()
        try:
            return work()
        finally:
            waited = self._clock() - began - (self._busy() - worked)
            self._mean += (min(waited, 4 * SLOW) - self._mean) / RECENT

    def beside(self, owner: Any, work: Callable[[], _T]) -> Writing[_T] | None:
        """Does work on files beside the loop; None if no thread can be had for it."""
        self._pool = self._pool or self._make_pool()
        given = [work]
        try:
            future = self._pool.submit(lambda: self.timed(given.pop()))
        except RuntimeError:  # no more threads are allowed on this machine; one that there is would do the work, too
            self._has_threads = False
            given.clear()
            return None
        if not self._under_way:
            self._gather_at = self._clock() + GATHER
        self._under_way += 1
        writing = Writing(owner, future)
        future.add_done_callback(lambda _: self._over.append(writing))
        return writing

    def finished(self) -> list[Any]:
        """The owners of work that is over; while more is under way, at most once in a while, so that they gather."""
        if not self._over or (self._under_way > len(self._over) and self._clock() < self._gather_at):
            return []
        self._gather_at = self._clock() + GATHER
        found = [self._over.popleft().owner for _ in range(len(self._over))]
        self._under_way -= len(found)
        return found

    def stop(self, patience: float, enough: Callable[[], bool]) -> None:
        """Revokes what no thread has begun; waits for the rest, at most `patience` seconds, or until `enough`."""
        if self._pool is None:
            return
        end = self._clock() + patience
        self._pool.shutdown(wait=False, cancel_futures=True)
        while self._under_way > len(self._over) and self._clock() < end and not enough():
            time.sleep(GLANCE)


def _make_pool() -> Executor:
    from concurrent.futures import ThreadPoolExecutor  # imported only on a slow file system

    return ThreadPoolExecutor(THREADS, "b2luigi-writer")
