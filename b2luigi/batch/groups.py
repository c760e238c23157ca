"""Process groups of this machine: how their leaders end, and who of their members still works (proc(5))."""

from __future__ import annotations

import contextlib
import os
import signal


def end_of(pid: int) -> int | None:
    """How a child ended, if it did, without reaping it: until then nobody else can get its process id."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # we were started with SIGCHLD ignored: the system reaps, and how it ended is lost
        return os.CLD_EXITED
    if found is None:
        return None
    return os.CLD_EXITED if found.si_code == os.CLD_EXITED else os.CLD_KILLED


def signal_group(group: int, number: signal.Signals) -> None:
    """Signals all of a process group; one that is no more, or somebody else's, is left alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def has_members(group: int) -> bool:
    """Whether a process group still has living members; True where the machine does not tell."""
    try:
        pids = [name for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return True
    return any(_group_of_living(pid) == group for pid in pids)


def works_on(group: int, token: str) -> bool:
    """Whether a member of a process group was started by the job script of an attempt, which exports its token."""
    try:
        pids = [name for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return False
    return any(_group_of_living(pid) == group and _is_told_of(pid, token) for pid in pids)


def _is_told_of(pid: str, token: str) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return token.encode() in file.read()
    except OSError:
        return False


def _group_of_living(pid: str) -> int | None:
    """Process group of a process, None for one that ended (proc(5): state and pgrp follow the name)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, _, group = file.read().rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return int(group) if state not in (b"Z", b"X") else None
