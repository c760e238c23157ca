"""What the scheduler keeps of a task, in a fifth of the memory that luigi's own class takes.

luigi gives each task a dictionary of thirty attributes and ten containers, nearly all of them empty or with the id of
the one worker. Here attributes have slots, an empty container takes no space, and equal sets of worker ids are one
tuple. What a later luigi adds finds its place in the dictionary of the object.
(luigi 3.8.1, scheduler.py, class Task.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableSet
from functools import lru_cache
from typing import Any

from luigi import scheduler
from luigi.parameter import ParameterVisibility

from b2luigi.batch.scheduling.ready_queue import Entry, Signature


class _Container:
    """An attribute with a container that is made when it is first read. An empty one is not kept."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._slot = f"_{name}"

    def __get__(self, task: Any, owner: type) -> Any:
        found = getattr(task, self._slot)
        if found is None:
            found = self._make()
            setattr(task, self._slot, found)
        return found

    def __set__(self, task: Any, value: Any) -> None:
        setattr(task, self._slot, value or None)


class _Visible:
    """The parameters of one visibility; luigi keeps a dictionary for each."""

    def __init__(self, visibility: ParameterVisibility) -> None:
        self._visibility = visibility

    def __get__(self, task: Any, owner: type) -> dict[str, Any]:
        known, public = task.param_visibilities, ParameterVisibility.PUBLIC
        return {name: value for name, value in task.params.items() if known.get(name, public) == self._visibility}

    def __set__(self, task: Any, value: Any) -> None:
        """Follows from the others."""


class _Ids:
    """An attribute with worker ids."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._slot = f"_{name}"

    def __get__(self, task: Any, owner: type) -> WorkerIds:
        return WorkerIds(task, self._slot)

    def __set__(self, task: Any, value: Iterable[str]) -> None:
        setattr(task, self._slot, _same(tuple(value)))


class WorkerIds(MutableSet[str]):
    """A set of worker ids in the order in which they were added; the task has them in a tuple."""

    __slots__ = ("_slot", "_task")

    def __init__(self, task: LeanTask, slot: str) -> None:
        self._task, self._slot = task, slot

    def __contains__(self, worker_id: object) -> bool:
        return worker_id in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, value: str) -> None:
        """Adds a worker, as the last one."""
        if value not in self._ids:
            setattr(self._task, self._slot, _same((*self._ids, value)))

    def discard(self, value: str) -> None:
        """Removes a worker, if it is there."""
        setattr(self._task, self._slot, _same(tuple(one for one in self._ids if one != value)))

    def difference_update(self, values: Iterable[str]) -> None:
        """Removes some workers."""
        self -= set(values)

    def peek(self, last: bool = True) -> str:
        """The worker that was added last, or first. Raises KeyError if there is none."""
        if not self._ids:
            raise KeyError("set is empty")
        return self._ids[-1 if last else 0]

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> Any:
        """What the operators of the set return is no attribute of the task."""
        return set(it)

    @property
    def _ids(self) -> tuple[str, ...]:
        found: tuple[str, ...] = getattr(self._task, self._slot)
        return found


class LeanTask(scheduler.Task):
    """luigi's, with the attributes that the index needs as well."""

    __slots__ = (
        *("id", "status", "family", "module", "params", "param_visibilities", "priority", "retry_policy"),
        *("time", "updated", "time_running", "worker_running", "retry", "remove", "first_failure_time"),
        *("scheduler_disable_time", "expl", "tracking_url", "status_message", "progress_percentage"),
        *("accepts_messages", "runnable", "batchable", "batch_id"),
        *("_deps", "_failures", "_resources", "_resources_running", "_scheduler_message_responses"),
        *("_workers", "_stakeholders", "needs", "undone", "entry", "signature"),
    )
    needs: tuple[str, ...] | None
    """The requirements that were counted; None before that."""
    undone: int
    """How many of them are not done."""
    entry: Entry | None
    """Its entry among the tasks that can run now."""
    signature: Signature
    _deps: set[str] | None
    _resources: dict[str, Any] | None

    deps = _Container(set)
    failures = _Container(deque)
    resources = _Container(dict)
    resources_running = _Container(dict)
    scheduler_message_responses = _Container(dict)
    public_params = _Visible(ParameterVisibility.PUBLIC)
    hidden_params = _Visible(ParameterVisibility.HIDDEN)
    workers: Any = _Ids()
    stakeholders: Any = _Ids()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.needs, self.undone, self.entry = None, 0, None

    def set_params(self, params: dict[str, Any] | None) -> None:
        """luigi's."""
        self.params = {} if params is None else params

    def compact(self) -> None:
        """Drops containers that were made only to be read."""
        self._deps = self._deps or None
        self._resources = self._resources or None


@lru_cache(maxsize=256)
def _same(ids: tuple[str, ...]) -> tuple[str, ...]:
    return ids
