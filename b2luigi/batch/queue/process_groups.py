"""Process groups of this machine: who leads them, how leaders end, and which members are still alive (proc(5))."""

from __future__ import annotations

import contextlib
import os
import re
import signal

from b2luigi.batch.attempts.liveness import stat_of
from b2luigi.core.job_script import OUTCOME_VARIABLE

KILL_AFTER = 5.0
"""Seconds from the request to stop (SIGTERM) to the end (SIGKILL)."""
_EXPORTED = re.compile(rb"(?:^|\0)" + OUTCOME_VARIABLE.encode() + rb"=[^\0]*/([0-9a-f]{16})\.outcome(?=\0|$)")


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
    """Signals all of a process group; one that is gone, or somebody else's, is left alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def has_members(group: int) -> bool:
    """Whether a process group still has living members; True where the machine does not say."""
    pids = _pids()
    return not pids or any(_group_of(pid) == group for pid in pids)


def leaders_by_last_argument() -> dict[str, int]:
    """The leaders of all process groups of this machine, by the last argument they were started with.

    Others may be copies of a leader, which a shell makes before it starts a program.
    """
    return {last_argument(pid): pid for pid in _pids() if _group_of(pid) == pid}


def last_argument(pid: int) -> str:
    """The last argument a process was started with; empty if it ended."""
    return _read(pid, "cmdline").rstrip(b"\0").rpartition(b"\0")[2].decode(errors="replace")


def groups_by_token() -> dict[str, int]:
    """Process groups in which the task of an attempt works, by its token, which the job script exports."""
    found = {_token_of(pid): _group_of(pid) for pid in _pids()}
    return {token: group for token, group in found.items() if token and group is not None}


def works_on(group: int, token: str) -> bool:
    """Whether a member of a process group was started by the job script of an attempt."""
    return any(_group_of(pid) == group and _token_of(pid) == token for pid in _pids())


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []


def _token_of(pid: int) -> str:
    found = _EXPORTED.search(_read(pid, "environ"))
    return found[1].decode() if found else ""


def _group_of(pid: int) -> int | None:
    stat = stat_of(pid)
    return stat.group if stat is not None else None


def _read(pid: int, name: str) -> bytes:
    """A file of a process; empty if it ended, or is somebody else's."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""
