"""Which process something belongs to, written down so that another one can find out whether it is still alive."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Stat:
    """What the system knows of a process that is alive."""

    group: int
    """Its process group."""
    start: int
    """Clock ticks from the boot to its start."""
    parent: int
    """The process that has started it, or looks after it since that has ended."""


def stat_of(pid: int) -> Stat | None:
    """A process that is alive; None if it ended, or the machine does not say (proc(5): the state follows the name)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent, group, *others = file.read().rpartition(b")")[2].split()
            return Stat(int(group), int(others[16]), int(parent)) if state not in (b"Z", b"X") else None
    except (OSError, ValueError, IndexError):
        return None


def this_process() -> dict[str, Any]:
    """Identifies this process for good: host, boot of that host, process id and its start time."""
    stat = stat_of(os.getpid())
    return {"host": platform.node(), "boot": _boot(), "pid": os.getpid(), "start": stat.start if stat else None}


def has_ended(owner: Mapping[str, Any]) -> bool | None:
    """Whether a process has ended; None where that cannot be known from here (another host, no /proc)."""
    if owner.get("host") != platform.node() or not _boot():
        return None
    if owner.get("boot") != _boot():
        return True
    stat = stat_of(int(owner.get("pid") or 0))
    return stat is None or stat.start != owner.get("start")


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
