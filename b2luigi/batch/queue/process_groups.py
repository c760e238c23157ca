"""Process groups of this machine: how their leaders end, and who of their members still works (proc(5))."""

from __future__ import annotations

import contextlib
import os
import re
import signal

from b2luigi.core.job_script import OUTCOME_VARIABLE

_TOLD = re.compile(rb"(?:^|\0)" + OUTCOME_VARIABLE.encode() + rb"=[^\0]*/([0-9a-f]{16})\.outcome(?=\0|$)")


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
    pids = _pids()
    return not pids or any(_group_of_living(pid) == group for pid in pids)


def groups_by_token() -> dict[str, int]:
    """Process groups in which the task of an attempt works, by its token, which the job script exports."""
    found = {_token_of(pid): _group_of_living(pid) for pid in _pids()}
    return {token: group for token, group in found.items() if token and group is not None}


def works_on(group: int, token: str) -> bool:
    """Whether a member of a process group was started by the job script of an attempt."""
    return any(_group_of_living(pid) == group and _token_of(pid) == token for pid in _pids())


def _pids() -> list[str]:
    try:
        return [name for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []


def _token_of(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            found = _TOLD.search(file.read())
    except OSError:  # somebody else's, or over
        return ""
    return found[1].decode() if found else ""


def _group_of_living(pid: str) -> int | None:
    """Process group of a process, None for one that ended (proc(5): state and pgrp follow the name)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, _, group = file.read().rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return int(group) if state not in (b"Z", b"X") else None
