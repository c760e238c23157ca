"""The rows of the table, and the page with the table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One result. `ours` and `peer` are in `unit`; None: not measured. The peer is 1.3.0 unless `name` has another."""

    name: str
    ours: float | None
    peer: float | None
    unit: str
    target: str = ""
    note: str = ""
    group: str = ""
    """The measurement that produced it, as named by `--only`."""


def markdown(rows: Iterable[Row]) -> str:
    """The table; the ratio is the peer's value divided by ours."""
    head = "| measured | b2luigi | 1.3.0, or the program named | unit | ratio | target | |\n"
    return head + "|---|--:|--:|---|--:|---|---|\n" + "".join(f"| {' | '.join(_cells(row))} |\n" for row in rows)


def _cells(row: Row) -> list[str]:
    ratio = f"{row.peer / row.ours:.1f}" if row.ours and row.peer else ""
    return [row.name, _number(row.ours), _number(row.peer), row.unit, ratio, row.target, row.note.replace("|", "/")]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def read(path: Path) -> list[Row]:
    """The rows of an earlier run."""
    return [Row(**row) for row in json.loads(path.read_text())] if path.exists() else []


def write(folder: Path, new: list[Row], machine: str, order: Sequence[str] = ()) -> None:
    """Replaces the rows of the same measurements in `results.json` and on the page.

    `order`: the order of the measurements, by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = {row.group for row in new}
    rows = [row for row in read(folder / "results.json") if row.group not in groups] + new
    rows.sort(key=lambda row: order.index(row.group) if row.group in order else len(order))
    (folder / "results.json").write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n")
    text = f"""# Performance

Measured against the published b2luigi 1.3.0, installed as pip resolves it (with luigi 3.7.3), on {machine},
shared with other work. The ratio is the value of 1.3.0 divided by ours; `-` means not measured. A row that names
another program has the value of that program in the column of 1.3.0. The scripts are in `benchmarks/scripts`. Jobs are
simulated, or run on a stand-in for LSF on the same machine. Where the table names HTCondor or Slurm, jobs run on a real
installation, all of it on this machine. Simulated jobs write to memory (`/dev/shm`).

`python -m benchmarks` repeats all measurements and writes this page. It takes more than an hour. As root on Debian it
installs HTCondor and Slurm; elsewhere it skips them. `python -m benchmarks --quick` takes some minutes and writes
nothing. `python -m benchmarks --only million` schedules a million tasks; `short_tasks_many` and `short_tasks_auto` run
on request only, too. [Where the remaining time goes](limits.md) explains the rest.

{markdown(rows)}"""
    pictures = [name for name in ("cost.png", "latency.png") if (folder / name).exists()]
    text += "".join(f"\n![{name.removesuffix('.png')}]({name})\n" for name in pictures)
    (folder / "index.md").write_text(text)


def plot_cost(path: Path, ours: dict[int, float], peer: dict[int, float]) -> None:
    """CPU per task over the number of tasks, both on logarithmic axes. Needs matplotlib (the extra `bench`)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4))
    axes = figure.add_subplot()
    for label, found in (("b2luigi", ours), ("1.3.0", peer)):
        axes.loglog(list(found), [1000 * cpu / n for n, cpu in found.items()], "o-", label=label)
    axes.set(xlabel="tasks", ylabel="CPU of the scheduling process per task (ms)")
    axes.legend()
    figure.savefig(path, dpi=100, bbox_inches="tight")


def plot_latency(path: Path, seconds: list[float]) -> None:
    """Histogram of the time from the end of a job to the submission of the next one. Needs matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4))
    axes = figure.add_subplot()
    axes.hist(seconds, bins=30)
    axes.set(xlabel="end of a job to submission of the next (s)", ylabel="jobs")
    figure.savefig(path, dpi=100, bbox_inches="tight")
