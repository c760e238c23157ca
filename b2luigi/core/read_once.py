"""Settings and folders of a task are read once for each submission: they may be code of the user, or slow."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class _Reading:
    """What was read of one task so far."""

    def __init__(self, task: Any) -> None:
        self.task = task
        self.values: dict[tuple[int, Hashable], Any] = {}
        """By `job_attempt`, on which settings may depend, and what was asked for."""


_READING: ContextVar[_Reading | None] = ContextVar("_READING", default=None)


@contextmanager
def read_once(task: Any) -> Iterator[None]:
    """While entered, what is `remembered` of this task is made once for each value of `task.job_attempt`."""
    reading = _READING.get()
    if reading is not None and reading.task is task:
        yield
        return
    token = _READING.set(_Reading(task))
    try:
        yield
    finally:
        _READING.reset(token)


def remembered(task: Any, what: Hashable, make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `make` returns, or has returned for this task since `read_once` was entered. Raises what `make` raises."""
    reading = _READING.get()
    if reading is None or reading.task is not task:
        return make(*args, **kwargs)
    key = getattr(task, "job_attempt", 1), what
    if key not in reading.values:
        reading.values[key] = make(*args, **kwargs)
    found: T = reading.values[key]
    return found
