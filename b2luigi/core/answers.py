"""Answers of a slow file system, found by threads before they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

THREADS = 32
FRESH = 5.0
"""Seconds after which an answer is not believed any more."""


class Answers:
    """Whether there is something at paths: `look` is called for them by threads, made when the first is asked for.

    Its length is the number of things whose answers nobody has taken yet. `clock` gives seconds.
    """

    running = 0
    """How many of them are looked at, as known when `missing` was last asked."""

    def __init__(
        self,
        look: Callable[[str], bool],
        clock: Callable[[], float],
        make_pool: Callable[[], Executor] | None = None,
    ) -> None:
        self._look, self._clock = look, clock
        self._make_pool = make_pool or _make_pool
        self._pool: Executor | None = None
        self._are_possible = True
        self._looks: dict[Any, _Look] = {}
        self._by_path: dict[str, _Look] = {}
        self._ended: deque[_Look] = deque()

    def __len__(self) -> int:
        return len(self._looks)

    def ask(self, owner: Any, paths: Sequence[str]) -> None:
        """Has the paths of a task, or target, looked at in their order, up to the first where there is nothing."""
        if not self._are_possible or owner in self._looks or not self._by_path.keys().isdisjoint(paths):
            return
        self._pool = self._pool or self._make_pool()
        look = _Look(owner, paths)
        try:
            look.future = self._pool.submit(self._run, look)
        except RuntimeError:  # no more threads are allowed here: one look after the other, then
            self._are_possible = False
            return
        self.running += 1
        self._looks[owner] = look
        self._by_path.update(dict.fromkeys(paths, look))

    def take(self, path: str) -> bool | None:
        """The answer for a path, once, when it is there; None if there is none to believe."""
        look = self._by_path.pop(path, None)
        if look is None:
            return None
        look.future.exception()  # waits; a look that went wrong is repeated by who asks, and told there
        found = look.found.get(path)
        if not found or path == look.paths[-1]:
            self._drop(look)
        return None if self._is_old(look) else found

    def missing(self) -> Iterator[Any]:
        """The owners of paths where there is nothing, as far as not told before."""
        while self._ended:
            look = self._ended.popleft()
            self.running -= 1
            if False in look.found.values():
                yield look.owner

    def forget_old(self) -> list[Any]:
        """Drops answers that are not believed any more; returns the owners."""
        old = []
        while self._looks and self._is_old(oldest := next(iter(self._looks.values()))):
            self._drop(oldest)
            old.append(oldest.owner)
        return old

    def close(self) -> None:
        """Ends the threads; what they found is forgotten."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._looks.clear()
        self._by_path.clear()
        self._ended.clear()
        self.running = 0

    def _run(self, look: _Look) -> None:
        try:
            for path in look.paths:
                look.found[path] = self._look(path)
                if not look.found[path]:
                    break
        finally:
            look.ended = self._clock()
            self._ended.append(look)

    def _is_old(self, look: _Look) -> bool:
        return look.ended is not None and self._clock() - look.ended > FRESH

    def _drop(self, look: _Look) -> None:
        for path in look.paths:
            if self._by_path.get(path) is look:
                del self._by_path[path]
        self._looks.pop(look.owner, None)


def _make_pool() -> Executor:
    from concurrent.futures import ThreadPoolExecutor  # not on a fast disk

    return ThreadPoolExecutor(THREADS, "b2luigi-look-ahead")


class _Look:
    """A look at the paths of one task."""

    future: Future[None]

    def __init__(self, owner: Any, paths: Sequence[str]) -> None:
        self.owner, self.paths = owner, paths
        self.found: dict[str, bool] = {}
        self.ended: float | None = None
