"""Walks on task graphs. None recurses: a chain of 10,000 tasks is an ordinary graph."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import luigi

from b2luigi.core.ahead import LookAhead, each
from b2luigi.core.paths import get_serialized_parameters
from b2luigi.core.target import file_targets_by_name


def task_iterator(task: luigi.Task, only_non_complete: bool = False) -> Iterator[luigi.Task]:
    """The task and all it requires, each once: first a task, then what it requires, depth first.

    With `only_non_complete` complete tasks are left out, with all that only they require.
    """
    return _walk([task], only_non_complete)


def all_tasks(roots: Iterable[luigi.Task], only_non_complete: bool = False) -> Iterator[luigi.Task]:
    """The same for several tasks: what more than one of them requires comes once."""
    return _walk(roots, only_non_complete)


def find_task(tasks: Iterable[luigi.Task], task_id: str) -> luigi.Task | None:
    """The task with this luigi task id among the tasks and all they require; None if there is none."""
    return next((task for task in _walk(tasks) if task.task_id == task_id), None)


def nearest_task_ids(tasks: Iterable[luigi.Task], task_id: str, n: int = 3) -> list[str]:
    """At most `n` ids, of the tasks and all they require, that look most like `task_id`."""
    # Ids end in a hash, so that those of one family with other parameters have less than half in common.
    return difflib.get_close_matches(task_id, [task.task_id for task in _walk(tasks)], n, cutoff=0.2)


def with_dependents(tasks: Iterable[luigi.Task], chosen: Callable[[luigi.Task], bool]) -> list[luigi.Task]:
    """The chosen ones of the tasks and all they require, and every task of these that depends on a chosen one."""
    walked = list(_walk(tasks))
    needed_by: dict[luigi.Task, list[luigi.Task]] = {}
    for task in walked:
        for dependency in task.deps():
            needed_by.setdefault(dependency, []).append(task)
    found, waiting = set(), [task for task in walked if chosen(task)]
    while waiting:
        task = waiting.pop()
        if task not in found:
            found.add(task)
            waiting.extend(needed_by.get(task, ()))
    return [task for task in walked if task in found]


def missing_requirements(
    task: luigi.Task, is_complete: Callable[[luigi.Task], bool], ahead: LookAhead | None = None
) -> list[luigi.Task]:
    """The tasks that a task requires and that are not complete.

    `ahead`: what looks at their outputs side by side where looks are slow; each is to be used once only.
    """
    with ahead or LookAhead(goes_down=False):
        return [required for required in _each(task.deps()) if not is_complete(required)]


def get_all_output_files_in_tree(root: luigi.Task, key: str | None = None) -> Any:
    """The output files of the task and of all it requires, by their name, or only those called `key`.

    Each is a dict: `exists`, `parameters` (of its task, name to text) and `file_name` (its path).
    Raises KeyError if there is no output called `key`.
    """
    files = get_output_files([root])
    if key is None:
        return files
    if key not in files:
        raise KeyError(f"No task of this graph has an output called {key!r}; there is {', '.join(files) or 'none'}")
    return files[key]


def get_output_files(roots: Iterable[luigi.Task]) -> dict[str, list[dict[str, Any]]]:
    """The output files of the tasks and of all they require, by their name: see `get_all_output_files_in_tree`."""
    rows = [
        (name, task, target)
        for task in _walk(roots)
        for name, targets in file_targets_by_name(task.output()).items()
        for target in targets
    ]
    files: dict[str, list[dict[str, Any]]] = {}
    for name, task, target in each(rows, lambda: [row[-1] for row in rows]):
        files.setdefault(name, []).append(_description(task, target))
    return files


def _walk(roots: Iterable[luigi.Task], only_non_complete: bool = False) -> Iterator[luigi.Task]:
    seen: set[luigi.Task] = set()
    waiting = [_each(list(roots))]
    while waiting:
        task = next(waiting[-1], None)
        if task is None:
            waiting.pop()
        elif task not in seen:
            seen.add(task)
            if not (only_non_complete and task.complete()):
                yield task
                waiting.append(_each(task.deps()))


def _each(tasks: Sequence[luigi.Task]) -> Iterator[luigi.Task]:
    return each(tasks, lambda: tasks)


def _description(task: luigi.Task, target: Any) -> dict[str, Any]:
    return {
        "exists": target.exists(),
        "parameters": get_serialized_parameters(task),
        "file_name": str(target.path),
    }
