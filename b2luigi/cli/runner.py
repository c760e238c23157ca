"""An address of b2luigi 1.x: the modes of `process` as functions, for scripts with a command line of their own.

What they return, and how they end the script, is as with `process`. `arguments` is a dictionary of arguments for
`luigi.build`; up to b2luigi 1.2.7, the flags come before it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import luigi

from b2luigi.cli import modes, removal
from b2luigi.cli.process import process
from b2luigi.core.graph import find_task


def run_luigi(
    task_list: Sequence[luigi.Task], *arguments: Any, worker_scheduler_factory: Any = None, **named: Any
) -> bool:
    """Runs tasks in processes of this script."""
    factory = {} if worker_scheduler_factory is None else {"worker_scheduler_factory": worker_scheduler_factory}
    return _process(task_list, [*arguments, *named.values()], **factory)


def run_local(task_list: Sequence[luigi.Task], *arguments: Any, **named: Any) -> bool:
    """Runs tasks in processes of this script."""
    return _process(task_list, [*arguments, *named.values()])


def run_batched(task_list: Sequence[luigi.Task], *arguments: Any, **named: Any) -> bool:
    """Runs tasks as jobs."""
    return _process(task_list, [*arguments, *named.values()], batch=True)


def run_test_mode(task_list: Sequence[luigi.Task], *arguments: Any, **named: Any) -> bool:
    """Runs tasks in this process."""
    return _process(task_list, [*arguments, *named.values()], test=True)


def run_as_batch_worker(task_list: Sequence[luigi.Task], cli_args: argparse.Namespace, kwargs: Any = None) -> bool:
    """Runs the task with the id `cli_args.task_id` in this process. Raises ValueError if there is none."""
    task = find_task(task_list, cli_args.task_id)
    if task is None:
        raise ValueError(f"There is no task {cli_args.task_id} in the task graph of this script.")
    return run_batch_worker(task)


def run_batch_worker(task: luigi.Task) -> bool:
    """Runs one task in this process."""
    return _process([task], [], batch_runner=True)


def show_all_outputs(task_list: Sequence[luigi.Task], *_: Any, **__: Any) -> None:
    """Lists all outputs."""
    modes.show_outputs(task_list)


def dry_run(task_list: Sequence[luigi.Task]) -> NoReturn:
    """Lists the tasks that would run."""
    modes.dry_run(task_list)
    sys.exit(0)


def remove_outputs(
    task_list: Sequence[luigi.Task],
    target_tasks: Iterable[str],
    only: bool = False,
    auto_confirm: bool = False,
    keep_tasks: Iterable[str] | None = None,
) -> NoReturn:
    """Removes outputs of these task classes and, unless `only` is set, of all tasks that depend on them."""
    names, kept = removal.class_names(target_tasks), removal.class_names(keep_tasks)
    sys.exit(removal.remove_outputs(task_list, removal.Choice(names, kept, not only, auto_confirm)))


def legacy_remove_outputs(*arguments: Any, **named: Any) -> NoReturn:
    """The name that `remove_outputs` has in b2luigi 1.3.0."""
    remove_outputs(*arguments, **named)


def collect_all_dependents(task: Any, child_to_parents: Mapping[Any, Iterable[Any]]) -> set[Any]:
    """All tasks that depend on a task. `child_to_parents`: for each task, those that require it."""
    found: set[Any] = set()
    waiting = [task]
    while waiting:
        new = set(child_to_parents.get(waiting.pop(), ())) - found
        found |= new
        waiting.extend(new)
    return found


def _process(tasks: Sequence[luigi.Task], arguments: Sequence[Any], **more: Any) -> bool:
    kwargs = next((one for one in reversed(arguments) if isinstance(one, Mapping)), {})
    return bool(process(tasks, ignore_additional_command_line_args=True, **{**kwargs, **more}))
