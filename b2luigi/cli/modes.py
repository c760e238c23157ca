"""Modes of `process` that list the task graph instead of running it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import luigi
from colorama import Fore, Style

from b2luigi.core.ahead import LookAhead
from b2luigi.core.checks import GraphChecks, luigi_quiet_about_outputs, outputs_of, refuse_circle
from b2luigi.core.former_folders import FormerFolders
from b2luigi.core.graph import all_tasks, get_output_files


def show_outputs(tasks: Iterable[luigi.Task]) -> None:
    """Lists all outputs of the graph by name: existing ones in green, missing ones in red, or in words."""
    with LookAhead():
        found = get_output_files(tasks)
    for key, files in found.items():
        print(key)
        for file in files:
            print(f"    {_coloured(file['file_name'], file['exists'])}")


def dry_run(tasks: Sequence[luigi.Task]) -> None:
    """Lists the tasks that would run, and calls their `dry_run` methods, if they have one.

    Raises GraphError if none could run: a task requires itself, has no outputs, or writes a file of another one.
    """
    with LookAhead(last_first=False), luigi_quiet_about_outputs():
        incomplete = list(all_tasks(tasks, only_non_complete=True))
    refuse_circle(incomplete)
    _refuse_outputs(incomplete)
    to_run = [task for task in incomplete if not _is_external(task)]
    for task in incomplete:
        print("Missing, and not created by any task:" if _is_external(task) else "Would run", task)
        hook = getattr(task, "dry_run", None)
        if callable(hook):
            hook()
    print("".join(f"{problem}\n" for problem in islice(_former_results(incomplete), 1)), end="")
    count = "1 task" if len(to_run) == 1 else f"{len(to_run)} tasks"
    print(f"{count} to run." if incomplete else "All tasks are complete.")


def _refuse_outputs(tasks: Iterable[luigi.Task]) -> None:
    checks = GraphChecks()
    for task in tasks:
        targets = outputs_of(task)
        if targets is not None:
            checks.look_at_outputs(task, targets)
    checks.raise_problems()


def _former_results(tasks: Iterable[luigi.Task]) -> Iterator[str]:
    former = FormerFolders()
    return filter(None, (former.problem_of_results(task, outputs_of(task) or []) for task in tasks))


def _is_external(task: luigi.Task) -> bool:
    return getattr(task, "run", None) in (None, NotImplemented)


def _coloured(path: str, exists: bool) -> str:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return f"{'exists ' if exists else 'missing'} {path}"
    return f"{Fore.GREEN if exists else Fore.RED}{path}{Style.RESET_ALL}"
