"""Why the tasks of a run wait: for which failed task, or for how many others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace

from b2luigi.monitor.journal.model import State, Task


def with_reasons_to_wait(tasks: dict[str, Task]) -> dict[str, Task]:
    """Tasks that wait say for what."""
    blocked = _blocked(tasks.values())
    for task in list(tasks.values()):
        if task.state is State.waiting and not task.reason:
            culprit = tasks.get(blocked.get(task.task_id, ""))
            reason = _blocked_by(culprit, task) if culprit is not None else _left_to_do(task, tasks)
            if reason:
                tasks[task.task_id] = replace(task, reason=reason)
    return tasks


def _blocked(tasks: Collection[Task]) -> dict[str, str]:
    """The waiting tasks that cannot begin, and one that failed of those that they require, directly or not."""
    requiring, failed = defaultdict(list), []
    for task in tasks:
        if task.state is State.waiting:
            for needed in task.needs:
                requiring[needed].append(task.task_id)
        if task.state in (State.failed, State.cancelled) or _is_missing(task):
            failed.append(task.task_id)
    blocked = {task.task_id: task.task_id for task in tasks if _is_missing(task)}
    ends = [(task_id, task_id) for task_id in failed]
    while ends:
        task_id, culprit = ends.pop()
        new = [one for one in requiring[task_id] if one not in blocked]
        blocked.update(dict.fromkeys(new, culprit))
        ends += [(one, culprit) for one in new]
    return blocked


def _is_missing(task: Task) -> bool:
    return task.external and task.state is State.waiting


def _blocked_by(culprit: Task, task: Task) -> str:
    if culprit.external:
        paths = f": {', '.join(culprit.outputs)}" if culprit.outputs else ""
        what = "its data is missing" if culprit is task else f"waits for {culprit.name}, whose data is missing"
        return f"{what}{paths}"
    what = "was cancelled" if culprit.state is State.cancelled else "failed"
    return f"waits for {culprit.name}, which {what}"


def _left_to_do(task: Task, tasks: Mapping[str, Task]) -> str:
    missing = [one for one in task.needs if one in tasks and tasks[one].state is not State.done]
    match len(missing):
        case 0:
            return ""
        case 1:
            return f"waits for {tasks[missing[0]].name}"
        case number:
            return f"waits for {number:,} of {len(task.needs):,} requirements"
