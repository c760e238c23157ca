"""What the job of a task uses: time, CPU and memory, measured on its node."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import resource
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.liveness import stat_of
from b2luigi.core.job_script import MEMORY_LINE

logger = logging.getLogger("luigi-interface.b2luigi")

PEAKS = ("memory.peak", "memory.max_usage_in_bytes")
"""Files with the most memory of a cgroup, in bytes, in cgroup version 2 (since Linux 5.19) and 1."""
MEMORY_FILES = (
    ("memory.peak", "memory.max", "memory.events"),
    ("memory.max_usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control"),
)
"""Files with the peak, the limit and the events of a cgroup, in version 2 and 1."""
_OF_JOB = re.compile(r"job[_.-]?\d.*|condor_.*slot\d.*")
"""How batch systems name the cgroup of a job: slurmstepd.scope/job_12, lsf/.../job.12.1, htcondor/condor_...slot1_1@...
All others are those of a machine, a container or a session, which use memory for other purposes, too."""


def measured(is_alone: bool = True) -> dict[str, Any]:
    """What `measure` finds; nothing where it fails: the task has run, and its outcome matters more."""
    try:
        return measure(is_alone=is_alone)
    except Exception as error:
        logger.warning("b2luigi: cannot measure what the job used: %s: %s", type(error).__name__, error)
        return {}


def measure(root: Path = Path("/"), now: float | None = None, is_alone: bool = True) -> dict[str, Any]:
    """What this process and its children have used so far: the fields of `b2luigi.monitor.Usage`.

    `root`: holds `proc` and `sys`; `now`: seconds since the epoch. `is_alone`: the job runs no other task, so that the
    memory of its cgroup is that of the task.
    """
    now = time.time() if now is None else now
    wall = _age()
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(one.ru_utime + one.ru_stime for one in (own, children))
    peak = cgroup_peak(root) if is_alone else None
    return {
        "started": round(now - wall, 3),
        "ended": round(now, 3),
        "wall": round(wall, 3),
        "cpu": round(cpu, 3),
        "memory": peak if peak is not None else largest_process(),
        "memory_from": "cgroup" if peak is not None else "largest process",
    }


class PeakNotes:
    """Keeps in a file how large the largest process was so far: whoever is killed can say it no more.

    `path`: the file, which is there; `every`: seconds between two looks, on a thread of its own.
    """

    def __init__(self, path: Path, every: float = 1.0) -> None:
        self._path, self._every = path, every
        self._noted = 0
        self._pid = os.getpid()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="b2luigi-memory", daemon=True)

    def __enter__(self) -> PeakNotes:
        with contextlib.suppress(RuntimeError):  # no room for a thread: the task needs none
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if os.getpid() == self._pid and self._thread.ident:  # a child that the task has forked has no such thread
            self._stopped.set()
            self._thread.join()

    def look(self) -> None:
        """Writes the peak if it has grown by a tenth."""
        peak = largest_process()
        if peak > 1.1 * self._noted:
            self._noted = peak
            with contextlib.suppress(OSError):  # a full disk; the file was removed, and must not come back
                descriptor = os.open(self._path, os.O_WRONLY | os.O_TRUNC)
                try:
                    os.write(descriptor, f"{peak}\n".encode())
                finally:
                    os.close(descriptor)

    def _work(self) -> None:
        while not self._stopped.wait(self._every):
            self.look()


def largest_process() -> int:
    """The most memory, in bytes, that this process or one of its children that ended has had."""
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return 1024 * max(peaks)  # kilobytes: getrusage(2)


def cgroup_peak(root: Path) -> int | None:
    """The most memory that the cgroup of this job had, in bytes; None if it has none of its own, or that is unreadable.

    A batch system may make groups within that of the job: the one closest to the job counts.
    """
    found = None
    for folder in _groups_of_job(root):
        for name in PEAKS:
            try:
                found = int((folder / name).read_text())
            except (OSError, ValueError):
                continue
    return found


@dataclass(frozen=True)
class JobMemory:
    """The memory of the cgroup of this job: the most it had and may have, in bytes, and how often the kernel killed."""

    peak: int
    limit: int
    kills: int

    def note(self, earlier_kills: int = 0) -> str:
        """What the job script of a task that was killed says of it. `earlier_kills`: those of other tasks before."""
        return f"{MEMORY_LINE} {self.peak}, limit {self.limit}, killed {self.kills - earlier_kills}"


def job_memory(root: Path = Path("/")) -> JobMemory | None:
    """None if the job has no cgroup of its own with a limit, or that is unreadable. `root`: holds `proc` and `sys`."""
    for folder in _groups_of_job(root):
        for peak, limit, events in MEMORY_FILES:
            with contextlib.suppress(OSError, ValueError):
                most, allowed = int((folder / peak).read_text()), int((folder / limit).read_text())
                counts = dict(line.split() for line in (folder / events).read_text().splitlines())
                return JobMemory(most, allowed, int(counts.get("oom_kill", "0")))
    return None


def _groups_of_job(root: Path) -> Iterator[Path]:
    """The cgroup of this process and those above it, as long as their names are those of a job (cgroups(7))."""
    try:
        lines = (root / "proc/self/cgroup").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        inner = Path(path.strip("/"))
        for group in (inner, *inner.parents):
            if any(map(_OF_JOB.fullmatch, group.parts)):
                yield base / group


def _age() -> float:
    """Seconds since this process was started."""
    stat = stat_of(os.getpid())
    if stat is None:
        return time.process_time()
    since_boot = time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    return max(0.0, since_boot - stat.start / os.sysconf("SC_CLK_TCK"))
