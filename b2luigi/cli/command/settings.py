"""`b2luigi settings`: every setting, its value, and where that came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from b2luigi.batch.messages.failure import visible
from b2luigi.cli.collect import tasks_of_script
from b2luigi.cli.command.printing import console, table
from b2luigi.cli.command.runs import CommandError, in_words
from b2luigi.core.known_settings import KNOWN
from b2luigi.core.settings import get_merged_setting, settings_files, source_of
from b2luigi.monitor.journal.masks import masked_settings

Script = Annotated[
    Path | None, typer.Argument(help="Script whose set_setting and tasks count; it is run up to process().")
]
OfTask = Annotated[str, typer.Argument(help="Task whose attributes count: id, class, or 'Class(n=3)'.")]
Changed = Annotated[bool, typer.Option("--changed", help="Only those that are not at their default.")]


@in_words
def settings(script: Script = None, task: OfTask = "", changed: Changed = False) -> None:
    """Every setting, its value, and where that came from: for this folder, a script, or one of its tasks."""
    chosen = _the_task(script, task) if script is not None else None
    if chosen is not None:
        typer.echo(f"Settings of {visible(str(chosen))}")
    typer.echo(f"settings.json: {', '.join(map(str, settings_files())) or 'none in this folder or above it'}\n")
    rows = [row for row in _rows(chosen) if not (changed and row[2] == "default")]
    console().print(table(["setting", "value", "from"], rows))


def _the_task(script: Path, word: str) -> Any:
    from b2luigi.cli.command.selection import select
    from b2luigi.core.graph import all_tasks
    from b2luigi.monitor import Task

    try:
        roots = tasks_of_script(script)
    except OSError as error:
        raise CommandError(f"The script cannot be read: {error}") from error
    if not word:
        return None
    tasks = {one.task_id: one for one in all_tasks(roots)}
    described = {
        task_id: Task(task_id, one.get_task_family(), parameters=one.to_str_params()) for task_id, one in tasks.items()
    }
    return tasks[select([word], described)[0].task_id]


def _rows(task: Any) -> Iterator[list[str]]:
    for name in KNOWN:
        try:
            value, source = get_merged_setting(name, task=task), source_of(name, task)
        except Exception as error:  # a property of the task, a value of the wrong type
            value, source = f"{type(error).__name__}: {error}", "?"
        yield list(masked_settings([(name, value, source)])[0])
