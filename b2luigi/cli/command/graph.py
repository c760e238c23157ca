"""`b2luigi graph`: the tasks of a script and what they require, as text or as a picture."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import luigi
import typer

from b2luigi.batch.messages.failure import visible
from b2luigi.cli.collect import tasks_of_script
from b2luigi.cli.command.project import Params, ParamsFile, TaskFile, is_task, the_project
from b2luigi.cli.command.runs import CommandError, in_words
from b2luigi.core.graph import all_tasks
from b2luigi.monitor import NoRunsError, load
from b2luigi.monitor.report.graph import LARGE, Node, Vertex, drawing


class Form(str, enum.Enum):
    """How a graph is printed."""

    tree = "tree"
    dot = "dot"
    svg = "svg"


Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else standard output.")]
WithStatus = Annotated[bool, typer.Option("--status", "-s", help="Show the states of the last run, or done.")]
Most = Annotated[int, typer.Option("--tasks", help="With more tasks than this, draw their classes.")]


@in_words
def graph(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SCRIPT|TASK...]", help="Script, run up to process(); or tasks of a project."),
    ] = None,
    with_status: WithStatus = False,
    form: Annotated[Form, typer.Option("--format", help="tree, dot (for Graphviz) or svg.")] = Form.tree,
    output: Output = None,
    most: Most = LARGE,
    task_file: TaskFile = "",
    params_file: ParamsFile = None,
    param: Params = None,
) -> None:
    """The tasks of a script, or of a project, and what they require; their classes, with counts, if there are many."""
    if what and not is_task(what[0]):
        script = Path(what[0])
        tasks = _of_script(script, what[1:])
    else:
        project = the_project(task_file, params_file, param)
        script, tasks = project.file, project.select(what or [], with_requirements=True)
    states = _states(script, tasks) if with_status else {}
    nodes = drawing([_vertex(task, states.get(task.task_id, "")) for task in tasks], most)
    text = _text(nodes, form)
    if output is None:
        typer.echo("\n".join(map(visible, text.splitlines())))
    else:
        output.write_text(text + "\n", encoding="utf-8")


def _of_script(script: Path, others: Sequence[str]) -> list[luigi.Task]:
    if others:
        raise CommandError(f"{script} is a script: only a project accepts names of tasks.")
    try:
        tasks = list(all_tasks(tasks_of_script(script)))
    except OSError as error:
        raise CommandError(f"The script cannot be read: {error}") from error
    if not tasks:
        raise CommandError(f"{script} passed no task to process().")
    return tasks


def _text(nodes: Sequence[Node], form: Form) -> str:
    match form:
        case Form.tree:
            from b2luigi.monitor.report.tree import tree

            return tree(nodes)
        case Form.dot:
            from b2luigi.monitor.report.dot import dot

            return dot(nodes)
        case Form.svg:
            from b2luigi.monitor.report.svg import svg

            return svg(nodes)


def _vertex(task: luigi.Task, state: str) -> Vertex:
    needs = [required.task_id for required in task.deps()]
    return Vertex(task.task_id, task.get_task_family(), task.to_str_params(only_public=True), needs, state)


def _states(script: Path, tasks: list[luigi.Task]) -> dict[str, str]:
    """What the last run knows, and what is complete by now."""
    try:
        known = {task.task_id: task.state.value for task in load(script)[0].tasks.values()}
    except NoRunsError:
        known = {}
    return {task.task_id: "done" if task.complete() else known.get(task.task_id, "waiting") for task in tasks}
