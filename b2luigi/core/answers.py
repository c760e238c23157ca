"""Answers of a slow file system, found by threads before they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

THREADS = 32
MAX_AGE = 5.0
"""Seconds for which an answer is valid."""


class Answers:
    """Whether paths exist: threads, started at the first request, call `check` for them.

    Its length is the number of requests whose answers nobody has taken yet. `clock` returns seconds.
    """

    running = 0
    """Number of checks in progress, as of the last call of `missing`."""

    def __init__(
        self,
        check: Callable[[str], bool],
        clock: Callable[[], float],
        make_pool: Callable[[], Executor] | None = None,
    ) -> None:
        self._check, self._clock = check, clock
        self._make_pool = make_pool or _make_pool
        self._pool: Executor | None = None
        self._has_threads = True
        self._requests: dict[Any, _Request] = {}
        self._by_path: dict[str, _Request] = {}
        self._ended: deque[_Request] = deque()

    def __len__(self) -> int:
        return len(self._requests)

    def request(self, owner: Any, paths: Sequence[str]) -> None:
        """Starts to check the paths of a task or target in order, up to the first missing one."""
        if not self._has_threads or owner in self._requests or not self._by_path.keys().isdisjoint(paths):
            return
        self._pool = self._pool or self._make_pool()
        request = _Request(owner, paths)
        try:
            request.future = self._pool.submit(self._run, request)
        except RuntimeError:  # no more threads are allowed on this machine: check one path after the other
            self._has_threads = False
            return
        self.running += 1
        self._requests[owner] = request
        self._by_path.update(dict.fromkeys(paths, request))

    def take(self, path: str) -> bool | None:
        """Waits for the answer for a path and returns it, once; None if there is no valid one."""
        request = self._by_path.pop(path, None)
        if request is None:
            return None
        request.future.exception()  # waits; after an error, the caller checks the path again and gets the error there
        found = request.found.get(path)
        if not found or path == request.paths[-1]:
            self._drop(request)
        return None if self._is_old(request) else found

    def missing(self) -> Iterator[Any]:
        """The owners of missing paths that were found since the last call."""
        while self._ended:
            request = self._ended.popleft()
            self.running -= 1
            if False in request.found.values():
                yield request.owner

    def forget_old(self) -> list[Any]:
        """Drops answers that are no longer valid; returns their owners."""
        old = []
        while self._requests and self._is_old(oldest := next(iter(self._requests.values()))):
            self._drop(oldest)
            old.append(oldest.owner)
        return old

    def close(self) -> None:
        """Stops the threads and drops all answers."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._requests.clear()
        self._by_path.clear()
        self._ended.clear()
        self.running = 0

    def _run(self, request: _Request) -> None:
        try:
            for path in request.paths:
                request.found[path] = self._check(path)
                if not request.found[path]:
                    break
        finally:
            request.ended = self._clock()
            self._ended.append(request)

    def _is_old(self, request: _Request) -> bool:
        return request.ended is not None and self._clock() - request.ended > MAX_AGE

    def _drop(self, request: _Request) -> None:
        for path in request.paths:
            if self._by_path.get(path) is request:
                del self._by_path[path]
        self._requests.pop(request.owner, None)


def _make_pool() -> Executor:
    from concurrent.futures import ThreadPoolExecutor  # imported only on a slow file system

    return ThreadPoolExecutor(THREADS, "b2luigi-look-ahead")


class _Request:
    """A check of the paths of one task or target."""

    future: Future[None]

    def __init__(self, owner: Any, paths: Sequence[str]) -> None:
        self.owner, self.paths = owner, paths
        self.found: dict[str, bool] = {}
        self.ended: float | None = None
