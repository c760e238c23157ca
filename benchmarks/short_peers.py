"""Other programs that run many short tasks in few jobs, each in an environment of its own."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.clusters import Cluster
from benchmarks.measure import CACHE, SCRIPT

SLOTS = 16
INSTALL_TIMEOUT = 600
SLURM_JOB = """#!/bin/bash
exec '{python}' '{script}'
"""
CONDOR_JOB = """\
executable = {python}
arguments = {script}
getenv = true
log = {folder}/condor.log
output = {folder}/condor.out
error = {folder}/condor.err
queue
"""


class CannotInstall(RuntimeError):
    """The registry does not have the peer, or not for this machine."""


def on_the_submit_host(python: Path, script: Path, system: Cluster, folder: Path) -> list[str]:
    """The command that runs a script which submits jobs of its own."""
    return [str(python), str(script)]


def as_one_job(python: Path, script: Path, system: Cluster, folder: Path) -> list[str]:
    """The command that runs a script as one job and waits for its end."""
    names = {"python": python, "script": script, "folder": folder}
    job = folder / "job"
    if system.name == "slurm":
        job.write_text(SLURM_JOB.format(**names))
        return ["sbatch", "--wait", f"--ntasks={SLOTS}", f"--output={folder}/slurm.out", str(job)]
    job.write_text(CONDOR_JOB.format(**names))
    return ["sh", "-c", f"condor_submit '{job}' && condor_wait '{folder}/condor.log'"]


@dataclass(frozen=True)
class Peer:
    """A program from the registry, and the script that gives the tasks to it."""

    name: str
    version: str
    script: str
    packages: tuple[str, ...]
    command: Callable[[Path, Path, Cluster, Path], list[str]] = on_the_submit_host
    env: Mapping[str, str] = field(default_factory=dict)
    note: str = "the script alone"
    limit: str = "ratio 1"

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"

    def words(self, system: Cluster, folder: Path) -> list[str]:
        """The command to run in the folder. Raises CannotInstall."""
        return self.command(self.python(), SCRIPT.parent / self.script, system, folder)

    def python(self) -> Path:
        """Its Python, which is installed at the first call."""
        folder = CACHE / self.script.removesuffix(".py")
        python, ready = folder / "bin" / "python", folder / "ready"
        if not ready.exists() or ready.read_text() != " ".join(self.packages):
            _install(folder, python, self.packages)
            ready.write_text(" ".join(self.packages))
        return python


def _install(folder: Path, python: Path, packages: tuple[str, ...]) -> None:
    words = [str(python), "-m", "pip", "install", "--quiet", *packages]
    try:
        venv.create(folder, with_pip=True, clear=True)
        done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_TIMEOUT)
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotInstall(str(error)) from error
    if done.returncode:
        raise CannotInstall(f"pip install {' '.join(packages)}: {done.stderr.strip()[-200:]}")


_HYPERQUEUE = Peer(
    "HyperQueue",
    "0.27.0",
    "short_hyperqueue.py",
    ("hyperqueue==0.27.0",),
    as_one_job,
    {"KIND": "programs"},
    "server and worker, which are one process",
    "",
)
PEERS = (
    Peer("Parsl", "2026.10.26", "short_parsl.py", ("parsl==2026.10.26",)),
    Peer("dask-jobqueue", "0.9.0", "short_dask.py", ("dask-jobqueue==0.9.0", "distributed==2026.8.0")),
    _HYPERQUEUE,
    replace(_HYPERQUEUE, name="HyperQueue with Python functions,", env={"KIND": "functions"}),
)
