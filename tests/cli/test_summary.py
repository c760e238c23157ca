"""Our search for the reasons of pending tasks gives the same result as luigi's, for graphs of any depth."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import luigi
import luigi.execution_summary
import pytest

from b2luigi.cli.summary import exit_code, explain_pending, without_recursion
from b2luigi.core.settings import set_setting

KINDS = {*luigi.execution_summary._ORDERED_STATUSES, "ever_failed", "still_pending_not_ext"}


class Known:
    """A task as the summary sees it."""

    def __init__(self, requirements: list[Known]) -> None:
        self.requirements = requirements

    def _requires(self) -> list[Known]:
        return self.requirements


def random_run(seed: int) -> tuple[list[Known], dict[str, set[Any]]]:
    """A graph whose tasks ended in random ways, by kind."""
    chance = random.Random(seed)
    tasks: list[Known] = []
    for _ in range(30):
        tasks.append(Known(chance.sample(tasks, min(len(tasks), chance.randrange(4)))))
    kinds: dict[str, set[Any]] = {kind: set() for kind in KINDS}
    first = ["completed", "ever_failed", "still_pending_ext", "run_by_other_worker", "scheduling_error"]
    for task in tasks:
        kinds["still_pending_not_ext" if chance.random() < 0.7 else chance.choice(first)].add(task)
    kinds["run_by_other_worker"] |= {task for task in kinds["still_pending_not_ext"] if chance.random() < 0.1}
    return tasks, kinds


@pytest.mark.parametrize("seed", range(50))
def test_same_as_luigi(seed: int) -> None:
    """On random graphs, each kind contains exactly the tasks that luigi's own search finds."""
    tasks, ours = random_run(seed)
    luigis = {kind: set(found) for kind, found in ours.items()}
    explain_pending(ours, tasks[-1], set())
    luigi.execution_summary._depth_first_search(luigis, tasks[-1], set())
    assert ours == luigis


def test_a_deep_graph() -> None:
    """If 10,000 tasks wait for one that failed, all of them get that reason."""
    tasks = [Known([])]
    for _ in range(10_000):
        tasks.append(Known([tasks[-1]]))
    kinds: dict[str, set[Any]] = {kind: set() for kind in KINDS}
    kinds["ever_failed"], kinds["still_pending_not_ext"] = {tasks[0]}, set(tasks[1:])
    explain_pending(kinds, tasks[-1], set())
    assert kinds["upstream_failure"] == set(tasks[1:])
    assert kinds["not_run"] == set()


def test_luigi_is_restored() -> None:
    """Afterwards, other runs of luigi in this process use its own search again."""
    before = luigi.execution_summary._depth_first_search
    with without_recursion():
        assert luigi.execution_summary._depth_first_search is explain_pending
    assert luigi.execution_summary._depth_first_search is before


@pytest.mark.parametrize("status", list(luigi.LuigiStatusCode), ids=lambda status: status.name)
def test_the_exit_code_of_a_run(status: luigi.LuigiStatusCode) -> None:
    """0 if all is done, else that of the setting, which is 0 as well unless somebody sets it."""
    result = SimpleNamespace(status=status, worker=SimpleNamespace(_add_task_history=[]))
    assert exit_code(result) == 0
    set_setting("failure_exit_code", 3)
    assert exit_code(result) == (0 if status.name in ("SUCCESS", "SUCCESS_WITH_RETRY") else 3)
