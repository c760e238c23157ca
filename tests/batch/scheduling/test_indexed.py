"""The indexed scheduler hands out tasks in the order in which luigi's own would."""

from __future__ import annotations

import random
from typing import Any

import luigi
import luigi.scheduler
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2luigi.batch.scheduling.indexed import IndexedScheduler

WORKER = "worker"


class Both:
    """luigi's scheduler and ours, with the same input; they have to answer the same."""

    def __init__(self, resources: dict[str, int], processes: int = 5, **config: Any) -> None:
        always = {"prune_on_get_work": True, "record_task_history": False, "stable_done_cooldown_secs": 0}
        config = {**always, **config}
        self.processes = processes
        self.schedulers = [
            cls(resources=dict(resources), **config) for cls in (luigi.scheduler.Scheduler, IndexedScheduler)
        ]
        for scheduler in self.schedulers:
            scheduler.add_worker(WORKER, {"workers": processes})
        self.running: list[str] = []
        self.order: list[str] = []

    def add(self, task_id: str, **kwargs: Any) -> None:
        for scheduler in self.schedulers:
            scheduler.add_task(task_id=task_id, worker=WORKER, family="T", **kwargs)

    def work(self) -> str | None:
        """What is to run next; one answer, since both give the same."""
        answers = [
            scheduler.get_work(worker=WORKER, host="here", current_tasks=list(self.running))
            for scheduler in self.schedulers
        ]
        assert answers[0]["task_id"] == answers[1]["task_id"]
        if answers[0]["task_id"] is None and not self.running:
            assert answers[0] == answers[1]
        self.check_ready()
        task_id: str | None = answers[0]["task_id"]
        return task_id

    def check_ready(self) -> None:
        """How many can run, as luigi's own scheduler has them."""
        theirs, ours = self.schedulers
        assert isinstance(ours, IndexedScheduler)
        tasks = {task.id: task for task in theirs._state.get_active_tasks()}
        done = {task_id for task_id, task in tasks.items() if task.status == "DONE"}
        can_run = [task for task in tasks.values() if task.status == "PENDING" and task.workers and task.deps <= done]
        assert ours.ready("T") == len(can_run)

    def start(self) -> str | None:
        task_id = self.work()
        if task_id is not None:
            assert task_id not in self.running
            self.running.append(task_id)
            self.order.append(task_id)
        return task_id

    def end(self, task_id: str, status: str, **kwargs: Any) -> None:
        self.add(task_id, status=status, runnable=None, expl="", **kwargs)
        self.running.remove(task_id)


def random_graph(choice: random.Random) -> dict[str, dict[str, Any]]:
    """Tasks, each with what it requires of those before it."""
    names = [f"T{number}" for number in range(choice.randint(1, 40))]
    return {
        name: {
            "deps": choice.sample(names[:number], choice.randint(0, min(number, 4))),
            "priority": choice.choice([0, 0, 0, 1, 5, -2, 2.5]),
            "resources": choice.choice([{}, {"a": 1}, {"a": 2, "b": 1}, {"a": 4}, {"b": 1}, {"b": 3}, {"unknown": 1}]),
            "runnable": choice.random() > 0.05,
            "retry_policy_dict": {
                "retry_count": choice.choice([1, 2, 5]),
                "disable_hard_timeout": None,
                "disable_window": None,
            },
        }
        for number, name in enumerate(names)
    }


def run(both: Both, graph: dict[str, dict[str, Any]], choice: random.Random) -> None:
    """A whole run: tasks end well, fail, ask for more, are lost and found again, in random order."""
    names = list(graph)
    choice.shuffle(names)
    for name in names:  # luigi schedules from the top, so that requirements are known by name first
        both.add(name, status="PENDING", **graph[name])
    extra = 0
    for _ in range(40 * len(graph)):
        if len(both.running) < both.processes and choice.random() < 0.7 and both.start():
            continue
        if not both.running:
            if both.work() is None:
                return
            continue
        task_id, how = choice.choice(both.running), choice.random()
        if how < 0.65:
            both.end(task_id, "DONE")
        elif how < 0.7:
            both.end(task_id, "DONE")
            both.add(task_id, status="PENDING")  # its output is gone again
        elif how < 0.85:
            both.end(task_id, "FAILED")
        elif how < 0.95:
            extra += 1
            new = f"X{extra}"
            both.add(new, status="PENDING", deps=[], priority=choice.choice([0, 3]), resources={})
            both.end(task_id, "PENDING", new_deps=[new])
        else:
            both.running.remove(task_id)  # the worker knows nothing of it any more: handed out again


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), delay=st.sampled_from([0, 900]))
def test_tasks_start_in_the_order_of_luigi(seed: int, delay: int) -> None:
    """Priorities, resources, failures, retries, dynamic requirements: every answer is that of luigi."""
    choice = random.Random(seed)
    limits = {"a": choice.randint(1, 6), "b": choice.randint(1, 6)}
    run(Both(limits, choice.randint(1, 5), retry_delay=delay), random_graph(choice), choice)


def test_a_failed_task_is_tried_again_when_its_time_has_come_and_not_before() -> None:
    """Neither a look at all tasks nor another event is needed for that."""
    scheduler = IndexedScheduler(prune_on_get_work=True, record_task_history=False, retry_delay=0.3)
    policy = {"retry_count": 3, "disable_hard_timeout": None, "disable_window": None}

    def work() -> Any:
        return scheduler.get_work(worker=WORKER, host="here", current_tasks=[])["task_id"]

    scheduler.add_task(task_id="T", worker=WORKER, status="PENDING", retry_policy_dict=policy)
    assert work() == "T"
    scheduler.add_task(task_id="T", worker=WORKER, status="FAILED", retry_policy_dict=policy)
    assert work() is None
    while (again := work()) is None:
        pass
    assert again == "T"


def test_a_priority_reaches_requirements_of_any_depth() -> None:
    """luigi's own way calls itself for each level."""
    scheduler = IndexedScheduler(prune_on_get_work=True, record_task_history=False)
    for number in range(5000):
        needs = [f"T{number - 1}"] if number else []
        scheduler.add_task(task_id=f"T{number}", worker=WORKER, status="PENDING", deps=needs)
    scheduler.add_task(task_id="other", worker=WORKER, status="PENDING", priority=1)
    scheduler.add_task(task_id="top", worker=WORKER, status="PENDING", deps=["T4999"], priority=2)
    assert scheduler.get_work(worker=WORKER, host="here", current_tasks=[])["task_id"] == "T0"


@pytest.mark.parametrize("limit", [0, 5])
def test_tasks_without_resources_are_not_held_up_by_those_that_wait_for_some(limit: int) -> None:
    """Each combination of resources has a line of its own."""
    both = Both({"licence": limit})
    for number in range(20):
        both.add(f"L{number}", status="PENDING", deps=[], resources={"licence": 1}, priority=1)
        both.add(f"F{number}", status="PENDING", deps=[], resources={})
    while both.start():
        pass
    assert sorted(both.order)[:20] == sorted(f"F{number}" for number in range(20))
    assert len(both.order) == 20 + limit


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_tasks_that_wait_keep_what_they_need_as_long_as_there_are_processes_for_them(processes: int) -> None:
    """Each waits for something else; the last for which there is a process keeps what is free, the next does not."""
    for number, first in ((0, None), (processes - 1, None), (processes, "needs free")):
        held = {f"held {number}": 1 for number in range(processes + 1)}
        both = Both({**held, "free": 1}, processes)
        both.add("holds all", status="PENDING", deps=[], resources=held, priority=-1)
        assert both.start() == "holds all"
        for rank, name in enumerate(held):
            also = {"free": 1} if rank == number else {}
            both.add(name, status="PENDING", deps=[], resources={name: 1, **also}, priority=100 - rank)
        both.add("needs free", status="PENDING", deps=[], resources={"free": 1})
        assert both.start() == first


def test_a_second_worker_or_a_batch_of_tasks_is_left_to_luigi() -> None:
    """What the index does not cover is ranked by luigi's own code, and the index stays true."""
    scheduler = IndexedScheduler(prune_on_get_work=True, record_task_history=False)
    for name in ("A", "B"):
        scheduler.add_task(task_id=name, worker=WORKER, status="PENDING")
    scheduler.add_task(task_id="C", worker="another", status="PENDING")
    assert scheduler.get_work(worker="another", host="here", current_tasks=[])["task_id"] == "C"
    assert scheduler.get_work(worker=WORKER, host="here", current_tasks=[])["task_id"] == "A"


def test_work_for_a_task_does_not_grow_with_the_tasks_that_wait() -> None:
    """Counted, not timed: luigi's own look at all pending tasks is made once only, at the end."""
    looks = []

    class Counting(IndexedScheduler):
        def count_pending(self, worker: str) -> Any:
            looks.append(worker)
            return super().count_pending(worker)

        def _schedulable(self, task: Any) -> Any:
            raise AssertionError("luigi's own ranking was used")

    scheduler = Counting(prune_on_get_work=True, record_task_history=False)
    names = [f"T{number}" for number in range(300)]
    for name in names:
        scheduler.add_task(task_id=name, worker=WORKER, status="PENDING")
    scheduler.add_task(task_id="merge", worker=WORKER, status="PENDING", deps=names)
    while (task_id := scheduler.get_work(worker=WORKER, host="here", current_tasks=[])["task_id"]) is not None:
        scheduler.add_task(task_id=task_id, worker=WORKER, status="DONE")
    assert scheduler._state.get_task("merge").status == "DONE"
    assert len(looks) == 1


def test_a_clock_that_is_set_ends_no_worker() -> None:
    """An hour without a sign of life by the time of day: the only worker is in this process, and keeps its tasks."""
    scheduler = IndexedScheduler(prune_on_get_work=True, record_task_history=False)
    for name in "ab":
        scheduler.add_task(worker="w", task_id=name, status="PENDING")
    assert scheduler.get_work(worker="w")["task_id"] is not None
    scheduler._state.get_worker("w").last_active -= 3600
    scheduler._prune_at = 0.0
    scheduler.prune()
    assert len(scheduler._state._status_tasks["RUNNING"]) == 1
    assert scheduler.get_work(worker="w")["task_id"] is not None


def test_the_running_tasks_are_compared_with_those_of_the_worker_only_if_one_may_be_lost() -> None:
    """With 10,000 jobs in flight, each comparison would take longer than all else that a task costs."""
    looks = []

    class Counting(IndexedScheduler):
        def _orphan(self, current_tasks: Any) -> Any:
            looks.append(current_tasks)
            return super()._orphan(current_tasks)

    scheduler = Counting(prune_on_get_work=True, record_task_history=False)
    for number in range(20):
        scheduler.add_task(task_id=f"T{number}", worker=WORKER, status="PENDING")
    running: list[str] = []
    for _ in range(20):
        running.append(scheduler.get_work(worker=WORKER, host="here", current_tasks=list(running))["task_id"])
    assert not looks
    assert len(set(running)) == 20
    lost = running.pop(3)
    assert scheduler.get_work(worker=WORKER, host="here", current_tasks=running)["task_id"] == lost
    assert len(looks) == 1


def test_a_lost_task_is_found_even_if_the_numbers_say_that_there_is_none() -> None:
    """The worker runs another task, of which the scheduler does not know that it runs: nothing else is to be done."""
    scheduler = IndexedScheduler(prune_on_get_work=True, record_task_history=False)
    scheduler.add_task(task_id="T", worker=WORKER, status="PENDING")
    assert scheduler.get_work(worker=WORKER, host="here", current_tasks=[])["task_id"] == "T"
    assert scheduler.get_work(worker=WORKER, host="here", current_tasks=["unknown"])["task_id"] == "T"
