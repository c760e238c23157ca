"""`b2luigi logs`: what a task printed, followed while it runs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from b2luigi.cli.command.runs import CommandError, OfRun, Where, in_words, the_run, the_tasks
from b2luigi.monitor import Run, State, Task
from b2luigi.monitor.journal.logs import log_files

PAUSE = 0.5
"""Seconds between two looks with --follow."""
CHUNK = 65536


Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on as the task prints more, until its job is over.")]
OneTask = Annotated[str, typer.Argument(help="Task id, class, or 'Class(n=3, mode=*)' that means one task.")]


@in_words
def logs(
    task: OneTask,
    where: Where = Path(),
    follow: Follow = False,
    err: Annotated[bool, typer.Option("--err", help="Standard error only.")] = False,
    out: Annotated[bool, typer.Option("--out", help="Standard output only.")] = False,
    attempt: Annotated[int, typer.Option("--attempt", help="Number of an attempt, if not the last one.")] = 0,
    run: OfRun = "",
) -> None:
    """Print the log of a task: standard output, then standard error."""
    found = the_run(where, run)
    chosen = _one(the_tasks(found, [task]))
    names = [name for name, others in (("stdout", err), ("stderr", out)) if not others]
    paths = _paths(found, chosen, names, attempt)
    if follow:
        _follow(paths, found, chosen)
        return
    there = [path for path in paths if path.is_file()]
    if not there:
        raise CommandError(_nothing(chosen, paths))
    for path in there:
        if len(paths) > 1:
            typer.echo(f"==> {path} <==", err=True)
        with path.open("rb") as file:
            _copy(file)


def _one(tasks: list[Task]) -> Task:
    if len(tasks) > 1:
        names = "\n".join(f"  {one.name}" for one in tasks[:20])
        more = f"\n  ... and {len(tasks) - 20:,} more" if len(tasks) > 20 else ""
        raise CommandError(f"{len(tasks):,} tasks match; name one of them:\n{names}{more}")
    return tasks[0]


def _paths(run: Run, task: Task, names: list[str], attempt: int) -> list[Path]:
    files = log_files(run, task, attempt)
    if not files:
        raise CommandError(f"{task.name} has no log: it {_why_no_log(task)}.")
    return [files[name] for name in names]


def _why_no_log(task: Task) -> str:
    if task.done_before:
        return "was complete before this run"
    return "is external" if task.external else f"had no job in this run (it is {task.state.value})"


def _nothing(task: Task, paths: list[Path]) -> str:
    places = "\n".join(f"  {path}" for path in paths)
    earlier = ", ".join(sorted(path.name for path in paths[0].parent.glob("std*")))
    there = f" In that folder there are: {earlier}" if earlier else ""
    over = task.state in (State.done, State.failed, State.cancelled)
    none = "This log no longer exists" if over else f"{task.name} has no log yet (it is {task.state.value})"
    return f"{none}. Looked for:\n{places}{there}"


def _copy(file: BinaryIO) -> bool:
    """Copies what is new in a file to standard output; True if there was something."""
    copied = False
    while chunk := file.read(CHUNK):
        sys.stdout.buffer.write(chunk)
        copied = True
    sys.stdout.buffer.flush()
    return copied


def _follow(paths: list[Path], run: Run, task: Task) -> None:
    files: dict[Path, BinaryIO] = {}
    while True:
        is_over = _is_over(run, task)
        for path in paths:
            _reopen(files, path)
        copied = [_copy(file) for file in files.values()]
        if is_over and not any(copied):
            return
        time.sleep(PAUSE)


def _reopen(files: dict[Path, BinaryIO], path: Path) -> None:
    """The next attempt writes another file under the same name."""
    try:
        found = os.stat(path)
        if path not in files or os.fstat(files[path].fileno()).st_ino != found.st_ino:
            files[path] = path.open("rb")
        elif found.st_size < files[path].tell():
            files[path].seek(0)
    except OSError:
        return


def _is_over(run: Run, task: Task) -> bool:
    from b2luigi.monitor import load_run

    now = load_run(run.folder)
    return not now.is_alive or now.tasks[task.task_id].state in (State.done, State.failed, State.cancelled)
