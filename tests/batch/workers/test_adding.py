"""How a graph is taken in where the file system is slow: as where it is fast, but for the time it takes."""

from __future__ import annotations

import random
import threading
from typing import Any, ClassVar

import luigi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import b2luigi
from b2luigi.batch.scheduling.indexed import IndexedScheduler
from b2luigi.batch.workers.worker import SendJobWorker, SendJobWorkerSchedulerFactory
from tests.core.disks import Disk

SIZE = 40


class Node(b2luigi.Task):
    """One of a random graph: what it requires has higher numbers."""

    seed = b2luigi.IntParameter()
    i = b2luigi.IntParameter()
    asked: ClassVar[list[int]] = []
    """Whose own `complete` was asked."""

    @property
    def random(self) -> random.Random:
        return random.Random(f"{self.seed} {self.i}")

    def requires(self) -> Any:
        if self.random.random() < 0.05:
            raise ValueError("no requirements")
        following = range(self.i + 1, min(SIZE, self.i + 30))
        return [node(self.seed, i) for i in self.random.sample(following, min(len(following), self.random.choice(FAN)))]

    def output(self) -> Any:
        if self.random.random() > 0.95:
            raise ValueError("no output")
        return [b2luigi.LocalTarget(f"/disk/{self.seed}/{self.i}.{k}") for k in range(1 + self.i % 3)]

    def run(self) -> None:
        """Never called."""


FAN = (0, 1, 2, 5, 30)


class Own(Node):
    def complete(self) -> bool:
        self.asked.append(self.i)
        assert threading.current_thread() is threading.main_thread()
        return self.random.random() < 0.3


class Outside(Node):
    run = None  # type: ignore[assignment]


class Several(b2luigi.WrapperTask, Node):
    """A wrapper task."""


def node(seed: int, i: int) -> Node:
    kinds = (Node, Node, Node, Node, Own, Outside, Several)
    return random.Random(f"kind {seed} {i}").choice(kinds)(seed=seed, i=i)


class Recorder(IndexedScheduler):
    """Keeps what it gets, in order."""

    def __init__(self) -> None:
        super().__init__(prune_on_get_work=True, record_task_history=False)
        self.added: list[tuple[str, str, Any]] = []

    def add_task(self, *args: Any, **kwargs: Any) -> None:
        self.added.append((kwargs["task_id"], kwargs["status"], kwargs.get("deps")))
        super().add_task(*args, **kwargs)

    def announce_scheduling_failure(self, task_name: str, **kwargs: Any) -> None:
        self.added.append((task_name, "failure", kwargs["expl"].strip().rpartition("\n")[2]))


def add(roots: list[Any], disk: Disk) -> list[tuple[str, str, Any]]:
    """What the scheduler gets when tasks are added on a disk."""
    scheduler = Recorder()
    worker = SendJobWorkerSchedulerFactory().create_worker(scheduler, worker_processes=1)
    worker.look_ahead = disk.ahead
    worker.roots = roots
    Node.asked.clear()
    with worker:
        for root in roots:
            worker.add(root)
    return scheduler.added


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), roots=st.sampled_from([1, 3, 8]))
def test_tasks_are_added_in_the_same_order(seed: int, roots: int) -> None:
    """Whatever there is in a graph, the scheduler gets the same, failures included, and users' code is asked."""
    choice = random.Random(seed)
    there = [f"/disk/{seed}/{i}.{k}" for i in range(SIZE) for k in range(3) if choice.random() < 0.4]
    tasks = [node(seed, i) for i in range(roots)]
    fast, slow = Disk(there, seconds=0.001), Disk(there, alone=True)
    expected = add(tasks, fast)
    asked = list(Node.asked)
    assert add(tasks, slow) == expected
    assert Node.asked == asked
    assert fast.checked_ahead == []
    assert set(fast.checked) <= set(slow.checked)


class Leaf(b2luigi.Task):
    i = b2luigi.IntParameter()

    def output(self) -> Any:
        return b2luigi.LocalTarget(f"/disk/{type(self).__name__}/{self.i}")

    def run(self) -> None:
        """Never called."""


class Second(Leaf):
    def requires(self) -> Any:
        return Leaf(i=self.i)


class Merge(Leaf):
    def requires(self) -> Any:
        return [Leaf(i=i) for i in range(self.i)]


class Pairs(Leaf):
    def requires(self) -> Any:
        return [Second(i=i) for i in range(self.i)]


class Tree(Leaf):
    def requires(self) -> Any:
        return [Tree(i=10 * self.i + k) for k in range(1, 11) if 10 * self.i + k < 300]


class Grid(Leaf):
    """Thirty layers of ten; each task requires the whole layer before."""

    def requires(self) -> Any:
        return [Grid(i=i) for i in range(10 * (self.i // 10 - 1), 10 * (self.i // 10))] if self.i >= 10 else []


@pytest.mark.parametrize(
    "roots",
    [[Merge(i=300)], [Pairs(i=150)], [Tree(i=0)], [Leaf(i=i) for i in range(300)], [Grid(i=299)]],
    ids=["merge", "pairs", "tree", "roots", "grid"],
)
def test_a_graph_is_looked_at_side_by_side(roots: list[luigi.Task]) -> None:
    """Each task once, nearly all of them ahead, and several at a time."""
    disk = Disk()
    added = add(roots, disk)
    assert disk.had_two_at_once
    assert len(disk.checked_ahead) > 250
    assert len(disk.checked) <= len(added) + 10


def test_new_requirements_are_looked_at_side_by_side(script_folder: Any) -> None:
    """A task that is added while the loop runs brings a graph of its own."""
    disk = Disk()
    worker = SendJobWorker(scheduler=Recorder(), worker_processes=1)
    worker.look_ahead = disk.ahead
    with worker:
        assert worker.run()
        assert worker.add(Merge(i=300))
    assert disk.had_two_at_once
    assert len(disk.checked) == 301
