"""The names with which b2luigi 1.x groups tasks: accepted, and each task runs itself; luigi's own batches work."""

from __future__ import annotations

from typing import Any

import luigi
import pytest

import b2luigi
from tests.batch.workers.test_checks import FACTORIES, STARTED, Base, build


class Simulate(Base):
    n = b2luigi.IntParameter(grouping=True)
    seed = b2luigi.BatchIntParameter(default=1, grouping=True, grouping_function=max)
    max_grouping_size = 3


class Merge(Base):
    def requires(self) -> Any:
        return [Simulate(n=n, seed=n) for n in range(4)]

    def output(self) -> Any:
        yield self.add_to_output("merged")


class Newest(Base):
    n = b2luigi.IntParameter(batch_method=max)
    max_grouping_size = 3


class Each(Newest):
    max_grouping_size = 1

    def output(self) -> Any:
        yield self.add_to_output("each")


@pytest.fixture(autouse=True)
def _nothing_started(script_folder: Any) -> None:
    STARTED.clear()
    luigi.task_register.Register.clear_instance_cache()


@pytest.mark.parametrize("kind", FACTORIES)
def test_each_grouped_task_runs_itself(kind: str) -> None:
    """Whatever the size of a group: no task stands for another one, and each output is where 1.3.0 has it."""
    assert build([Merge()], kind)
    tasks = [*(f"Simulate(n={n}, seed={n})" for n in range(4)), "Merge(n=1)"]
    assert set(STARTED) == set(tasks)
    assert all(Simulate(n=n, seed=n).complete() for n in range(4))
    assert Simulate(n=2, seed=2).get_output_file_name("o.dat").endswith("/n=2/seed=2/o.dat")


@pytest.mark.parametrize("kind", FACTORIES)
def test_luigis_batches_have_the_size_of_a_group(kind: str) -> None:
    """With batch_method, one task runs in place of up to max_grouping_size others, which is one by default."""
    build([Newest(n=n) for n in range(4)], kind)
    assert set(STARTED) == {"Newest(n=2)", "Newest(n=3)"}
    STARTED.clear()
    assert build([Each(n=n) for n in range(4)], kind)
    assert set(STARTED) == {f"Each(n={n})" for n in range(4)}
