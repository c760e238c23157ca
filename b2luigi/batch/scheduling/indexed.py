"""luigi's Scheduler with an index: the next task in logarithmic time, in the very order luigi itself would choose.

luigi ranks all pending tasks at each `get_work`, so that a run costs the square of its tasks. Here each task counts
its requirements that are not done, and stands in a heap from the moment there is none, one heap for each combination
of resources. What the index does not cover (several workers, task batching, a pause) is left to luigi's own code.
(luigi 3.8.1, scheduler.py; the methods overridden read the same in 3.5.0 to 3.8.1.)
"""

from __future__ import annotations

import functools
import heapq
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from luigi import scheduler
from luigi.scheduler import RetryPolicy
from luigi.task_status import DISABLED, DONE, FAILED, PENDING, RUNNING

from b2luigi.batch.scheduling.dependents import Dependents
from b2luigi.batch.scheduling.lean_task import LeanTask
from b2luigi.batch.scheduling.ready_queue import Entry, ReadyQueue, Signature

PRUNE_EVERY, PRUNE_SHARE = 5.0, 20
"""Seconds between two looks at all tasks, at least, and so many times as long as the look itself takes."""
RUNNING_FIRST = 0
"""Place of the running tasks among the sources of ranked tasks."""


class IndexedState(scheduler.SimpleTaskState):
    """luigi's tasks by status, with the index over them."""

    def __init__(self, state_path: str) -> None:
        super().__init__(state_path)
        self.ready = ReadyQueue()
        self._dependents = Dependents()
        self._due: list[tuple[float, int, Any]] = []
        self._count = 0

    def get_worker(self, worker_id: str) -> Any:
        """luigi's, which makes a worker each time in case there is none."""
        return self._active_workers.get(worker_id) or super().get_worker(worker_id)

    def set_status(self, task: Any, new_status: str, config: Any = None) -> None:
        """luigi's; keeps the index."""
        before = task.status
        super().set_status(task, new_status, config)
        if task.status == before:
            return
        if DONE in (before, task.status):
            self._count_for_dependents(task.id, -1 if task.status == DONE else 1)
        self.place(task)
        if task.status in (FAILED, DISABLED):
            self._remember(task, config)

    def inactivate_tasks(self, delete_tasks: Iterable[str]) -> None:
        """luigi's; keeps the index."""
        gone = [self._tasks[task_id] for task_id in delete_tasks]
        super().inactivate_tasks(delete_tasks)
        for task in gone:
            self.ready.drop(task)
            for needed in task.needs or ():
                self._dependents.remove(needed, task.id)
            task.needs = None
            if task.status == DONE:
                self._count_for_dependents(task.id, 1)

    def index(self, task: Any) -> None:
        """Takes in what `add_task` has changed: requirements, priority, resources, who may run it."""
        known = task.needs
        if known is None or len(known) != len(task.deps) or not task.deps.issuperset(known):
            self._count_undone(task, known or ())
        self.place(task)
        task.compact()

    def place(self, task: Any) -> None:
        """Among the ready ones, or not."""
        if task.status == PENDING and task.needs is not None and not task.undone and task.workers:
            self.ready.enter(task)
        else:
            self.ready.drop(task)

    def wake(self, config: Any) -> None:
        """Lets failed and disabled tasks try again when their time has come, as luigi's pruning would."""
        now = time.time()
        while self._due and self._due[0][0] < now:
            task: Any = heapq.heappop(self._due)[2]
            if not self._has(task):
                continue
            self.update_status(task, config)
            if task.status == FAILED and task.retry is not None and task.retry >= now:  # a little later than noted
                self._wake_at(task.retry, task)

    def _remember(self, task: Any, config: Any) -> None:
        """luigi notes the time of the next try only after the status, so that it is worked out here."""
        if task.status == FAILED and config.retry_delay >= 0:
            due = time.time() + config.retry_delay
        elif task.status == DISABLED and task.scheduler_disable_time is not None:
            due = task.scheduler_disable_time + config.disable_persist
        else:
            return
        self._wake_at(due, task)

    def _has(self, task: Any) -> bool:
        return self._tasks.get(task.id) is task

    def _wake_at(self, due: float, task: Any) -> None:
        self._count += 1
        heapq.heappush(self._due, (due, self._count, task))

    def _count_undone(self, task: Any, known: Collection[str]) -> None:
        for task_id in set(known) - task.deps:
            self._dependents.remove(task_id, task.id)
        undone = 0
        for task_id in task.deps:
            self._dependents.add(task_id, task.id)
            needed = self._tasks.get(task_id)
            undone += needed is None or needed.status != DONE
        task.needs, task.undone = tuple(task.deps), undone

    def _count_for_dependents(self, task_id: str, more: int) -> None:
        for dependent in self._dependents.of(task_id):
            task = self._tasks.get(dependent)
            if task is not None:
                task.undone += more
                if task.undone <= 1:
                    self.place(task)


class IndexedScheduler(scheduler.Scheduler):
    """luigi's scheduler for one worker in this process."""

    _state: IndexedState

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        collector = self._state._metrics_collector
        self._state = IndexedState(self._config.state_path)
        self._state._metrics_collector = collector
        self._make_task = functools.partial(self._known_or_new, self._make_task.keywords)
        self._policies: dict[tuple[tuple[str, Any], ...], RetryPolicy] = {}
        self._visibilities: dict[tuple[tuple[str, Any], ...], Mapping[str, Any]] = {}
        self._has_batches = False
        self._prune_at = 0.0

    def ready(self, family: str) -> int:
        """How many tasks of a class can run, and were not handed out yet."""
        return self._state.ready.sizes[family]

    def prune(self) -> None:
        """luigi's, which looks at all tasks: not at each step. Tasks whose time has come need not wait for it."""
        self._state.wake(self._config)
        started = time.monotonic()
        if started >= self._prune_at:
            super().prune()
            self._prune_at = started + max(PRUNE_EVERY, PRUNE_SHARE * (time.monotonic() - started))

    def _prune_workers(self) -> None:
        """None: the only worker is in this process. luigi's would drop it, and fail its tasks, if the clock is set."""

    def add_task_batcher(self, *args: Any, **kwargs: Any) -> None:
        """luigi's; tasks that are run several at once are ranked by luigi itself."""
        self._has_batches = True
        super().add_task_batcher(*args, **kwargs)

    def add_task(self, *args: Any, **kwargs: Any) -> None:
        """luigi's; keeps the index."""
        known = self._state.get_task(kwargs["task_id"])
        if known is not None and kwargs.get("status") in (DONE, FAILED) and not _has_new_requirements(kwargs):
            self._end_task(known, args, kwargs)
            return
        shown = kwargs.get("param_visibilities")
        if shown:  # the same for all tasks of a class
            kwargs["param_visibilities"] = self._visibilities.setdefault(tuple(shown.items()), shown)
        super().add_task(*args, **kwargs)
        task = self._state.get_task(kwargs["task_id"])
        if task is not None:
            self._state.index(task)

    def _known_or_new(self, always: Mapping[str, Any], task_id: str, **kwargs: Any) -> Any:
        """luigi makes a task for each report, and drops it if there is one of this id."""
        known = self._state.get_task(task_id)
        return LeanTask(task_id, **always, **kwargs) if known is None else known

    def _end_task(self, task: Any, args: Any, kwargs: Any) -> None:
        """Without the walk over its requirements: what that notes was noted when the task was added."""
        needs, task.deps = task.deps, set()
        try:
            super().add_task(*args, **kwargs)
        finally:
            task.deps = needs

    def get_work(
        self,
        host: str | None = None,
        assistant: bool = False,
        current_tasks: Collection[str] | None = None,
        worker: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """luigi's: the task to run next, or none."""
        if assistant or self._paused or self._has_batches or len(self._state._active_workers) != 1:
            return self._get_work_of_luigi(
                host=host, assistant=assistant, current_tasks=current_tasks, worker=worker, **kwargs
            )
        if self._config.prune_on_get_work:
            self.prune()
        asking = self._update_worker(worker, worker_reference={"host": host}, get_work=True)
        best = self._next(asking, current_tasks)
        reply = self._counts(asking, alone=best is None and not current_tasks)
        return {**reply, **(self._hand_out(best, asking.id, host) if best is not None else {"task_id": None})}

    def _get_work_of_luigi(self, **kwargs: Any) -> dict[str, Any]:
        reply: dict[str, Any] = super().get_work(**kwargs)
        return reply

    def _hand_out(self, task: Any, worker_id: str, host: str | None) -> dict[str, Any]:
        self.update_metrics_task_started(task)
        self._state.set_status(task, RUNNING, self._config)
        task.worker_running, task.time_running = worker_id, time.time()
        task.resources_running = task.resources.copy()
        self._update_task_history(task, RUNNING, host=host)
        module = getattr(task, "module", None)
        return {"task_id": task.id, "task_family": task.family, "task_module": module, "task_params": task.params}

    def _next(self, worker: Any, current_tasks: Collection[str] | None) -> Any:
        """First of all a task that was lost. Looking for one takes as long as there are tasks running."""
        is_one_lost = current_tasks is not None and len(self._state._status_tasks[RUNNING]) > len(current_tasks)
        lost = self._orphan(current_tasks) if is_one_lost else None
        best = lost or self._best(worker)
        return best or self._orphan(current_tasks)  # nothing else to do: sure is sure

    def _orphan(self, current_tasks: Collection[str] | None) -> Any:
        """A task that counts as running, but that the worker no longer runs: it is handed out again."""
        running = self._state._status_tasks[RUNNING]
        if current_tasks is None:
            return None
        known = set(current_tasks)
        return max((task for task in running.values() if task.id not in known), key=self._rank, default=None)

    def _best(self, worker: Any) -> Any:
        """The task that ranks first among those for which there are resources."""
        heads = self._state.ready.heads()
        if not heads:
            return None
        signature = min(heads, key=heads.__getitem__)
        if any(heads):
            used = self._used_resources()
            if not self._has_resources(dict(signature), used):
                return self._best_of_the_rest(heads, used, worker)
        return heads[signature][-1]

    def _best_of_the_rest(self, heads: Mapping[Signature, Any], used: Mapping[str, int], worker: Any) -> Any:
        """The first that fits, when the very first does not.

        As in luigi, those that rank higher and could run if all went by rank keep what they need from those below.
        """
        kept: defaultdict[str, int] = defaultdict(int)
        workers = worker.info.get("workers", 1)
        sources: list[Iterator[Entry]] = [self._running_by_rank(), *map(self._state.ready.ranked, heads)]
        front = [(entry, index) for index, source in enumerate(sources) if (entry := next(source, None)) is not None]
        heapq.heapify(front)
        while front:
            (*_, task), index = heapq.heappop(front)
            needs = (task.resources_running if index == RUNNING_FIRST else task.resources) or {}
            if index != RUNNING_FIRST:
                if self._has_resources(needs, used) and self._has_resources(needs, kept):
                    return task
                if workers <= 0 or not self._has_resources(needs, kept):
                    continue  # and so for all that need the same and rank lower
            workers -= 1
            for name, amount in needs.items():
                kept[name] += amount
            if (entry := next(sources[index], None)) is not None:
                heapq.heappush(front, (entry, index))
        return None

    def _running_by_rank(self) -> Iterator[Entry]:
        running = self._state._status_tasks[RUNNING].values()
        return iter(sorted((-task.priority, task.time, -number, task) for number, task in enumerate(running)))

    def _counts(self, worker: Any, alone: bool) -> dict[str, Any]:
        """What else luigi's answer holds: exact where the worker decides by it whether to continue."""
        if alone:
            counts: dict[str, Any] = {**self.count_pending(worker.id), "running_tasks": []}
            return counts
        waiting = len(self._state._status_tasks[PENDING]) + len(self._state._status_tasks[FAILED])
        names = ("n_pending_tasks", "n_unique_pending", "n_pending_last_scheduled")
        return {**dict.fromkeys(names, waiting), "worker_state": worker.state, "running_tasks": []}

    def _update_priority(self, task: Any, prio: float, worker: str) -> None:
        """luigi's, for requirements of any depth: a priority is handed down to all that a task requires."""
        waiting = [task]
        task.priority = max(prio, task.priority if isinstance(task.priority, (int, float)) else 0)
        while waiting:
            above = waiting.pop()
            for task_id in above.deps or ():
                needed = self._state.get_task(task_id)
                if needed is not None and above.priority > needed.priority:
                    needed.priority = above.priority
                    self._state.place(needed)
                    waiting.append(needed)

    def _generate_retry_policy(self, task_retry_policy_dict: Mapping[str, Any]) -> RetryPolicy:
        """luigi's, which reads its configuration anew for each task."""
        key = tuple(task_retry_policy_dict.items())
        if key not in self._policies:
            self._policies[key] = super()._generate_retry_policy(task_retry_policy_dict)
        return self._policies[key]


def _has_new_requirements(kwargs: Mapping[str, Any]) -> bool:
    return kwargs.get("deps") is not None or bool(kwargs.get("new_deps"))
