"""Looking ahead: where a look at a file takes long, those that will be asked for next are looked at side by side.

luigi asks one task after the other whether it is complete, and on NFS, AFS or EOS each answer takes 5 to 50 ms. While
a `LookAhead` is entered, the time that looks take is measured. If they are slow, threads look at the outputs of tasks
whose turn comes soon; when it comes, the answer is there. Users' code runs in the main thread, as ever.
"""

from __future__ import annotations

import functools
import heapq
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import Token
from typing import Any, TypeVar

import luigi
from luigi.task import flatten

from b2luigi.core.answers import THREADS, Answers
from b2luigi.core.target import LOOKS, Looks, is_plain

SLOW = 0.002
"""Seconds for a look, in the mean of the last ones, from which on it pays to look ahead."""
RECENT = 8
"""The looks that this mean is mainly made of. None counts more than `4 * SLOW`: a single long one proves nothing."""
FLYING = 2 * THREADS
"""Tasks that are looked at, or about to be, at most."""
WINDOW = 4096
"""Tasks that were looked at and were not asked for yet, at most."""
ROWS = 8
"""The innermost rows of tasks that are looked at ahead."""
BUDGET = 0.5
"""Seconds to begin with that may be spent on asking tasks ahead for what they require: then only what was saved."""

T = TypeVar("T")
_Place = tuple[int, ...]
"""Which comes first: that of a row, later ones first, then the numbers of those one has to pass to come there."""
_Placed = tuple[_Place, Any]


def each(items: Iterable[T], ahead: Callable[[], Iterable[Any]], once: bool = True) -> Iterator[T]:
    """The items in their order, tasks or targets, each of which is asked now whether it is complete, or exists.

    `ahead`: gives all of them in advance; called only where looks are slow. What goes wrong in it is not told here.
    `once`: none of them is asked again in this walk, even if it comes again in another row.
    """
    looks = LOOKS.get()
    return looks.each(items, ahead, once) if isinstance(looks, LookAhead) else iter(items)


class LookAhead:
    """To be entered for a walk over tasks; meanwhile, it answers for targets that are plain files.

    `look` says whether there is something at a path, `clock` gives seconds. No thread is made where looks are fast.
    Each answer that was found ahead is given once, and only within seconds. `last_first`: what the last of several
    incomplete tasks requires is asked first, as luigi does. `goes_down`: what they require is asked at all.
    """

    def __init__(
        self,
        look: Callable[[str], bool] = os.path.exists,
        clock: Callable[[], float] = time.monotonic,
        last_first: bool = True,
        goes_down: bool = True,
    ) -> None:
        self._look, self._clock = look, clock
        self._step, self._goes_down = -1 if last_first else 1, goes_down
        self._mean, self._budget = 0.0, BUDGET
        self._answers = Answers(look, clock)
        self._rows: list[_Row] = []
        self._count = 0
        self._branches: list[_Placed] = []
        self._coming: Iterator[_Placed] = iter(())
        self._seen: set[Any] = set()
        self._followed: set[luigi.Task] = set()
        self._is_asking = False
        self._process = os.getpid()
        self._token: Token[Looks | None] | None = None

    def __enter__(self) -> LookAhead:
        self._token = LOOKS.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        if self._token is not None:
            LOOKS.reset(self._token)
        self._answers.close()

    def each(self, items: Iterable[T], ahead: Callable[[], Iterable[Any]], once: bool = True) -> Iterator[T]:
        """Like the function of this name."""
        self._count -= 1
        row = _Row((self._count,), ahead, once)
        self._rows.append(row)
        try:
            for item in items:
                row.passed += 1
                yield item
        finally:
            self._leave(row)

    def each_walk(self, roots: Sequence[luigi.Task]) -> Iterator[luigi.Task]:
        """The roots of several walks: what was asked in one may be asked again in the next."""
        for root in self.each(roots, lambda: roots):
            self._seen.clear()
            yield root

    def _leave(self, row: _Row) -> None:
        if self._rows[-1] is row:  # as nearly always; of a deep graph there are many
            self._rows.pop()
        else:
            self._rows.remove(row)

    def exists(self, path: str) -> bool:
        """Whether there is something at a path: as found ahead, or by a look here and now."""
        # Users' code that is asked ahead looks for itself; a child process has none of the threads.
        if self._is_asking or os.getpid() != self._process:
            return self._look(path)
        if self._mean > SLOW:
            self._go_on()
        found = self._answers.take(path)
        if found is None:
            return self._look_now(path)
        self._budget += self._mean
        return found

    def _look_now(self, path: str) -> bool:
        began = self._clock()
        try:
            return self._look(path)
        finally:
            self._mean += (min(self._clock() - began, 4 * SLOW) - self._mean) / RECENT

    def _go_on(self) -> None:
        self._is_asking = True
        try:
            self._seen.difference_update(item for _, item in self._answers.forget_old())
            for branch in self._answers.missing():
                heapq.heappush(self._branches, branch)
            for place, item in self._next_ones():
                paths = self._asked(functools.partial(_paths, item))
                if paths:
                    self._answers.ask((place, item), paths)
        finally:
            self._is_asking = False

    def _next_ones(self) -> Iterator[_Placed]:
        """What will be asked next, as far as one can know, the nearest first."""
        for row in self._rows[: -ROWS - 1 : -1]:
            if row.rest is None and row.is_open() and self._budget > 0:
                row.start, row.rest = row.passed, self._placed(row.place, self._asked(row.ahead), row.passed)
            while self._has_room() and row.is_open() and (placed := row.next()) is not None:
                if not row.once or self._is_new(placed):
                    yield placed
        while self._has_room():
            placed = next(self._coming, None)
            if placed is not None:
                if self._is_new(placed):
                    yield placed
            elif self._branches and self._budget > 0:
                place, task = heapq.heappop(self._branches)
                self._coming = self._placed(place, self._requirements(task))
            else:
                return

    def _has_room(self) -> bool:
        return self._answers.running < FLYING and len(self._answers) < WINDOW

    def _is_new(self, placed: _Placed) -> bool:
        known = len(self._seen)
        self._seen.add(placed[1])
        return len(self._seen) > known

    def _placed(self, above: _Place, items: Sequence[Any], start: int = 0) -> Iterator[_Placed]:
        return (((*above, self._step * number), items[number]) for number in range(start, len(items)))

    def _requirements(self, task: Any) -> list[Any]:
        """What will be asked next if a task is not complete."""
        is_asked = self._goes_down and isinstance(task, luigi.Task) and task.run not in (None, NotImplemented)
        if not is_asked or task in self._followed:
            return []
        self._followed.add(task)
        return self._asked(task.deps)

    def _asked(self, ask: Callable[[], Iterable[Any]]) -> list[Any]:
        """What users' code says, asked ahead: if it fails it will do so again when luigi asks, and be told then."""
        began = self._clock()
        try:
            return list(ask())
        except Exception:
            return []
        finally:
            self._budget -= self._clock() - began


class _Row:
    """Tasks, or targets, that are asked one after the other."""

    def __init__(self, place: _Place, ahead: Callable[[], Iterable[Any]], once: bool) -> None:
        self.place, self.ahead, self.once = place, ahead, once
        self.passed = self.taken = 0
        self.start = 2
        self.rest: Iterator[_Placed] | None = None

    def is_open(self) -> bool:
        """Whether to look ahead: carefully, where the first that is missing ends it (`all` of them)."""
        return self.passed > 0 if self.once else self.taken < 2 * self.passed - self.start

    def next(self) -> _Placed | None:
        """The next one that will be asked."""
        self.taken += 1
        return next(self.rest or iter(()), None)


def _paths(item: Any) -> list[str]:
    """Where luigi will look for a task or target, in this order, up to the first that is missing."""
    targets = [item]
    if isinstance(item, luigi.Task):
        is_luigis = getattr(item.complete, "__func__", None) is luigi.Task.complete
        targets = flatten(item.output()) if is_luigis else []
    return [target.path for target in targets] if all(map(is_plain, targets)) else []
