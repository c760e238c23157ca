"""Real batch systems, started on this machine, with a log of all calls of their programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.clusters.htcondor.cluster import HTCondorPool, install_htcondor
from tests.clusters.slurm.cluster import SlurmCluster, install_slurm

WRAPPER = """#!/bin/bash
began=$EPOCHREALTIME
'{real}' "$@"
ended=$?
echo "{name} $began $EPOCHREALTIME" >> '{folder}/calls'
exit $ended
"""
"""A program that logs its calls and runs the real one."""
LIST_OF_SCRIPTS = """\
executable = $(script)
getenv = true
output = /dev/null
error = /dev/null
queue script from (
{scripts}
)
"""
ARRAY = """#!/bin/bash
scripts=({scripts})
exec "${{scripts[$SLURM_ARRAY_TASK_ID]}}"
"""


@dataclass(frozen=True)
class Call:
    """A call of one of the batch system's programs; times in seconds since 1970."""

    program: str
    began: float
    ended: float


@dataclass(frozen=True)
class Cluster:
    """A running batch system."""

    name: str
    folder: Path
    env: Mapping[str, str]
    """Environment variables for processes that use it."""
    programs: tuple[str, str, str]
    """The programs that submit, query and cancel."""
    by_hand: Callable[[list[Path]], tuple[list[str], str]]
    """The command and the stdin that submit some job scripts in one go."""
    live_jobs: Callable[[], list[str]]

    def calls(self, kind: int) -> list[Call]:
        """The calls of a program since the last `forget`; `kind`: its index in `programs`."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        found = (Call(words[0], float(words[1]), float(words[2])) for words in map(str.split, lines))
        return [call for call in found if call.program == self.programs[kind]]

    def forget(self) -> None:
        """Starts a new log of calls."""
        (self.folder / "calls").unlink(missing_ok=True)

    def run_by_hand(self, scripts: list[Path], outputs: Iterable[Path], env: Mapping[str, str]) -> float:
        """Seconds from the submission of some job scripts, in one go, to the last of their outputs."""
        missing = set(outputs)
        words, stdin = self.by_hand(scripts)
        began = time.time()
        whole = {**os.environ, **self.env, **env}
        subprocess.run(words, input=stdin, env=whole, check=True, capture_output=True, text=True, cwd=self.folder)
        wait_until(lambda: not missing.difference_update([path for path in missing if path.exists()]) and not missing)
        return time.time() - began


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Checks the condition fifty times a second. Raises RuntimeError after the timeout."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"timed out after {seconds:g} s")
        time.sleep(0.02)


@contextlib.contextmanager
def htcondor() -> Iterator[Cluster]:
    """A personal HTCondor with 16 slots. Raises CannotRun (a RuntimeError) if it cannot be started."""
    with tempfile.TemporaryDirectory() as folder, HTCondorPool(install_htcondor(), Path(folder) / "pool") as pool:
        programs = ("condor_submit", "condor_q", "condor_rm")
        env = _with_call_log(Path(folder), programs, pool.env)
        yield Cluster("htcondor", Path(folder), env, programs, _condor_by_hand, pool.live_jobs)


@contextlib.contextmanager
def slurm() -> Iterator[Cluster]:
    """A Slurm with 16 processors. Raises CannotRun (a RuntimeError) if it cannot be started."""
    install_slurm()
    with tempfile.TemporaryDirectory() as folder, SlurmCluster(Path(folder) / "slurm", nodes=2, cpus=8) as cluster:
        programs = ("sbatch", "squeue", "scancel")
        env = _with_call_log(Path(folder), programs, cluster.env)
        yield Cluster("slurm", Path(folder), env, programs, _slurm_by_hand, cluster.live_jobs)


CLUSTERS = {"HTCondor": htcondor, "Slurm": slurm}


def _with_call_log(folder: Path, programs: Iterable[str], env: Mapping[str, str]) -> dict[str, str]:
    (folder / "bin").mkdir()
    for name in programs:
        path = folder / "bin" / name
        path.write_text(WRAPPER.format(name=name, real=shutil.which(name, path=env["PATH"]), folder=folder))
        path.chmod(0o755)
    return {**env, "PATH": f"{folder / 'bin'}{os.pathsep}{env['PATH']}"}


def _condor_by_hand(scripts: list[Path]) -> tuple[list[str], str]:
    return ["condor_submit", "-"], LIST_OF_SCRIPTS.format(scripts="\n".join(map(str, scripts)))


def _slurm_by_hand(scripts: list[Path]) -> tuple[list[str], str]:
    text = ARRAY.format(scripts=" ".join(f"'{script}'" for script in scripts))
    return ["sbatch", f"--array=0-{len(scripts) - 1}", "--output=/dev/null"], text
