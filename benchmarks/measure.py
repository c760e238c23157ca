"""Runs the workload with one of the two packages, and measures it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PEER = "b2luigi==1.3.0"
SCRIPT = Path(__file__).resolve().parent / "scripts" / "workload.py"
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Jobs write to memory, because the speed of a disk varies more than what is measured (by a factor of 8 here)."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "b2luigi-benchmarks"


def peer() -> str:
    """The Python interpreter of the published package, which is installed at the first call."""
    python = CACHE / "venv" / "bin" / "python"
    if not (CACHE / "ready").exists():
        venv.create(CACHE / "venv", with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER], check=True, timeout=600)
        (CACHE / "ready").touch()
    return str(python)


def ours() -> str:
    return sys.executable


def start(python: str, kind: str, n: int, *flags: str, **env: str) -> subprocess.Popen[str]:
    """Starts the workload as a child process with its own process group, in the folder FOLDER."""
    settings = {"KIND": kind, "N": str(n), **env}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    words = [python, str(SCRIPT), *flags]
    return subprocess.Popen(
        words,
        env={**inherited, **settings},
        cwd=settings["FOLDER"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def run(python: str, kind: str, n: int, *flags: str, timeout: float = 120, **env: str) -> Mapping[str, Any]:
    """The measurements that the workload prints. Raises RuntimeError or TimeoutExpired if there are none."""
    if "FOLDER" not in env:
        with tempfile.TemporaryDirectory(prefix="b2luigi-benchmark-", dir=MEMORY) as folder:
            return run(python, kind, n, *flags, timeout=timeout, FOLDER=folder, **env)
    process = start(python, kind, n, *flags, **env)
    try:
        printed, _ = process.communicate(timeout=timeout)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    lines = printed.strip().splitlines()
    if process.returncode != 0 or not lines or not lines[-1].startswith("{"):
        raise RuntimeError(f"{kind} N={n} ended with {process.returncode}: {lines[-1] if lines else 'no output'}")
    found: Mapping[str, Any] = json.loads(lines[-1])
    return found


def cpu_of(words: list[str], env: Mapping[str, str], timeout: float = 120) -> float:
    """CPU seconds of a command and its children. Raises CalledProcessError if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(words, env={**inherited, **env}, check=True, capture_output=True, timeout=timeout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
