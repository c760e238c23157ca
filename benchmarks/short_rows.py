"""Rows of short tasks on a real HTCondor and a real Slurm with 16 slots, and of other programs with the same tasks."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.clusters import CLUSTERS, Cluster, wait_until
from benchmarks.measure import SCRIPT, ours
from benchmarks.short_cpu import Seconds, counted
from benchmarks.short_peers import PEERS, SLOTS, CannotInstall, Peer
from benchmarks.table import Row

SHORT = SCRIPT.parent / "short.py"
TIMEOUT = 1800.0
"""Maximum seconds for a whole run."""
Setting = int | str
"""A value of `tasks_per_job`."""
SETTINGS: tuple[Setting, ...] = (1, 10, 25, "auto")
LIMITS: dict[Setting, str] = {25: "12", "auto": "12"}
"""Seconds for a thousand tasks of 0.1 s."""
KINDS: dict[str, tuple[list[float], tuple[int, ...]]] = {
    "0.1 s": ([0.1] * 1000, (1, 10, 25, 63)),
    "10 s": ([10.0] * 96, (1, 2, 6)),
    "0.1 s and 10 s": (random.Random(1).sample([0.1] * 900 + [10.0] * 48, 948), (1, 10, 25)),
}
"""The durations of the tasks, and fixed values of `tasks_per_job` to compare with "auto"."""
FEW = {"0.1 s": ([0.1] * 32, (1, 10))}


@dataclass(frozen=True)
class Timed:
    """What a run took, in seconds."""

    wall: float
    """From the start of the command to its last output."""
    cpu: float
    """Of the command and the programs that it called; not of the jobs."""
    all_cpu: float | None = None
    """Of these, the batch system and the jobs. None: this machine cannot count it."""
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    """Of the machine, at the end."""


@dataclass(frozen=True)
class Bench:
    """A running batch system, and the CPU time of all that runs on it."""

    system: Cluster
    seconds: Seconds


@contextlib.contextmanager
def bench(name: str) -> Iterator[Bench]:
    """The batch system with this name. Raises CannotRun (a RuntimeError) if it cannot be started."""
    with counted() as seconds, CLUSTERS[name]() as system:
        yield Bench(system, seconds)


def timed(words: Sequence[str], folder: Path, outputs: int, env: Mapping[str, str], timeout: float = TIMEOUT) -> Timed:
    """Runs a command that writes some outputs (`short*.txt`) below the folder. Raises RuntimeError if it does not."""
    began = time.time()
    with open(folder / "printed", "w") as printed:
        process = subprocess.Popen(
            words, env=dict(env), cwd=folder, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True
        )
        cpu = _cpu_at_end(process, timeout)
    found = [path.stat().st_mtime for path in folder.rglob("short*.txt")]
    if process.returncode or len(found) != outputs:
        last = (folder / "printed").read_text(errors="replace").strip()[-200:]
        raise RuntimeError(f"{len(found)} of {outputs} outputs, exit code {process.returncode}: {last}")
    return Timed(max(found) - began, cpu)


def _cpu_at_end(process: subprocess.Popen[bytes], timeout: float) -> float:
    end = time.monotonic() + timeout
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime
        if time.monotonic() > end:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.05)


def by_us(bench: Bench, durations: Sequence[float], setting: Setting, runs: int = 1) -> list[Timed]:
    """Some runs of the same tasks: from the second on, the journal of the former ones is there."""
    tasks = {**_tasks(bench.system, durations), "TASKS_PER_JOB": json.dumps(setting)}
    found = []
    with tempfile.TemporaryDirectory(dir=bench.system.folder) as folder:
        for _ in range(runs):
            shutil.rmtree(Path(folder) / "result_dir", ignore_errors=True)
            env = {**os.environ, **bench.system.env, **tasks, "FOLDER": folder}
            found.append(_counted(bench, [ours(), str(SHORT)], Path(folder), len(durations), env))
    return found


def by_peer(bench: Bench, durations: Sequence[float], peer: Peer) -> Timed:
    """A run of the peer. Raises RuntimeError if it fails, or cannot be installed."""
    with tempfile.TemporaryDirectory(dir=bench.system.folder) as name:
        folder = Path(name)
        env = {**os.environ, **bench.system.env, **_tasks(bench.system, durations), **peer.env, "FOLDER": name}
        env.pop("PYTHONPATH", None)
        env["PATH"] = f"{peer.python().parent}{os.pathsep}{env['PATH']}"
        found = _counted(bench, peer.words(bench.system, folder), folder, len(durations), env)
        own = folder / "cpu"
        return replace(found, cpu=float(own.read_text())) if own.exists() else found


def _counted(bench: Bench, words: Sequence[str], folder: Path, outputs: int, env: Mapping[str, str]) -> Timed:
    before = bench.seconds()
    found = timed(words, folder, outputs, env)
    wait_until(lambda: not bench.system.live_jobs())
    after = bench.seconds()
    return replace(found, all_cpu=after - before) if before is not None and after is not None else found


def _tasks(system: Cluster, durations: Sequence[float]) -> dict[str, str]:
    return {"SYSTEM": system.name, "SLOTS": str(SLOTS), "DURATIONS": json.dumps(durations)}


def short_tasks(full: bool) -> Iterator[Row]:
    """A thousand tasks of 0.1 s: several settings of `tasks_per_job`, and the peers in the same run."""
    durations = [0.1] * (1000 if full else 32)
    for name in CLUSTERS:
        with bench(name) as there:
            label = f"{len(durations)} tasks of 0.1 s on {name}"
            settings = SETTINGS if full else (1, "auto")
            found = {setting: by_us(there, durations, setting, 1 + (setting == "auto")) for setting in settings}
            yield from rows_of_ours(label, durations, found)
            for peer in PEERS if full else ():
                yield row_of_peer(label, durations, found["auto"][0], there, peer)


def rows_of_ours(label: str, durations: Sequence[float], found: Mapping[Setting, list[Timed]]) -> Iterator[Row]:
    for setting, runs in found.items():
        first, name = runs[0], f"{label}, tasks_per_job={setting}"
        again = "".join(f"; run again: {one.wall:.1f} s" for one in runs[1:])
        note = f"{first.wall / _ideal(durations):.1f} times ideal ({_ideal(durations):.2f} s on {SLOTS} slots){again}"
        yield Row(name, first.wall, None, "s", LIMITS.get(setting, ""), f"{note}; load {first.load:.0f}")
        if first.all_cpu is not None:
            per_task = 1000 * first.all_cpu / len(durations)
            note = f"script, batch system and jobs; the script alone: {1000 * first.cpu / len(durations):.1f} ms"
            yield Row(f"{name}: CPU per task", per_task, None, "ms", "15" if setting in LIMITS else "", note)


def row_of_peer(label: str, durations: Sequence[float], mine: Timed, there: Bench, peer: Peer) -> Row:
    """The peer's seconds stand in the column of 1.3.0."""
    name = f"{label}, tasks_per_job=auto; beside it {peer.title}"
    try:
        theirs = by_peer(there, durations, peer)
    except CannotInstall as error:
        return Row(name, mine.wall, None, "s", note=f"cannot be installed: {error}")
    except (RuntimeError, subprocess.SubprocessError) as error:
        return Row(name, mine.wall, None, "s", note=f"failed: {error}")
    note = f"CPU per task: {_per_task(theirs.all_cpu, durations)}; {peer.note}: {_per_task(theirs.cpu, durations)}"
    return Row(name, mine.wall, theirs.wall, "s", peer.limit, f"{note}; load {theirs.load:.0f}")


def short_tasks_many(full: bool) -> Iterator[Row]:
    """Ten thousand tasks of one second: ten minutes on 16 slots, if nothing else took time."""
    durations = [1.0] * (10_000 if full else 64)
    for name in CLUSTERS:
        with bench(name) as there:
            (found,) = by_us(there, durations, "auto")
            note = f"{found.wall:.0f} s; CPU per task: {_per_task(found.all_cpu, durations)}; load {found.load:.0f}"
            label = f"{len(durations)} tasks of 1 s on {name}, against ideal"
            yield Row(label, found.wall / _ideal(durations), None, "", "1.1", note)


def short_tasks_auto(full: bool) -> Iterator[Row]:
    """What "auto" takes once it knows the durations from a former run, divided by the time of the best fixed value."""
    for name in CLUSTERS:
        with bench(name) as there:
            for kind, (durations, values) in (KINDS if full else FEW).items():
                first, auto = by_us(there, durations, "auto", 2)
                fixed = {value: by_us(there, durations, value)[0].wall for value in values}
                note = f"auto: first run {first.wall:.1f} s, run again {auto.wall:.1f} s"
                note += "".join(f"; {value}: {wall:.1f} s" for value, wall in fixed.items())
                label = f"auto against the best fixed tasks_per_job, {len(durations)} tasks of {kind} on {name}"
                yield Row(label, auto.wall / min(fixed.values()), None, "", "1.3", f"{note}; load {auto.load:.0f}")


def _per_task(seconds: float | None, durations: Sequence[float]) -> str:
    return "not counted" if seconds is None else f"{1000 * seconds / len(durations):.1f} ms"


def _ideal(durations: Sequence[float]) -> float:
    return max(sum(durations) / SLOTS, *durations)
