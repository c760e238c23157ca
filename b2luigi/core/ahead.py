"""Look-ahead: on a slow file system, checks in parallel whether the outputs of the next tasks exist.

luigi checks one task after the other for completeness, and on NFS, AFS or EOS each check takes 5 to 50 ms. While a
`LookAhead` is entered, it measures how long checks take. If they are slow, threads check the outputs of the tasks that
come next, so that the answer is ready when luigi needs it. Users' code still runs only in the main thread.
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
from b2luigi.core.completeness import has_own_complete
from b2luigi.core.target import PATH_LOOKUP, PathLookup, is_plain

SLOW = 0.002
"""Mean duration of recent checks, in seconds, above which look-ahead pays off."""
RECENT = 8
"""Number of checks that dominate this mean. None counts more than `4 * SLOW`: a single slow check proves nothing."""
IN_FLIGHT = 2 * THREADS
"""Maximum number of tasks whose outputs are being checked or queued for a check."""
WINDOW = 4096
"""Maximum number of tasks whose outputs were checked and whose answers have not been used yet."""
ROWS = 8
"""Look-ahead covers this many of the innermost rows of tasks."""
BUDGET = 0.5
"""Initial budget, in seconds, for calling `requires` and `output` of tasks in advance; it grows by the time saved."""

T = TypeVar("T")
_Position = tuple[int, ...]
"""Sorts items by when they will be checked: the row, later rows first, then the indices on the path to the item."""
_Positioned = tuple[_Position, Any]


def each(items: Iterable[T], ahead: Callable[[], Iterable[Any]], once: bool = True) -> Iterator[T]:
    """Yields tasks or targets in order; the caller checks each one for completeness or existence right away.

    `ahead`: returns all of them in advance; called only if checks are slow. Its errors are ignored here.
    `once`: each item is checked only once in this walk, even if it occurs in several rows.
    """
    lookup = PATH_LOOKUP.get()
    return lookup.each(items, ahead, once) if isinstance(lookup, LookAhead) else iter(items)


class LookAhead:
    """Enter it for a walk over tasks; meanwhile, it answers existence checks of targets that are plain files.

    `check` returns whether a path exists, `clock` returns seconds. Fast checks need no threads. Each answer found in
    advance is used once, and only for a few seconds. `last_first`: the requirements of the last of several incomplete
    tasks are checked first, as in luigi. `follow`: whether requirements are checked at all.
    """

    def __init__(
        self,
        check: Callable[[str], bool] = os.path.exists,
        clock: Callable[[], float] = time.monotonic,
        last_first: bool = True,
        follow: bool = True,
    ) -> None:
        self._check, self._clock = check, clock
        self._step, self._follow = -1 if last_first else 1, follow
        self._mean, self._budget = 0.0, BUDGET
        self._answers = Answers(check, clock)
        self._rows: list[_Row] = []
        self._count = 0
        self._incomplete: list[_Positioned] = []
        self._upcoming: Iterator[_Positioned] = iter(())
        self._seen: set[Any] = set()
        self._followed: set[luigi.Task] = set()
        self._is_looking_ahead = False
        self._process = os.getpid()
        self._token: Token[PathLookup | None] | None = None

    def __enter__(self) -> LookAhead:
        self._token = PATH_LOOKUP.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        if self._token is not None:
            PATH_LOOKUP.reset(self._token)
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
        """The roots of several walks; items of one walk may be checked again in the next."""
        for root in self.each(roots, lambda: roots):
            self._seen.clear()
            yield root

    def _leave(self, row: _Row) -> None:
        if self._rows[-1] is row:  # nearly always; in a deep graph there are many rows
            self._rows.pop()
        else:
            self._rows.remove(row)

    def exists(self, path: str) -> bool:
        """Whether a path exists: the answer found in advance, or the result of a check now."""
        # Users' code called in advance, and child processes, which have none of the threads, check for themselves.
        if self._is_looking_ahead or os.getpid() != self._process:
            return self._check(path)
        if self._mean > SLOW:
            self._look_ahead()
        found = self._answers.take(path)
        if found is None:
            return self._check_now(path)
        self._budget += self._mean
        return found

    def _check_now(self, path: str) -> bool:
        began = self._clock()
        try:
            return self._check(path)
        finally:
            self._mean += (min(self._clock() - began, 4 * SLOW) - self._mean) / RECENT

    def _look_ahead(self) -> None:
        self._is_looking_ahead = True
        try:
            self._seen.difference_update(item for _, item in self._answers.forget_old())
            for incomplete in self._answers.missing():
                heapq.heappush(self._incomplete, incomplete)
            for position, item in self._next_items():
                paths = self._call(functools.partial(_paths, item))
                if paths:
                    self._answers.request((position, item), paths)
        finally:
            self._is_looking_ahead = False

    def _next_items(self) -> Iterator[_Positioned]:
        """The items that will probably be checked next, in order."""
        for row in self._rows[: -ROWS - 1 : -1]:
            if row.rest is None and row.is_open() and self._budget > 0:
                row.start, row.rest = row.passed, self._positioned(row.position, self._call(row.ahead), row.passed)
            while self._has_room() and row.is_open() and (positioned := row.next()) is not None:
                if not row.once or self._is_new(positioned):
                    yield positioned
        while self._has_room():
            positioned = next(self._upcoming, None)
            if positioned is not None:
                if self._is_new(positioned):
                    yield positioned
            elif self._incomplete and self._budget > 0:
                position, task = heapq.heappop(self._incomplete)
                self._upcoming = self._positioned(position, self._requirements(task))
            else:
                return

    def _has_room(self) -> bool:
        return self._answers.running < IN_FLIGHT and len(self._answers) < WINDOW

    def _is_new(self, positioned: _Positioned) -> bool:
        before = len(self._seen)
        self._seen.add(positioned[1])
        return len(self._seen) > before

    def _positioned(self, parent: _Position, items: Sequence[Any], start: int = 0) -> Iterator[_Positioned]:
        return (((*parent, self._step * number), items[number]) for number in range(start, len(items)))

    def _requirements(self, task: Any) -> list[Any]:
        """The tasks that will be checked next if a task is not complete."""
        is_followed = self._follow and isinstance(task, luigi.Task) and task.run not in (None, NotImplemented)
        if not is_followed or task in self._followed:
            return []
        self._followed.add(task)
        return self._call(task.deps)

    def _call(self, function: Callable[[], Iterable[Any]]) -> list[Any]:
        """Calls users' code in advance. Ignores errors: luigi calls it again later and reports them then."""
        began = self._clock()
        try:
            return list(function())
        except Exception:
            return []
        finally:
            self._budget -= self._clock() - began


class _Row:
    """Tasks, or targets, that are checked one after the other."""

    def __init__(self, position: _Position, ahead: Callable[[], Iterable[Any]], once: bool) -> None:
        self.position, self.ahead, self.once = position, ahead, once
        self.passed = self.taken = 0
        self.start = 2
        self.rest: Iterator[_Positioned] | None = None

    def is_open(self) -> bool:
        """Whether to look ahead; only gradually if the first incomplete item may end the row, as in `all(...)`."""
        return self.passed > 0 if self.once else self.taken < 2 * self.passed - self.start

    def next(self) -> _Positioned | None:
        """The next item that will be checked."""
        self.taken += 1
        return next(self.rest or iter(()), None)


def _paths(item: Any) -> list[str]:
    """The paths that luigi checks for a task or target, in this order, up to the first missing one."""
    targets = [item]
    if isinstance(item, luigi.Task):
        targets = [] if has_own_complete(item) else flatten(item.output())
    return [target.path for target in targets] if all(map(is_plain, targets)) else []
