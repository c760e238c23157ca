"""The measurements on a real HTCondor and a real Slurm."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from b2luigi.core.executable import SCRIPT_NAME
from benchmarks.clusters import CLUSTERS, Cluster, wait_until
from benchmarks.measure import ours, peer, run, start
from benchmarks.table import Row

RUN_TIMEOUT = 1200
"""Maximum seconds for a whole run; the peer queries the states of its jobs every 120 s."""


def cluster_run(full: bool) -> Iterator[Row]:
    """A hundred tiny tasks and their merge, compared with the same job scripts submitted by hand in one go."""
    n, rounds = (100, 5) if full else (20, 1)
    for name, cluster in CLUSTERS.items():
        with cluster() as system:
            pairs = [_whole_and_by_hand(system, n) for _ in range(rounds)]
            run_s, alone, by_hand = (statistics.median(times) for times in zip(*pairs, strict=True))
            ratio = statistics.median(one[0] / one[2] for one in pairs)
            note = f"by hand {by_hand:.2f} s, of which {alone:.2f} s for the {n} in one go; run / by hand {ratio:.2f}"
            label = f"whole run on {name}, {n} tasks and their merge"
            yield Row(label, run_s, None, "s", "1.25 by hand", note)
            if full:
                theirs = run(peer(), "fan", n, SYSTEM=system.name, timeout=RUN_TIMEOUT, **system.env)["wall"]
                yield Row(f"{label}, default settings", run_s, theirs, "s", "ratio 8")


def _whole_and_by_hand(system: Cluster, n: int) -> tuple[float, float, float]:
    """Seconds for a whole run; for the leaves by hand; for the leaves and then the merge by hand."""
    with tempfile.TemporaryDirectory(dir=system.folder) as folder:
        env = {"KIND": "fan", "N": str(n), "SYSTEM": system.name, "FOLDER": folder}
        began = time.time()
        run(ours(), "fan", n, SYSTEM=system.name, FOLDER=folder, timeout=RUN_TIMEOUT, **system.env)
        took = time.time() - began
        scripts = {path: _script_of(path, Path(folder)) for path in Path(folder, "result_dir").rglob("*.txt")}
        wait_until(lambda: not system.live_jobs())
        shutil.rmtree(Path(folder) / "result_dir")
        leaves, merge = ([path for path in scripts if path.stem == kind] for kind in ("Leaf", "Merge"))
        alone, last = (system.run_by_hand([scripts[path] for path in some], some, env) for some in (leaves, merge))
        wait_until(lambda: not system.live_jobs())
    return took, alone, alone + last


def _script_of(output: Path, folder: Path) -> Path:
    """The job script behind an output of the workload."""
    parameters = output.parent.relative_to(folder / "result_dir")
    return folder / "task_file_dir" / parameters / output.stem / SCRIPT_NAME


def cluster_submit(full: bool) -> Iterator[Row]:
    """Two hundred long jobs: how long it takes to submit them, and to cancel them at Ctrl-C."""
    for name, cluster in CLUSTERS.items() if full else ():
        with cluster() as system:
            began, took = _submit_and_interrupt(system)
            submits, queries, cancels = (system.calls(kind) for kind in range(3))
            note = f"calls: {len(submits)} of {system.programs[0]}"
            limit = "0.5" if name == "HTCondor" else ""
            yield Row(f"200 jobs submitted to {name}", submits[-1].ended - submits[0].began, None, "s", limit, note)
            yield Row(f"start of the run to first job in the queue of {name}", submits[0].ended - began, None, "s", "2")
            note = f"calls: {len(cancels)} of {system.programs[2]}, {len(queries)} of {system.programs[1]} before that"
            yield Row(f"Ctrl-C with 200 jobs of {name}", took, None, "s", "2", note)
            wait_until(lambda: not system.live_jobs())


def _submit_and_interrupt(system: Cluster) -> tuple[float, float]:
    """When the run started, and the seconds from Ctrl-C to its end."""
    with tempfile.TemporaryDirectory(dir=system.folder) as folder:
        began = time.time()
        child = start(ours(), "sleep", 200, SYSTEM=system.name, FOLDER=folder, **system.env)
        try:
            wait_until(lambda: len(system.live_jobs()) >= 200)
            time.sleep(5)
            stopped = time.time()
            child.send_signal(signal.SIGINT)
            child.communicate(timeout=120)
            return began, time.time() - stopped
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)


def cluster_latency(full: bool) -> Iterator[Row]:
    """From the end of a task's `run` to the end of the command that submits the dependent task."""
    n, seconds = 40, 20
    for name, cluster in CLUSTERS.items() if full else ():
        with cluster() as system, tempfile.TemporaryDirectory(dir=system.folder) as folder:
            options = {"SYSTEM": system.name, "SECONDS": str(seconds), "FOLDER": folder, **system.env}
            took = run(ours(), "pairs", n, timeout=RUN_TIMEOUT, **options)["wall"]
            waits = sorted(_waits(system, Path(folder), n))
            queries = f"{len(system.calls(1))} calls of {system.programs[1]} in {took:.0f} s"
            note = f"{n} pairs, jobs of 0 to {seconds} s; {queries}"
            yield Row(f"job end to next submission on {name}, median", statistics.median(waits), None, "s", "0.5", note)
            yield Row(f"job end to next submission on {name}, 95 %", waits[n * 95 // 100], None, "s", "1.5", note)


def _waits(system: Cluster, folder: Path, n: int) -> Iterator[float]:
    submits = system.calls(0)
    for i in range(n):
        ended = (folder / "result_dir" / f"i={i}" / "First.txt").stat().st_mtime
        written = (folder / "task_file_dir" / f"i={i}" / "Second" / SCRIPT_NAME).stat().st_mtime
        yield min(call.ended for call in submits if call.began >= written) - ended
