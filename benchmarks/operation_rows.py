"""Rows of operations on files: how many a task costs on the submit host, and its job on the node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import SCRIPT, ours, peer
from benchmarks.operations import Operation, of_interpreter, traced
from benchmarks.table import Row
from tests.standins.lsf import FakeLSF

LIMIT = "30"
FEW, MORE = 5, 25
"""Tasks of the two runs, whose difference is what a task costs."""


def file_operations(full: bool) -> Iterator[Row]:
    """Tasks with one parameter on the stand-in of LSF, whose jobs go out together; counted with strace."""
    submit_host, node = _measured(ours())
    of_peer = _of_peer() if full else None
    names = ("file operations of a task, submit host", "file operations of a job, node")
    for place, (name, (count, note)) in enumerate(zip(names, (submit_host, node), strict=True)):
        yield Row(name, count, of_peer[place][0] if of_peer is not None else None, "", LIMIT, note)


Counts = tuple[tuple[float, str], tuple[float, str]]
"""What a task costs on the submit host, and its job on the node; each with a note on what else was seen."""


def _of_peer() -> Counts | None:
    """None if the peer takes too long: it queries the states of its jobs every 120 s."""
    try:
        return _measured(peer())
    except subprocess.TimeoutExpired as error:
        print(f"file operations of the peer: {error}", file=sys.stderr)
        return None


def _measured(python: str) -> Counts:
    with tempfile.TemporaryDirectory() as folder:
        runs = {n: submitted(python, Path(folder) / f"user-{n}" / "analysis", n) for n in (FEW, MORE)}
        counts = {n: _counts(*run) for n, run in runs.items()}
        per_task = [(more - few) / (MORE - FEW) for few, more in zip(counts[FEW], counts[MORE], strict=True)]
        project = Path(folder) / f"user-{FEW}" / "analysis"
        of_job = _counts(on_node(python, project), project)
    return (per_task[0], _note(per_task)), (of_job[0], _note(of_job))


def _counts(operations: list[Operation], folder: Path) -> list[float]:
    """How many operations are our own; of these: how many failed, and looked for a settings.json; and all others."""
    own = [operation for operation in operations if not of_interpreter(operation, folder)]
    failed = sum(bool(operation.error) for operation in own)
    settings = sum(operation.path.endswith("/settings.json") for operation in own)
    return [len(own), failed, settings, len(operations) - len(own)]


def _note(counts: list[float]) -> str:
    _, failed, settings, others = counts
    of_python = f"; {others:.0f} more are those of Python's own start" if others >= 1 else ""
    return f"{failed:.1f} fail, {settings:.1f} look for settings.json{of_python}"


def submitted(python: str, project: Path, n: int) -> tuple[list[Operation], Path]:
    """The operations of a run of `n` tasks and their merge in the folder `project`, which is new."""
    project.mkdir(parents=True)
    script = shutil.copy(SCRIPT, project)
    with FakeLSF(project.parent / "lsf", slots=300) as lsf:
        return traced([python, script], project, {**_env(project, n), **lsf.env}, timeout=900), project


def on_node(python: str, project: Path) -> list[Operation]:
    """The operations of the job of a leaf that was done in `project`, and is done again."""
    script = next(path for path in sorted(project.rglob("executable_wrapper.sh")) if path.parent.name == "Leaf")
    for path in project.rglob("Leaf.txt"):
        path.unlink()
    token = "token"
    for path in script.parent.glob("attempt-*.json"):  # as it was before the end
        record = json.loads(path.read_text())
        token = record["token"]
        lines = (f' "{name}": {json.dumps(value)}' for name, value in record.items() if name != "ended")
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        Path(record["inbox"]).mkdir(exist_ok=True)
    return traced([str(script), token], project, _env(project, FEW))


def _env(project: Path, n: int) -> dict[str, str]:
    settings = {"COUNTED": "1", "LOG": "WARNING"}  # the workload does not look at files for its report
    return {**os.environ, **settings, "KIND": "fan", "N": str(n), "SYSTEM": "lsf", "FOLDER": str(project)}
