"""CPU time of a whole run on this machine: the script, the daemons of the batch system, and the jobs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOTS = (Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
"""Where the kernel counts CPU time for groups of processes: version 1, both versions, version 2 of cgroups."""
ENDING = 10.0
"""Seconds for the last processes to end."""
Seconds = Callable[[], "float | None"]


@contextlib.contextmanager
def counted() -> Iterator[Seconds]:
    """Counts this process and all that it starts from now on, daemons too; needs root and cgroups, or gives None."""
    root = next((root for root in ROOTS if _usage(root) is not None and os.access(root, os.W_OK)), None)
    if root is None:
        yield lambda: None
        return
    former, group = _group_of_this_process(root), root / f"b2luigi-benchmark-{os.getpid()}"
    group.mkdir(exist_ok=True)
    _move(group)
    try:
        yield lambda: _usage(group)
    finally:
        _move(former)
        _remove(group)


def _remove(group: Path) -> None:
    """Processes of the batch system may need some seconds to end; while there are any, the group cannot be removed."""
    end = time.monotonic() + ENDING
    while group.exists() and time.monotonic() < end:
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.05)


def _usage(group: Path) -> float | None:
    with contextlib.suppress(OSError):
        return int((group / "cpuacct.usage").read_text()) / 1e9
    with contextlib.suppress(OSError, LookupError):
        lines = (line.split() for line in (group / "cpu.stat").read_text().splitlines())
        return int(dict(lines)["usage_usec"]) / 1e6
    return None


def _group_of_this_process(root: Path) -> Path:
    """The lines of this file: number, controllers (none in version 2), path."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    controller = "cpuacct" if root.name == "cpuacct" else ""
    return root / next(path for _, names, path in lines if controller in names.split(",")).lstrip("/")


def _move(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))
