"""`b2luigi status`: how far a run is, by class and by task."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from b2luigi.batch.messages.failure import visible
from b2luigi.cli.command.printing import console, state, table
from b2luigi.cli.command.runs import RESUME, OfRun, in_words, the_run, the_tasks, was_killed
from b2luigi.core.words import duration, moment, size
from b2luigi.monitor import Run, State, Task
from b2luigi.monitor.journal.model import FORMAT

SHOWN = 20
"""Tasks that are listed, of those that run, are held or failed, unless somebody asks for more."""
WATCH = 2.0
"""Seconds between two looks with --watch."""
FIRST = (State.failed, State.cancelled, State.held, State.running)
"""The states whose tasks are listed, those first that need a person."""
REASON = 60
"""Characters of a reason in the list."""


Failed = Annotated[bool, typer.Option("--failed", help="List the tasks that failed or were cancelled, all of them.")]
OfClass = Annotated[str, typer.Option("--class", help="List the tasks of this class, all of them.")]
Everything = Annotated[bool, typer.Option("--all", help="List all tasks.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: the run, and the tasks.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Look again every two seconds, until the run is over.")]


@in_words
def status(
    where: Annotated[Path, typer.Argument(help="Script, project, task_file_dir or run folder.")] = Path(),
    failed: Failed = False,
    of_class: OfClass = "",
    everything: Everything = False,
    as_json: AsJson = False,
    watch: Watch = False,
    run: OfRun = "",
) -> None:
    """How far the last run is: a table of the classes, and what runs, is held or failed. Imports no script."""

    def shown() -> tuple[Run, list[Task]]:
        found = the_run(where, run)
        return found, _chosen(found, failed, of_class, everything or as_json)

    if as_json:
        found, tasks = shown()
        rows = [task.row() for task in tasks]
        typer.echo(json.dumps({"format": FORMAT, "run": found.row(), "tasks": rows}, indent=1))
    elif watch:
        _watch(shown)
    else:
        console().print(_page(*shown(), is_short=not (failed or of_class or everything)))


def _chosen(run: Run, failed: bool, of_class: str, everything: bool) -> list[Task]:
    tasks: Sequence[Task] = list(run.tasks.values())
    if of_class:
        tasks = the_tasks(run, [of_class])
    if failed:
        tasks = [task for task in tasks if task.state in (State.failed, State.cancelled)]
    elif not (of_class or everything):
        tasks = sorted((task for task in tasks if task.state in FIRST), key=lambda task: FIRST.index(task.state))
    return list(tasks)


def _page(run: Run, tasks: Sequence[Task], is_short: bool) -> RenderableType:
    parts: list[RenderableType] = [Text(line) for line in heading(run)]
    parts += ["", _classes(run)]
    shown = tasks[:SHOWN] if is_short else tasks
    if shown:
        parts += ["", _list(shown)]
    if len(shown) < len(tasks):
        parts.append(Text(f"... and {len(tasks) - len(shown):,} more; --all lists every task.", "dim"))
    parts += [Text(line, "yellow") for line in _outages(run)]
    parts += [Text(problem, "yellow") for problem in run.problems]
    parts += [RESUME] if was_killed(run) else []
    return Group(*parts)


def _outages(run: Run) -> Iterator[str]:
    for outage in run.outages:
        if run.is_alive and outage.ended is None:
            yield f"Not true for now: {outage.what}: {visible(outage.reason)}"


def heading(run: Run) -> Iterator[str]:
    """What a run is: whose, of which script, since when; and how it ended."""
    words = [run.script or "?", *run.arguments]
    command = f"{run.script} ({' '.join(run.command)})" if run.is_of_project else " ".join(words)
    yield f"Run {run.id} of {visible(command)}, process {run.pid} of {run.user} on {run.host}"
    since = f"since {moment(run.started)} ({duration(run.elapsed)})"
    if run.is_alive:
        yield f"running {since}"
    elif run.finished:
        yield f"ended at {moment(run.finished)} after {duration(run.elapsed)}: {run.result}"
    else:
        yield f"no longer running: it was killed, or its machine went down. It ran {since}"
    yield f"log: {run.log}"


SELDOM = (State.submitting, State.held, State.cancelled)
"""States that have a column only if there is a task in them: so the table fits on a narrow terminal."""


def _classes(run: Run) -> RenderableType:
    total = run.counts()
    states = [one for one in State if one not in SELDOM or total[one]]
    counts = sorted(run.by_class().items())
    counts += [("all", total)] if len(counts) > 1 else []
    rows: list[list[str | Text]] = [
        [name, *(_count(found[one], one) for one in states), f"{found.total():,}"] for name, found in counts
    ]
    names = [one.value for one in states]
    return table(["class", *names, "tasks"], rows, right=[*names, "tasks"])


def _count(number: int, of: State) -> Text:
    text = state(of) if number else Text("-", "dim")
    return Text(f"{number:,}", text.style) if number else text


def _list(tasks: Sequence[Task]) -> RenderableType:
    rows: list[list[str | Text]] = [
        [
            task.name,
            state(task.state),
            f"{task.batch_system} {task.job_id}" if task.job_id else "",
            task.node or "",
            moment(_since(task)),
            size(task.memory),
            _short(task.reason),
        ]
        for task in tasks
    ]
    return table(["task", "state", "job", "node", "since", "memory", "reason"], rows, right=["memory"])


def _since(task: Task) -> float | None:
    """When it came into its state."""
    if task.state in (State.done, State.failed, State.cancelled):
        return task.ended
    return task.started if task.state is State.running else task.submitted


def _short(reason: str) -> str:
    first = reason.partition("\n")[0]
    return first if len(first) <= REASON else f"{first[: REASON - 3]}..."


def _watch(shown: Callable[[], tuple[Run, list[Task]]]) -> None:
    with Live(console=console(), auto_refresh=False, screen=False) as live:
        while True:
            run, tasks = shown()
            live.update(_page(run, tasks, is_short=True), refresh=True)
            if not run.is_alive:
                return
            time.sleep(WATCH)
