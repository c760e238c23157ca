"""A run as a table, as JSON, and as a trace that Perfetto (ui.perfetto.dev) opens."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from b2luigi.monitor import Run, Task
from b2luigi.monitor.journal.model import FORMAT


def to_json(run: Run) -> str:
    """The same as `b2luigi status --json --all`."""
    rows = [task.row() for task in run.tasks.values()]
    return json.dumps({"format": FORMAT, "run": run.row(), "tasks": rows}, indent=1)


def to_csv(run: Run) -> str:
    """One row for each task, with the columns of `status --json`; the parameters as `name=value;name=value`."""
    file = io.StringIO()
    rows = [{**task.row(), "parameters": _joined(task)} for task in run.tasks.values()]
    writer = csv.DictWriter(file, fieldnames=list(Task("", "").row()), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _joined(task: Task) -> str:
    return ";".join(f"{name}={value}" for name, value in task.parameters.items())


def to_trace(run: Run) -> str:
    """Trace events (the JSON format of Chromium's tracing): a lane for each job that ran at once."""
    return json.dumps({"traceEvents": list(_events(run)), "displayTimeUnit": "ms"})


def _events(run: Run) -> Iterator[dict[str, Any]]:
    lanes: list[float] = []
    end = run.started + (run.elapsed or 0.0)
    attempts = [
        (attempt.started, attempt.ended if attempt.ended is not None else end, attempt, task)
        for task in run.tasks.values()
        for attempt in task.attempts
        if attempt.started is not None
    ]
    began = min([run.started, *(attempt[0] for attempt in attempts)])  # a job of an earlier run began before this one
    yield {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": f"{run.script} {run.id}"}}
    for start, stop, attempt, task in sorted(attempts, key=lambda found: found[0]):
        lane = next((number for number, free in enumerate(lanes) if free <= start), len(lanes))
        lanes[lane : lane + 1] = [max(start, stop)]
        begin, stop = (round((moment - began) * 1e6) for moment in (start, max(start, stop)))
        arguments = {**task.parameters, "state": task.state.value, "job": attempt.job_id, "node": attempt.node}
        yield {
            "ph": "X",
            "name": task.class_name,
            "cat": attempt.end or "running",
            "pid": 1,
            "tid": lane + 1,
            "ts": begin,
            "dur": stop - begin,
            "args": {**arguments, "reason": attempt.reason or task.reason},
        }
