"""What `process` can do with a task graph besides running it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import luigi
from colorama import Fore, Style

from b2luigi.core.graph import get_all_output_files_in_tree, task_iterator


def show_outputs(tasks: Iterable[luigi.Task]) -> None:
    """Lists all outputs of the graph by name: green is there, red is not."""
    for task in tasks:
        for key, files in get_all_output_files_in_tree(task).items():
            print(key)
            for file in files:
                colour = Fore.GREEN if file["exists"] else Fore.RED
                print(f"    {colour}{file['file_name']}{Style.RESET_ALL}")


def dry_run(tasks: Sequence[luigi.Task]) -> None:
    """Lists the tasks that would run, and calls `dry_run` of those that have it."""
    waiting = {task.task_id: task for root in tasks for task in task_iterator(root, only_non_complete=True)}
    for task in waiting.values():
        print("Would run", task)
        own = getattr(task, "dry_run", None)
        if callable(own):
            own()
    count = "1 task" if len(waiting) == 1 else f"{len(waiting)} tasks"
    print(f"{count} to run." if waiting else "All tasks are complete.")
