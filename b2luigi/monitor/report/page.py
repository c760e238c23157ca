"""The report of a run: one page that needs nothing else, for the group meeting or the archive."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from b2luigi.core.words import duration, moment, size
from b2luigi.monitor import Run, State, Task
from b2luigi.monitor.report import statistics
from b2luigi.monitor.report.charts import spread_chart, timeline_chart
from b2luigi.monitor.report.graph import Vertex, drawing
from b2luigi.monitor.report.svg import svg

COLUMNS = ("task", "state", "job", "node", "started", "ran", "memory", "attempts", "reason")
REASON = 300
"""Characters of a reason in the list of tasks."""
FIRST = (State.failed, State.cancelled, State.held, State.running, State.queued, State.submitting, State.waiting)


def page(run: Run) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("b2luigi.monitor.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    classes, points = statistics.by_class(run), statistics.timeline(run)
    cpu = sum(task.cpu or 0.0 for task in run.tasks.values())
    return environment.get_template("report.html.j2").render(
        run=run,
        title=f"{os.path.basename(run.script) or 'Run'} · {run.id}",
        began=moment(run.started),
        how=_how(run),
        command=shlex.join(run.command),
        counts=[(state.value, count) for state in State if (count := run.counts()[state])],
        elapsed=duration(run.elapsed),
        cpu=duration(cpu) if cpu else "",
        causes=statistics.causes(run),
        examples=statistics.EXAMPLES,
        has_jobs=any(task.attempts for task in run.tasks.values()),
        timeline=Markup(timeline_chart(points)),
        classes=classes,
        durations=Markup(spread_chart(classes, "wall")),
        memory=Markup(spread_chart(classes, "memory")),
        picture=Markup(svg(drawing(map(_vertex, run.tasks.values())))),
        columns=COLUMNS,
        rows=_inside_script([_row(task) for task in _urgent_first(run)]),
        outages=run.outages,
        settings=list(_settings(run)),
        duration=duration,
        size=size,
        moment=moment,
    )


def _settings(run: Run) -> Iterator[tuple[str, str, str, str]]:
    """Those of all classes, and those of one."""
    yield from (("all", *row) for row in run.settings)
    yield from ((family, *row) for family, rows in sorted(run.class_settings.items()) for row in rows)


def _how(run: Run) -> str:
    if run.is_alive:
        return f"running for {duration(run.elapsed)} when this page was made"
    if run.finished is None:
        return f"killed after {duration(run.elapsed)}"
    return f"{run.result} after {duration(run.elapsed)}"


def _vertex(task: Task) -> Vertex:
    return Vertex(task.task_id, task.class_name, task.parameters, task.needs, task.state.value)


def _urgent_first(run: Run) -> Iterator[Task]:
    order = {state: number for number, state in enumerate(FIRST)}
    yield from sorted(run.tasks.values(), key=lambda task: order.get(task.state, len(order)))


def _row(task: Task) -> list[str]:
    job = f"{task.batch_system} {task.job_id}" if task.job_id else ""
    times, used = moment(task.started), [duration(task.wall), size(task.memory)]
    return [
        *(task.name, task.state.value, job, task.node or "", times, *used, str(len(task.attempts))),
        task.reason[:REASON],
    ]


def _inside_script(rows: list[list[str]]) -> Markup:
    """JSON in which nothing can end the script that contains it, or begin another one."""
    text = json.dumps(rows, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
