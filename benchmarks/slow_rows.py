"""When jobs are in the queue, on a disk that charges for each file operation, and on a fast one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import MEMORY, ours, run
from benchmarks.table import Row
from tests.standins.slow_disk import slow_disk

DELAY = 2.0
"""Milliseconds for each file operation."""


def submission(full: bool) -> Iterator[Row]:
    """From the beginning of luigi's loop to the first submission, and to the last; jobs that end long after that."""
    n, many = (1000, 10_000) if full else (100, 500)
    disk = f"{DELAY:g} ms per file operation"
    slow = _submitted(n, DELAY)
    calls = f"{slow['submissions']} commands"
    yield Row(f"first of {n} jobs in the queue, {disk}", slow["first"], None, "s", "2", calls)
    yield Row(f"all {n} jobs in the queue, {disk}", slow["last"], None, "s", "10", calls)
    fast = _submitted(many, 0)
    yield Row(f"first of {many} jobs in the queue", fast["first"], None, "s", "3", f"{fast['submissions']} commands")
    for delay, where in ((0.0, ""), (DELAY, f", {disk}")):
        few = _submitted(200 if full else 50, delay)
        yield Row(f"commands that submit {few['n']} equal jobs{where}", few["submissions"], None, "", "3")


def _submitted(n: int, delay: float) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="b2luigi-benchmark-", dir=MEMORY) as folder:
        env = {"WORKERS": "20000", "LOG": "WARNING", "SYSTEM": "instant", "IDLE": "1", "SUBMITS": f"{folder}/submits"}
        disk = slow_disk(Path(folder), delay) if delay else {}
        return {"n": n, **run(ours(), "fan", n, timeout=600, FOLDER=folder, **env, **disk)}
