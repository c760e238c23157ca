"""The page about performance: one sentence, one picture, and what was measured, by what a user may want to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.table import Row, number, ratio

SECTIONS = {
    "Scheduling": (
        "How much CPU the script needs for its task graph. Jobs are simulated here.",
        ("cost", "million", "shapes", "listing"),
    ),
    "A job": (
        "What each job costs on the submit host, and on its node before your code starts.",
        ("queue", "node", "file_operations"),
    ),
    "While jobs run": ("What the script needs while it waits.", ("idle", "looks")),
    "From one job to the next": (
        "How long a task waits for its job after the job that it requires has ended, and how long Ctrl-C takes.",
        ("latency", "ctrl_c"),
    ),
    "A slow file system": (
        "Operations on files take as long here as they may on AFS, NFS or EOS.",
        ("slow_disk", "submission"),
    ),
    "HTCondor and Slurm": (
        "Both are real, and all on this machine. *By hand*: the same job scripts, submitted in one go.",
        ("cluster_submit", "cluster_latency", "cluster_run"),
    ),
    "Short tasks": ("Tasks that share jobs.", ("short_tasks", "short_tasks_many", "short_tasks_auto")),
}
"""By heading: a sentence, and the measurements that belong there; all others come last."""
HEADLINE = (
    ("CPU to schedule 10000 tasks", "Scheduling 10,000 tasks takes {ours} s of CPU{times}"),
    (
        "job end to next submission, median",
        "a task that waits for a job is submitted {ours} s after that job has ended",
    ),
)
"""The rows that the first sentence names."""


def page(rows: Sequence[Row], machine: str, pictures: Sequence[Path] = ()) -> str:
    """The text of the page. `machine`: what measured; `pictures`: files beside the page."""
    shown = {path.name for path in pictures}
    known = {group for _, groups in SECTIONS.values() for group in groups}
    parts = ["# Performance", *_headline(rows)]
    if "cost.png" in shown:
        parts.append("![CPU per task, by the number of tasks: flat for b2luigi, growing for 1.3.0](cost.png)")
    parts.append(_how(machine))
    for heading, (sentence, groups) in SECTIONS.items():
        found = [row for row in rows if row.group in groups]
        if found:
            parts += [f"## {heading}", sentence, _table(found)]
        if "latency" in groups and "latency.png" in shown:
            parts.append("![Seconds from the end of a job to the submission of the next](latency.png)")
    others = [row for row in rows if row.group not in known]
    if others:
        parts += ["## Others", _table(others)]
    return "\n\n".join([*parts, REPEAT])


REPEAT = """## Measure it yourself

`python -m benchmarks` repeats all measurements and writes this page. It takes the better part of an hour. As root on
Debian it installs HTCondor and Slurm; elsewhere it skips them. `python -m benchmarks --quick` takes three minutes and
writes nothing. `python -m benchmarks --only million` schedules a million tasks; `short_tasks_many` and
`short_tasks_auto` in its place run tasks that share jobs for longer. The scripts are in `benchmarks/scripts`.
"""


def _how(machine: str) -> str:
    return f"""Measured on {machine}, shared with other work, and compared with the published b2luigi 1.3.0
(installed as pip resolves it, with luigi 3.7.3). *Times less* is the value of 1.3.0, or of the program named, divided
by that of b2luigi. Jobs are simulated, or run on a stand-in for LSF on the same machine, unless a row names HTCondor or
Slurm. Simulated jobs write to memory (`/dev/shm`). [Where the remaining time goes](limits.md) explains the rest."""


def _headline(rows: Iterable[Row]) -> Iterator[str]:
    by_name = {row.name: row for row in rows}
    found = [(by_name[name], text) for name, text in HEADLINE if name in by_name and by_name[name].ours]
    texts = [text.format(ours=number(row.ours), times=_times(row)) for row, text in found]
    if texts:
        yield f"**{', and '.join(texts)}.**"


def _times(row: Row) -> str:
    return f", {row.peer / row.ours:.0f} times less than with b2luigi 1.3.0" if row.ours and row.peer else ""


def _table(rows: Iterable[Row]) -> str:
    head = "| measured | b2luigi | 1.3.0 or other | times less | |\n|---|--:|--:|--:|---|\n"
    return head + "\n".join(f"| {' | '.join(_cells(row))} |" for row in rows)


def _cells(row: Row) -> list[str]:
    peer = "" if row.peer is None else _with_unit(row.peer, row.unit)
    return [row.name, _with_unit(row.ours, row.unit), peer, ratio(row), row.note.replace("|", "/")]


def _with_unit(value: float | None, unit: str) -> str:
    """On one line, however narrow the column is."""
    return f"{number(value)}\N{NO-BREAK SPACE}{unit}".strip()
