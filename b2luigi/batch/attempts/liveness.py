"""Which process something belongs to, told so that another one can find out whether it still lives."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """Names this process for good: host, boot of that host, process id and its start time (proc(5))."""
    return {"host": platform.node(), "boot": _boot(), "pid": os.getpid(), "start": _start(os.getpid())}


def has_ended(owner: Mapping[str, Any]) -> bool | None:
    """Whether a process is over; None where that can not be known from here (another host, no /proc)."""
    if owner.get("host") != platform.node() or not _boot():
        return None
    if owner.get("boot") != _boot():
        return True
    start = _start(int(owner.get("pid") or 0))
    return start is None or start != owner.get("start")


def processes() -> dict[str, int]:
    """The leaders of all process groups of this machine, by the last argument they were started with.

    Others may be copies of a leader, which a shell makes before it starts a program.
    """
    pids = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return {last_word(pid): pid for pid in pids if _leads(pid)}


def _leads(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def last_word(pid: int) -> str:
    """The last argument a process was started with; empty if it ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode(errors="replace")
    except OSError:
        return ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start(pid: int) -> int | None:
    """Clock ticks from the boot to the start of a process; None if it ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
