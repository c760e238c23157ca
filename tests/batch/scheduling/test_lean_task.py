"""The scheduler's record of a task is luigi's own, in less memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import luigi.scheduler
import pytest
from luigi.parameter import ParameterVisibility
from luigi.scheduler import OrderedSet

from b2luigi.batch.scheduling.dependents import Dependents
from b2luigi.batch.scheduling.indexed import IndexedScheduler
from b2luigi.batch.scheduling.lean_task import LeanTask

SHOWN = {"a": ParameterVisibility.PUBLIC, "b": ParameterVisibility.HIDDEN}
FULL = {
    "deps": ["R1", "R2"],
    "resources": {"licence": 1},
    "priority": 3,
    "family": "T",
    "params": {"a": "1", "b": "2"},
    "param_visibilities": SHOWN,
}


@pytest.mark.parametrize("more", [{}, FULL])
def test_each_attribute_has_the_value_that_it_has_in_luigi(more: dict[str, Any]) -> None:
    """Also where it takes no space: an empty container is an empty container of the same kind."""
    theirs, ours = (
        cls("T1", "PENDING", **{"deps": None, "retry_policy": None, **more}) for cls in (luigi.scheduler.Task, LeanTask)
    )
    for name, value in vars(theirs).items():
        found = getattr(ours, name)
        if name in ("time", "updated"):
            assert found == pytest.approx(value, abs=60)
        elif name in ("workers", "stakeholders"):
            assert list(found) == list(value)
        else:
            assert (type(found), found) == (type(value), value), name
    assert ours.pretty_id == theirs.pretty_id
    assert not hasattr(ours, "resources_running")  # luigi asks whether it was started


def test_no_attribute_of_luigi_takes_space_in_a_dictionary() -> None:
    """A luigi that adds one works all the same; this says that it should get a slot."""
    assert vars(LeanTask("T1", "PENDING", None)) == {}


def test_what_is_put_into_an_empty_container_stays_there() -> None:
    """They are made when they are first read."""
    task = LeanTask("T1", "PENDING", None)
    task.deps.add("R")
    task.failures.append(1.0)
    task.scheduler_message_responses["id"] = "text"
    task.compact()
    assert (task.deps, list(task.failures), task.scheduler_message_responses) == ({"R"}, [1.0], {"id": "text"})


def test_ids_of_workers_act_like_the_ordered_set_of_luigi() -> None:
    """In the order in which they were added; each task has its own."""
    task, other = LeanTask("T1", "PENDING", None), LeanTask("T2", "PENDING", None)
    theirs = OrderedSet()
    for ids in (task.workers, other.workers, theirs):
        for worker_id in ("w2", "w1", "w2", "w3"):
            ids.add(worker_id)
    task.workers -= {"w1", "unknown"}
    theirs -= {"w1", "unknown"}
    assert list(task.workers) == list(theirs) == ["w2", "w3"]
    assert (task.workers.peek(last=True), task.workers.peek(last=False)) == ("w3", "w2")
    assert task.workers | {"w9"} == {"w2", "w3", "w9"}
    task.workers.difference_update(["w3"])
    task.workers.discard("w2")
    assert not task.workers
    assert list(other.workers) == ["w2", "w1", "w3"]
    with pytest.raises(KeyError):
        task.workers.peek()


def test_all_that_require_a_task_are_known() -> None:
    """One, none or several."""
    dependents = Dependents()
    assert not list(dependents.of("R"))
    for name in ("A", "A", "B", "C"):
        dependents.add("R", name)
    assert sorted(dependents.of("R")) == ["A", "B", "C"]
    for name in ("A", "C", "C"):
        dependents.remove("R", name)
    assert list(dependents.of("R")) == ["B"]
    dependents.remove("R", "B")
    dependents.remove("unknown", "B")
    assert not list(dependents.of("R"))


def _bytes_per_task(scheduler: Any, n: int = 500) -> float:
    names = [f"T{number}" for number in range(n)]
    tracemalloc.start()
    try:
        for name in names:
            shown = {"i": ParameterVisibility.PUBLIC}
            scheduler.add_task(
                task_id=name, worker="w", status="PENDING", deps=[], params={"i": name}, param_visibilities=shown
            )
        scheduler.add_task(task_id="merge", worker="w", status="PENDING", deps=names)
        return tracemalloc.get_traced_memory()[0] / n
    finally:
        tracemalloc.stop()


def test_a_task_takes_at_most_a_third_of_the_memory_that_it_takes_in_luigi() -> None:
    """Index included."""
    config = {"prune_on_get_work": True, "record_task_history": False}
    theirs, ours = (_bytes_per_task(cls(**config)) for cls in (luigi.scheduler.Scheduler, IndexedScheduler))
    assert ours < theirs / 3, f"{ours:.0f} and {theirs:.0f} bytes"
