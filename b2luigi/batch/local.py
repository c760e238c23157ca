"""The local batch system: the same job scripts as child processes of this machine, behind the same interface."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from b2luigi.batch.model import Cause, JobInfo, JobSpec, JobStatus
from b2luigi.batch.system import Setting
from b2luigi.batch.ticket import Ticket

logger = logging.getLogger("luigi-interface.b2luigi")

PATIENCE = 5.0
"""Seconds from the request to stop (SIGTERM) to the end (SIGKILL)."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Child:
    ticket: Ticket
    process: subprocess.Popen[bytes]
    kill_at: float | None = None
    """When its patience ends; None while nobody asked it to stop."""


class LocalQueue:
    """At most `slots` job scripts at once; the rest waits here. Job ids are process ids.

    `folder`: where the job scripts are started.
    """

    name: ClassVar[str] = "local"
    carries_files: ClassVar[bool] = False

    def __init__(
        self,
        *,
        folder: str | os.PathLike[str],
        slots: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if slots is not None and (isinstance(slots, bool) or not isinstance(slots, int) or slots < 1):
            raise ValueError(f"local_slots has to be a whole number above 0, but it is {slots!r}.")
        self._folder, self._slots = folder, slots or processors()
        self._clock, self._sleep = clock, sleep
        self._waiting: list[Ticket] = []
        self._children: dict[str, _Child] = {}

    def options(self, setting: Setting) -> Mapping[str, Any]:
        """Nothing to choose."""
        return {}

    def check(self, spec: JobSpec) -> None:
        """Any folder will do."""

    def submit(self, spec: JobSpec) -> Ticket:
        """Hands a job in; it starts as soon as there is a free slot."""
        ticket = Ticket(spec)
        self._waiting.append(ticket)
        return ticket

    def step(self) -> list[Ticket]:
        """Notices what ended, starts what waits; returns the tickets with news."""
        news = [child.ticket for child in list(self._children.values()) if self._ended(child)]
        self._waiting = [ticket for ticket in self._waiting if not ticket.cancelled]
        while self._waiting and len(self._children) < self._slots:
            ticket = self._waiting.pop(0)
            self._begin(ticket)
            news.append(ticket)
        return news

    def hurry(self, ticket: Ticket) -> None:
        """Nothing to ask: the end of a child is seen at once."""

    def cancel(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        """Asks jobs to stop; those that do not are killed a few seconds later."""
        for ticket in tickets:
            ticket.cancelled = True
            child = self._children.get(ticket.spec.token)
            if child is not None and child.kill_at is None:
                child.kill_at = self._clock() + PATIENCE
                _signal(child, signal.SIGTERM)

    def release(self, ticket: Ticket) -> None:
        """Nothing is kept of jobs that ended."""

    def close(self, patience: float) -> list[Ticket]:
        """Stops all jobs, at most `patience` seconds; returns those that are left."""
        self._waiting.clear()
        self.cancel([child.ticket for child in self._children.values()])
        end = self._clock() + patience
        while self._children and self._clock() < end:
            self.step()
            self._sleep(0.02)
        return [child.ticket for child in self._children.values()]

    def _begin(self, ticket: Ticket) -> None:
        spec = ticket.spec
        try:
            with open(spec.report, "wb") as report:
                process = subprocess.Popen(
                    [spec.script, spec.token],
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=report,
                    stderr=report,
                    start_new_session=True,
                )
        except OSError as error:
            ticket.refused = _why_not(spec, error)
            return
        ticket.job_id = str(process.pid)
        ticket.info = JobInfo(JobStatus.running, "running", token=spec.token, node=platform.node())
        self._children[spec.token] = _Child(ticket, process)

    def _ended(self, child: _Child) -> bool:
        """True when the job is over; then, and only then, its process id is given back to the system."""
        end = _end_of(child.process.pid)
        if child.kill_at is None:
            if end == os.CLD_KILLED:
                _signal(child, signal.SIGKILL)  # what the job script had started must not work on alone
            if end is None:
                return False
        elif self._clock() >= child.kill_at or (end is not None and not _has_members(child.process.pid)):
            _signal(child, signal.SIGKILL)
        else:
            return False
        child.ticket.info = _info(child.process.wait(), child)
        del self._children[child.ticket.spec.token]
        return True


def _why_not(spec: JobSpec, error: OSError) -> str:
    shell = ""
    with contextlib.suppress(OSError):
        shell = spec.script.read_text(errors="replace").partition("\n")[0].removeprefix("#!")
    if isinstance(error, FileNotFoundError) and shell and not os.path.exists(shell):
        return f"there is no {shell} on this machine (setting shell)"
    return f"the job script can not be started: {error}"


def _info(rc: int, child: _Child) -> JobInfo:
    code = rc if rc >= 0 else 128 - rc
    node, token = platform.node(), child.ticket.spec.token
    if child.kill_at is not None:
        return JobInfo(JobStatus.aborted, "stopped", code, Cause.cancelled, token, node)
    if rc < 0:
        return JobInfo(JobStatus.aborted, f"killed by signal {-rc}", code, Cause.infrastructure, token, node)
    status = JobStatus.successful if rc == 0 else JobStatus.aborted
    return JobInfo(status, f"exit code {rc}", code, None, token, node)


def _end_of(pid: int) -> int | None:
    """How a child ended, if it did, without reaping it: until then nobody else can get its process id."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # we were started with SIGCHLD ignored: the system reaps, and how it ended is lost
        return os.CLD_EXITED
    if found is None:
        return None
    return os.CLD_EXITED if found.si_code == os.CLD_EXITED else os.CLD_KILLED


def _signal(child: _Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def _has_members(group: int) -> bool:
    """Whether a process group still has living members; True where the machine does not tell."""
    try:
        pids = [name for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return True
    return any(_group_of_living(pid) == group for pid in pids)


def _group_of_living(pid: str) -> int | None:
    """Process group of a process, None for one that ended (proc(5): state and pgrp follow the name)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, _, group = file.read().rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return int(group) if state not in (b"Z", b"X") else None
