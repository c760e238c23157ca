"""The local batch system: the same job scripts as child processes of this machine, behind the same interface."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from b2luigi.batch.model import Cause, JobInfo, JobSpec, JobStatus
from b2luigi.batch.owner import last_word, processes
from b2luigi.batch.system import Setting
from b2luigi.batch.ticket import Ticket, counted, never

logger = logging.getLogger("luigi-interface.b2luigi")

SIGNALLED = 128
"""Exit codes above tell a signal."""
ASKED_TO_GO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals by which a person stops a job; those that the system sends are others."""
MISSED = 0.1
"""Seconds after which a job that was not among the processes of this machine is looked for again."""
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

    def signal(self, number: signal.Signals) -> None:
        """To the job script and all it started. Until it is reaped nobody else can have its process id."""
        _signal(self.process.pid, number)


@dataclass
class _Adopted:
    """A job that an earlier run has started: no child of ours, so that its exit code is known from its marker only."""

    ticket: Ticket
    kill_at: float | None = None

    @property
    def lives(self) -> bool:
        return last_word(int(str(self.ticket.job_id))) == self.ticket.spec.token

    def signal(self, number: signal.Signals) -> None:
        """To the job script and all it started, also when that alone was shot; never to a stranger with its number."""
        if self.lives or _works_on(int(str(self.ticket.job_id)), self.ticket.spec.token):
            _signal(int(str(self.ticket.job_id)), number)


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
        self._untold = 0
        self._children: dict[str, _Child] = {}
        self._adopted: dict[str, _Adopted] = {}
        self._seen: tuple[float, dict[str, int]] = (float("-inf"), {})

    def options(self, setting: Setting) -> Mapping[str, Any]:
        """Nothing to choose."""
        return {}

    def check(self, spec: JobSpec) -> None:
        """Any folder will do."""

    def submit(self, spec: JobSpec) -> Ticket:
        """Hands a job in; it starts as soon as there is a free slot."""
        ticket = Ticket(spec)
        self._waiting.append(ticket)
        self._untold += 1
        return ticket

    def attach(self, spec: JobSpec, facts: Mapping[str, Any]) -> Ticket:
        """Goes on with a job of another run: a process of this machine that was started with its token.

        Raises ValueError for a job of another machine, of which nothing can be known here.
        """
        ticket, host = Ticket(spec), str(facts.get("submit_host"))
        if host != platform.node():
            raise ValueError(
                f"its job (process {facts.get('job_id')}) was started on {host} by another run, and may still run "
                "there. Run the script there, or with --fresh to start anew here."
            )
        pid = self._process_with(spec.token)
        noted = str(facts.get("job_id"))
        if pid is None and not re.fullmatch(r"[1-9][0-9]{0,9}", noted):  # it becomes the aim of signals
            ticket.refused = "no process of this machine has its token"
        else:
            ticket.job_id = noted if pid is None else str(pid)
            if pid is not None:
                ticket.info = JobInfo(JobStatus.running, "running", token=spec.token, node=host)
            self._adopted[spec.token] = _Adopted(ticket)
        return ticket

    def _process_with(self, token: str) -> int | None:
        age = self._clock() - self._seen[0]
        if age > 1.0 or (token not in self._seen[1] and age > MISSED):  # it may have been started since
            self._seen = self._clock(), processes()
        return self._seen[1].get(token)

    def step(self) -> list[Ticket]:
        """Notices what ended, starts what waits; returns the tickets with news."""
        news = [child.ticket for child in list(self._children.values()) if self._ended(child)]
        news += [adopted.ticket for adopted in list(self._adopted.values()) if self._is_over(adopted)]
        self._tell_new()
        self._waiting = [ticket for ticket in self._waiting if not ticket.cancelled]
        while self._waiting and len(self._children) + len(self._adopted) < self._slots:
            ticket = self._waiting.pop(0)
            self._begin(ticket)
            news.append(ticket)
        return news

    def _tell_new(self) -> None:
        if self._untold:
            logger.info("Submitted %s to this machine, %d at once", counted(self._untold), self._slots)
        self._untold = 0

    def hurry(self, ticket: Ticket) -> None:
        """Nothing to ask: the end of a child is seen at once."""

    def cancel(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        """Asks jobs to stop; those that do not are killed a few seconds later."""
        for ticket in tickets:
            if ticket.others:
                continue
            ticket.cancelled = True
            job = self._children.get(ticket.spec.token) or self._adopted.get(ticket.spec.token)
            if job is not None and job.kill_at is None:
                job.kill_at = self._clock() + PATIENCE
                job.signal(signal.SIGTERM)

    def release(self, ticket: Ticket) -> None:
        """Nothing is kept of jobs that ended; one that another run looks after is left to it."""
        if ticket.others:
            self._adopted.pop(ticket.spec.token, None)

    def leave(self, patience: float) -> None:
        """Leaves the jobs that run; those that wait for a slot are not started."""
        self._waiting.clear()

    def close(self, patience: float, enough: Callable[[], bool] = never) -> list[Ticket]:
        """Stops all jobs, at most `patience` seconds or until `enough`; returns those that are left."""
        self._waiting.clear()
        self._adopted = {token: job for token, job in self._adopted.items() if not job.ticket.others}
        self.cancel(self._tickets())
        end = self._clock() + patience
        while self._tickets() and self._clock() < end and not enough():
            self.step()
            self._sleep(0.02)
        return self._tickets()

    def _tickets(self) -> list[Ticket]:
        children = [child.ticket for child in self._children.values()]
        return children + [job.ticket for job in self._adopted.values()]

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
                child.signal(signal.SIGKILL)  # what the job script had started must not work on alone
            if end is None:
                return False
        elif self._clock() >= child.kill_at or (end is not None and not _has_members(child.process.pid)):
            child.signal(signal.SIGKILL)
        else:
            return False
        child.ticket.info = _info(child.process.wait(), child)
        del self._children[child.ticket.spec.token]
        return True

    def _is_over(self, job: _Adopted) -> bool:
        if job.lives and (job.kill_at is None or self._clock() < job.kill_at):
            return False
        job.signal(signal.SIGKILL)
        cause = Cause.cancelled if job.kill_at is not None else None
        native = "stopped" if cause else "ended"
        job.ticket.info = JobInfo(JobStatus.aborted, native, None, cause, job.ticket.spec.token, platform.node())
        del self._adopted[job.ticket.spec.token]
        return True


def _why_not(spec: JobSpec, error: OSError) -> str:
    shell = ""
    with contextlib.suppress(OSError):
        shell = spec.script.read_text(errors="replace").partition("\n")[0].removeprefix("#!")
    if isinstance(error, FileNotFoundError) and shell and not os.path.exists(shell):
        return f"there is no {shell} on this machine (setting shell)"
    return f"the job script can not be started: {error}"


def _info(rc: int, child: _Child) -> JobInfo:
    code = rc if rc >= 0 else SIGNALLED - rc
    node, token = platform.node(), child.ticket.spec.token
    if child.kill_at is not None:
        return JobInfo(JobStatus.aborted, "stopped", code, Cause.cancelled, token, node)
    if code - SIGNALLED in ASKED_TO_GO:
        return JobInfo(JobStatus.aborted, f"stopped by signal {code - SIGNALLED}", code, Cause.cancelled, token, node)
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


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _has_members(group: int) -> bool:
    """Whether a process group still has living members; True where the machine does not tell."""
    try:
        pids = [name for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return True
    return any(_group_of_living(pid) == group for pid in pids)


def _works_on(group: int, token: str) -> bool:
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
