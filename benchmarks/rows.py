"""The measurements: each yields the rows it measured, in a small version (`full` is False) or a large one."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.cluster_rows import cluster_latency, cluster_run, cluster_submit
from benchmarks.look_rows import looks
from benchmarks.measure import MEMORY, SCRIPT, cpu_of, ours, peer, run, start
from benchmarks.operation_rows import file_operations
from benchmarks.short_rows import short_tasks, short_tasks_auto, short_tasks_many
from benchmarks.slow_rows import submission
from benchmarks.table import Row, plot_cost, plot_latency
from tests.standins.lsf import FakeLSF

DOCS = Path(__file__).resolve().parent.parent / "docs" / "performance"
LIMITS = {1000: "ratio 8", 10_000: "ratio 60", 100_000: "0.4 ms per task"}
MEMORY_LIMITS = {100_000: "400", 1_000_000: "4500"}
"""MB of the scheduling process."""


def cost(full: bool) -> Iterator[Row]:
    """CPU of the scheduling process: fan-out and merge, simulated jobs, 200 at once."""
    found: dict[str, dict[int, float]] = {"ours": {}, "peer": {}}
    for n in (100, 1000, *((3000, 10_000, 100_000) if full else ())):
        samples: dict[str, list[Any]] = {"ours": [], "peer": []}
        for _ in range(3 if n <= 1000 else 1):  # in turn, so that the load of the machine affects both
            samples["ours"].append(run(ours(), "fan", n, timeout=300))
            if n < 100_000:
                samples["peer"].append(run(peer(), "fan", n, timeout=900))
        for side, some in samples.items():
            if some:
                found[side][n] = statistics.median(one["cpu"] for one in some)
        note = f"{1000 * found['ours'][n] / n:.2f} ms per task, {samples['ours'][0]['rss']:.0f} MB"
        yield Row(f"CPU to schedule {n} tasks", found["ours"][n], found["peer"].get(n), "s", LIMITS.get(n, ""), note)
        if n in MEMORY_LIMITS:
            yield Row(f"memory for {n} tasks", samples["ours"][0]["rss"], None, "MB", MEMORY_LIMITS[n])
    words = [ours(), str(SCRIPT.parent / "floor.py"), "10000", MEMORY or ""]
    yield Row(
        "floor of 10000 tasks: creating instances, checking for and writing outputs",
        _floor(words),
        None,
        "s",
        note="luigi alone",
    )
    if full:
        plot_cost(DOCS / "cost.png", found["ours"], found["peer"])


def _floor(words: list[str]) -> float:
    printed = (subprocess.run(words, capture_output=True, text=True, check=True).stdout for _ in range(3))
    return statistics.median(float(json.loads(one)["cpu"]) for one in printed)


def million(full: bool) -> Iterator[Row]:
    """A million tasks, with one folder for all logs: a file and a folder for each is what a small machine can hold."""
    n = 1_000_000
    result = run(ours(), "fan", n, ONE_LOG="1", timeout=3600)
    note = f"{result['wall'] / 60:.0f} min, {result['files']} files"
    yield Row(f"CPU per task, {n} tasks", 1000 * result["cpu"] / n, None, "ms", "0.45", note)
    yield Row(f"memory for {n} tasks", result["rss"], None, "MB", MEMORY_LIMITS[n])


def queue(full: bool) -> Iterator[Row]:
    """The same with job scripts, records and outcomes, on a batch system whose jobs end at once."""
    for n in (1000, *((10_000,) if full else ())):
        result = run(ours(), "fan", n, SYSTEM="instant", timeout=300)
        took = 1000 * result["cpu"] / n
        yield Row(f"CPU per job, {n} jobs with job script, record and outcome", took, None, "ms", "3")
        yield Row(f"files per finished job ({n} jobs)", result["files"] / (n + 1), None, "", "4")


def node(full: bool) -> Iterator[Row]:
    """CPU of one leaf on the node: the job script and its child processes."""
    sizes = (10, 1000, *((10_000,) if full else ()))
    found: dict[int, list[tuple[float, float]]] = {n: [] for n in sizes}
    with tempfile.TemporaryDirectory() as folder:
        env = {"KIND": "fan", "FOLDER": folder, "SYSTEM": "lsf"}
        script = _job_script(folder, {**env, "N": "10"})
        theirs = [peer(), str(SCRIPT), "--batch-runner", "--task-id", _leaf(script)]
        for _ in range(9):  # in turn, so that the load of the machine affects all
            for n in sizes:
                sides = [cpu_of(words, {**env, "N": str(n)}) for words in ([script, "token"], theirs)]
                found[n].append((1000 * sides[0], 1000 * sides[1]))
        floors = [cpu_of([ours(), "-c", "import luigi"], env) for _ in range(9)]
    for n, pairs in found.items():
        mine, of_peer = (statistics.median(side) for side in zip(*pairs, strict=True))
        yield Row(f"CPU of a leaf's job, graph of {n}", mine, of_peer, "ms", "ratio 2")
    yield Row("floor of a job: import luigi", 1000 * statistics.median(floors), None, "ms", note="all of luigi")


def _job_script(folder: str, env: dict[str, str]) -> str:
    """Writes the job script of a leaf, as a run would."""
    code = (
        f"import sys, runpy; sys.argv = [{str(SCRIPT)!r}]; import __main__; __main__.__file__ = sys.argv[0]\n"
        "sys.path.insert(0, sys.argv[0].rpartition('/')[0])\n"
        "import b2luigi, workload\n"
        f"for name in ('task_file_dir', 'log_dir', 'result_dir'): b2luigi.set_setting(name, {folder!r} + '/' + name)\n"
        "workload.Leaf.__module__ = '__main__'; __main__.Leaf = workload.Leaf\n"
        "from b2luigi.core.executable import create_executable_wrapper\n"
        f"print(create_executable_wrapper(workload.Leaf(i=3), inbox={folder!r}))"
    )
    words = [ours(), "-W", "ignore", "-c", code]
    return subprocess.run(words, env={**os.environ, **env}, capture_output=True, text=True, check=True).stdout.strip()


def _leaf(script: str) -> str:
    return Path(script).read_text().rpartition("--task-id ")[2].split()[0]


def idle(full: bool) -> Iterator[Row]:
    """A thousand running jobs, and no events for twenty seconds."""
    env = {"WORKERS": "2000", "LOG": "WARNING"}
    mine, theirs = (run(python, "idle", 1000, timeout=180, **env) for python in (ours(), peer()))
    yield Row("CPU while 1000 simulated jobs run", 100 * mine["share"], 100 * theirs["share"], "%", "0.5")
    yield Row("memory while 1000 simulated jobs run", mine["growth"], theirs["growth"], "MB/s", "0")
    queued = run(ours(), "idle_queue", 1000, SYSTEM="instant", IDLE="1", timeout=180, **env)
    yield Row("CPU while 1000 jobs of a batch system run", 100 * queued["share"], None, "%", "0.5")


def latency(full: bool) -> Iterator[Row]:
    """On a stand-in for LSF: from the end of a job to the submission of the dependent task."""
    n, seconds = (60, "30") if full else (15, "8")
    waits, queries = _pairs(ours(), n, seconds)
    theirs = _pairs_of_peer(n, seconds) if full else ([], 0)
    if full:
        plot_latency(DOCS / "latency.png", waits)
    for name, percent, limit in (("median", 50, "0.5"), ("95 %", 95, "1.5")):
        of_peer = _percentile(theirs[0], percent) if theirs[0] else None
        note = f"{n} pairs, jobs of 0 to {seconds} s"
        yield Row(f"job end to next submission, {name}", _percentile(waits, percent), of_peer, "s", limit, note)
    yield Row(f"calls of bjobs ({n} pairs)", queries, theirs[1] or None, "")


def _pairs_of_peer(n: int, seconds: str) -> tuple[list[float], int]:
    """Empty if the peer takes too long: by default, it queries the states of its jobs every 120 s."""
    try:
        return _pairs(peer(), n, seconds)
    except subprocess.TimeoutExpired as error:
        print(f"latency of the peer: {error}", file=sys.stderr)
        return [], 0


def _percentile(some: list[float], percent: int) -> float:
    return sorted(some)[min(len(some) - 1, len(some) * percent // 100)]


def _pairs(python: str, n: int, seconds: str) -> tuple[list[float], int]:
    with tempfile.TemporaryDirectory() as folder, FakeLSF(Path(folder) / "lsf", slots=300) as lsf:
        run(python, "pairs", n, SYSTEM="lsf", SECONDS=seconds, FOLDER=folder, timeout=900, **lsf.env)
        jobs = {(int(job["jobid"]), int(job["idx"])): job for job in lsf.jobs()}
        tasks = {
            kind: [jobs[_identity(Path(folder) / "result_dir" / f"i={i}" / "x.txt", kind)] for i in range(n)]
            for kind in ("First", "Second")
        }
        pairs = zip(tasks["First"], tasks["Second"], strict=True)
        return [second["submit_time"] - first["finish_time"] for first, second in pairs], len(lsf.calls("bjobs"))


def _identity(path: Path, kind: str) -> tuple[int, int]:
    number, index = (path.parent / f"{kind}.txt").read_text().split()
    return int(number), int(index)


def ctrl_c(full: bool) -> Iterator[Row]:
    """Ctrl-C with 200 running jobs and a bkill that takes 0.2 s."""
    found = [_interrupt(python) for python in ((ours(), peer()) if full else (ours(),))]
    note = f"calls: {found[0][1]} of bsub, {found[0][2]} of bkill"
    yield Row("Ctrl-C with 200 running jobs", found[0][0], found[1][0] if full else None, "s", "2", note)


def _interrupt(python: str) -> tuple[float, int, int]:
    with tempfile.TemporaryDirectory() as folder, FakeLSF(Path(folder) / "lsf", slots=2, bkill_latency_s=0.2) as lsf:
        child = start(python, "sleep", 200, SYSTEM="lsf", FOLDER=folder, **lsf.env)
        end = time.time() + 120
        while len(lsf.live_jobs()) < 200 and time.time() < end:
            time.sleep(0.5)
        time.sleep(2)
        began = time.time()
        child.send_signal(signal.SIGINT)
        try:
            child.communicate(timeout=120)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
        return time.time() - began, len(lsf.calls("bsub")), len(lsf.calls("bkill"))


def shapes(full: bool) -> Iterator[Row]:
    """Deep and dense graphs."""
    shapes = (("chain", 2000), ("chain", 10_000), ("grid", 20)) if full else (("chain", 2000), ("grid", 5))
    for kind, n in shapes:
        name = f"chain of {n}" if kind == "chain" else f"grid {n} x 100 x 100"
        mine = run(ours(), kind, n, LOG="WARNING", timeout=300)["cpu"]
        theirs, note = _shape_of_peer(kind, n) if full else (None, "")
        yield Row(f"CPU of a {name}", mine, theirs, "s", note=note)


def _shape_of_peer(kind: str, n: int) -> tuple[float | None, str]:
    limit = 420
    try:
        return run(peer(), kind, n, LOG="WARNING", timeout=limit)["cpu"], ""
    except subprocess.TimeoutExpired:
        return None, f"1.3.0 was stopped after {limit} s"
    except RuntimeError as error:
        return None, f"1.3.0: {error}"


def listing(full: bool) -> Iterator[Row]:
    """The modes that only list tasks and outputs."""
    n = 10_000 if full else 1000
    for flag in ("--dry-run", "--show-output"):
        mine, theirs = (run(python, "fan", n, flag, timeout=300)["cpu"] for python in (ours(), peer()))
        yield Row(f"CPU of {flag}, {n} tasks", mine, theirs, "s", "3" if full else "")


def slow_disk(full: bool) -> Iterator[Row]:
    """A disk that takes 10 ms per existence check: the time to the first job, and to list all outputs."""
    n = 1000 if full else 200
    env = {"DISK": "0.01", "LOG": "WARNING"}
    mine, theirs = (run(python, "fan", n, FIRST="1", **env)["first"] for python in (ours(), peer()))
    yield Row(f"start to first job, {n} tasks, 10 ms per file check", mine, theirs, "s")
    mine, theirs = (run(python, "fan", n, "--show-output", **env)["wall"] for python in (ours(), peer()))
    yield Row(f"--show-output, {n} tasks, 10 ms per file check", mine, theirs, "s")


CLUSTER_ROWS = (cluster_submit, cluster_latency, cluster_run)
ROWS: dict[str, Callable[[bool], Iterator[Row]]] = {
    measure.__name__: measure
    for measure in (
        *(cost, queue, node, idle, latency, ctrl_c, shapes, listing, slow_disk),
        *(submission, looks, file_operations, *CLUSTER_ROWS, short_tasks),
    )
}


ON_REQUEST: dict[str, Callable[[bool], Iterator[Row]]] = {
    measure.__name__: measure for measure in (million, short_tasks_many, short_tasks_auto)
}
"""Measurements that run with `--only` alone."""


def measured(name: str, full: bool) -> list[Row]:
    """The rows of one measurement. A failure becomes a row of its own and does not stop other measurements."""
    rows: list[Row] = []
    try:
        for row in {**ROWS, **ON_REQUEST}[name](full):
            rows.append(Row(**{**vars(row), "group": name}))
    except (OSError, RuntimeError, ValueError, LookupError, ImportError, subprocess.SubprocessError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        rows.append(Row(name, None, None, "", note=f"failed: {str(error)[:200]}", group=name))
    return rows
