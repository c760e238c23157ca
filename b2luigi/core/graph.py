"""Walks over task graphs, without recursion: a chain of 10,000 tasks is an ordinary graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import luigi

from b2luigi.core.ahead import LookAhead, each
from b2luigi.core.completeness import exists
from b2luigi.core.paths import get_serialized_parameters
from b2luigi.core.target import file_targets_by_name


def task_iterator(task: luigi.Task, only_non_complete: bool = False) -> Iterator[luigi.Task]:
    """The task and everything it requires, each once, depth first: a task comes before its requirements.

    `only_non_complete` skips complete tasks, together with the tasks that only they require.
    """
    return _walk([task], only_non_complete)


def all_tasks(roots: Iterable[luigi.Task], only_non_complete: bool = False) -> Iterator[luigi.Task]:
    """Like `task_iterator`, for several tasks; shared requirements occur once."""
    return _walk(roots, only_non_complete)


def find_task(tasks: Iterable[luigi.Task], task_id: str) -> luigi.Task | None:
    """The task with this luigi task id in the graph of these tasks; None if there is none."""
    return next((task for task in _walk(tasks) if task.task_id == task_id), None)


def similar_task_ids(tasks: Iterable[luigi.Task], task_id: str, n: int = 3) -> list[str]:
    """The (at most `n`) task ids in the graph of these tasks that are most similar to `task_id`."""
    import difflib  # for a message only

    # Ids end in a hash, so ids of the same family with other parameters have less than half in common.
    return difflib.get_close_matches(task_id, [task.task_id for task in _walk(tasks)], n, cutoff=0.2)


def with_dependents(tasks: Iterable[luigi.Task], chosen: Callable[[luigi.Task], bool]) -> list[luigi.Task]:
    """The chosen tasks in the graph of these tasks, and all tasks of the graph that depend on them."""
    walked = list(_walk(tasks))
    needed_by: dict[luigi.Task, list[luigi.Task]] = {}
    for task in walked:
        for dependency in task.deps():
            needed_by.setdefault(dependency, []).append(task)
    found, stack = set(), [task for task in walked if chosen(task)]
    while stack:
        task = stack.pop()
        if task not in found:
            found.add(task)
            stack.extend(needed_by.get(task, ()))
    return [task for task in walked if task in found]


def missing_requirements(
    task: luigi.Task, is_complete: Callable[[luigi.Task], bool], ahead: LookAhead | None = None
) -> list[luigi.Task]:
    """The direct requirements of a task that are not complete.

    `ahead`: checks their outputs in parallel if the file system is slow; can be used only once.
    """
    with ahead or LookAhead(follow=False):
        return [required for required in _each(task.deps()) if not is_complete(required)]


def get_all_output_files_in_tree(root_module: luigi.Task, key: str | None = None) -> Any:
    """The output files of a task and of everything it requires, by name, or only those named `key`.

    Each is a dict: `exists`, `parameters` (of its task, name to string) and `file_name` (its path).
    Raises KeyError if there is no output named `key`.
    """
    files = get_output_files([root_module])
    if key is None:
        return files
    if key not in files:
        raise KeyError(f"No task of this graph has an output named {key!r}; available: {', '.join(files) or 'none'}")
    return files[key]


def get_output_files(roots: Iterable[luigi.Task]) -> dict[str, list[dict[str, Any]]]:
    """The output files in the graph of these tasks, by name: see `get_all_output_files_in_tree`."""
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
    stack = [_each(list(roots))]
    while stack:
        task = next(stack[-1], None)
        if task is None:
            stack.pop()
        elif task not in seen:
            seen.add(task)
            if not (only_non_complete and task.complete()):
                yield task
                stack.append(_each(task.deps()))


def _each(tasks: Sequence[luigi.Task]) -> Iterator[luigi.Task]:
    return each(tasks, lambda: tasks)


def _description(task: luigi.Task, target: Any) -> dict[str, Any]:
    return {
        "exists": exists(target),
        "parameters": get_serialized_parameters(task),
        "file_name": str(target.path),
    }
