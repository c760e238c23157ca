"""How long tasks took in earlier runs, as their journals say: a first guess at how many of them fill a job."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from pathlib import Path

RUNS = 3
"""Of so many runs, at most, the newest one that knows a class counts for it."""
LARGEST = 20_000_000
"""Bytes of a journal from which on it takes too long to read."""


def seconds_of_earlier_runs(base: Path) -> dict[str, float]:
    """The mean time that a task of each class has taken, in seconds. `base`: the task file folder."""
    from b2luigi.monitor.journal.names import JOURNAL
    from b2luigi.monitor.journal.reader import NoRunsError, run_folders

    found: dict[str, float] = {}
    with contextlib.suppress(NoRunsError):
        for folder in run_folders(base)[: RUNS + 1]:  # the newest one may be this run
            with contextlib.suppress(OSError, NoRunsError):
                if os.path.getsize(folder / JOURNAL) < LARGEST:
                    found = {**_means(folder), **found}
    return found


def _means(folder: Path) -> dict[str, float]:
    from b2luigi.monitor.journal.reader import load_run

    walls = defaultdict(list)
    for task in load_run(folder).tasks.values():
        if task.wall is not None:
            walls[task.class_name].append(task.wall)
    return {name: sum(times) / len(times) for name, times in walls.items()}
