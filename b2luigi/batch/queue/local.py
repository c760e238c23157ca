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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.outcome import Marker
from b2luigi.batch.interrupts import SIGNALLED
from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.command import PASSING
from b2luigi.batch.queue.outage import Outage
from b2luigi.batch.queue.process_groups import (
    KILL_AFTER,
    end_of,
    groups_by_token,
    has_members,
    last_argument,
    leaders_by_last_argument,
    signal_group,
    works_on,
)
from b2luigi.batch.queue.processors import check_slots, processors
from b2luigi.batch.queue.strays import Strays
from b2luigi.batch.queue.ticket import Ticket, TicketState, counted, never
from b2luigi.batch.systems.base import Setting
from b2luigi.batch.systems.model import Cause, JobInfo, JobSpec, JobStatus
from b2luigi.core.files import read_text

logger = logging.getLogger("luigi-interface.b2luigi")

ASKED_TO_GO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals by which a person stops a job; those that the system sends are others."""
SAMPLE = bytes(4096)
"""What has to fit onto the disk before a job is started."""
START_AGAIN, START_AGAIN_MOST = 1.0, 30.0
"""Seconds until a job is started again that could not be started for now, the first time and at most."""
STRAYS_AGAIN = 2.0
"""Seconds from one look for jobs without a record to the next, while they keep others waiting."""
_TOKEN = re.compile(r"[0-9a-f]{16}")
MISSED = 0.1
"""Seconds after which a job that was not among the processes of this machine is looked for again."""
REPORT_EVERY = 5.0
"""Seconds between two looks at jobs that run: their outcomes may be there although their programs do not end."""


@dataclass
class _Child:
    ticket: Ticket
    process: subprocess.Popen[bytes]
    kill_at: float | None = None
    """When its patience ends; None while nobody asked it to stop."""

    def signal(self, number: signal.Signals) -> None:
        """To the job script and all it started. Until it is reaped nobody else can have its process id."""
        signal_group(self.process.pid, number)


@dataclass
class _Adopted:
    """A job that an earlier run has started: no child of ours, so that its exit code is known from its marker only."""

    ticket: Ticket
    kill_at: float | None = None

    @property
    def lives(self) -> bool:
        return last_argument(int(str(self.ticket.job_id))) == self.ticket.spec.token

    def signal(self, number: signal.Signals) -> None:
        """To the job script and all it started, also if only that was killed; never to a stranger with its number."""
        if self.lives or works_on(int(str(self.ticket.job_id)), self.ticket.spec.token):
            signal_group(int(str(self.ticket.job_id)), number)


class LocalQueue:
    """At most `slots` job scripts at once; the rest waits here. Job ids are process ids.

    `folder`: where the job scripts are started. `known`: the tokens of jobs of other runs; without it, nobody looks for
    jobs without a record.
    """

    name: ClassVar[str] = "local"
    carries_files: ClassVar[bool] = False
    shares_jobs: ClassVar[bool] = False

    def __init__(
        self,
        *,
        folder: str | os.PathLike[str],
        slots: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        known: Callable[[], set[str]] | None = None,
    ) -> None:
        check_slots(slots)
        self._folder, self.slots = folder, slots or processors()
        self._clock, self._sleep = clock, sleep
        self._waiting: list[Ticket] = []
        self._unlogged = 0
        self._children: dict[str, _Child] = {}
        self._adopted: dict[str, _Adopted] = {}
        self._report_at = self._clock() + REPORT_EVERY
        """When all running jobs count as news again, as they do in the listings of a batch system."""
        self._seen: tuple[float, dict[str, int], dict[str, int]] = (float("-inf"), {}, {})
        """When, and which job scripts and tasks of them are among the processes of this machine, by token."""
        self._known, self._strays = known, Strays(self.name)
        self._looks = Backoff(clock, first=STRAYS_AGAIN, most=STRAYS_AGAIN)
        self._blocked: set[Path] = set()
        self._starts = Backoff(clock, first=START_AGAIN, most=START_AGAIN_MOST)
        self._outage = Outage("Local jobs can be started", clock)
        self._tokens: set[str] = set()
        self._held: set[Path] = set()

    @property
    def leaving(self) -> set[Path]:
        """The job scripts that are at work."""
        return {ticket.spec.script for ticket in self._tickets()}

    def hold(self, scripts: set[Path]) -> None:
        """Starts none of these job scripts until it is called again: something else may be at work on their tasks."""
        self._held = scripts

    def hear(self, markers: Mapping[str, Inbox]) -> list[Ticket]:
        """A marker concerns the job that left it only."""
        return []

    def learn(self, family: str, seconds: float) -> None:
        """It makes no difference here."""

    def options(self, setting: Setting) -> Mapping[str, Any]:
        """Nothing to choose."""
        return {}

    def check(self, spec: JobSpec) -> None:
        """Any folder will do."""

    def submit(
        self, spec: JobSpec, before_sending: Callable[[Ticket], None] | None = None, share: Any = None
    ) -> Ticket:
        """Hands a job in; it starts as soon as there is a free slot.

        That of one task is found again by the token in its record; of a pack, the records have to say which it is.
        """
        ticket = Ticket(spec, before_sending=before_sending if spec.is_pack else None)
        self._tokens.add(spec.token)
        self._waiting.append(ticket)
        self._unlogged += 1
        return ticket

    def attach(self, spec: JobSpec, facts: Mapping[str, Any]) -> Ticket:
        """Follows a job of another run: a process of this machine that was started with its token.

        Raises ValueError for a job of another machine, of which nothing can be known here.
        """
        ticket, host = Ticket(spec), str(facts.get("submit_host"))
        self._tokens.add(spec.token)
        if host != platform.node():
            raise ValueError(
                f"its job (process {facts.get('job_id')}) was started on {host} by another run, and may still run "
                "there. Run the script there, or with --fresh to start again here."
            )
        script, task = self._look_for(spec.token)
        noted = str(facts.get("job_id"))
        if script is not None:
            ticket.info = JobInfo(JobStatus.running, "running", token=spec.token, node=host)
            ticket.job_id = str(script)
        elif re.fullmatch(r"[1-9][0-9]{0,9}", noted):  # it becomes the aim of signals
            ticket.job_id = noted
        elif task is not None and not _ended_by_itself(spec):
            ticket.job_id = str(task)  # the script was killed, and its task works on
        else:
            ticket.move(TicketState.not_found, "no process of this machine has its token")
        if ticket.job_id is not None:
            ticket.move(TicketState.queued)
            self._adopted[spec.token] = _Adopted(ticket)
        return ticket

    def _look_for(self, token: str) -> tuple[int | None, int | None]:
        """Process ids of a job script, and of the group in which its task works."""
        at, scripts, tasks = self._seen
        age = self._clock() - at
        if age > 1.0 or (token not in scripts and age > MISSED):  # it may have been started since
            scripts, tasks = leaders_by_last_argument(), groups_by_token()
            self._seen = self._clock(), scripts, tasks
        return scripts.get(token), tasks.get(token)

    def step(self, more_to_come: bool = False) -> list[Ticket]:
        """Notices what ended, starts what waits; returns the tickets with news."""
        news = [child.ticket for child in list(self._children.values()) if self._ended(child)]
        news += [adopted.ticket for adopted in list(self._adopted.values()) if self._is_over(adopted)]
        if self._clock() >= self._report_at:
            self._report_at = self._clock() + REPORT_EVERY
            news += self._tickets()
        self._log_new()
        self._waiting = [ticket for ticket in self._waiting if not ticket.cancelled]
        self._look_for_strays()
        for ticket in self._next() if self._starts.is_due else ():
            if not self._begin(ticket):
                break
            self._waiting.remove(ticket)
            news.append(ticket)
        return news

    def _next(self) -> Iterator[Ticket]:
        """Those that can start, in their order; a new attempt waits until the job of the one before has ended."""
        for ticket in list(self._waiting):
            there = self._tickets()
            if len(there) >= self.slots:
                return
            if ticket.spec.script in self._blocked or ticket.spec.script in self._held:
                continue
            if all(ticket.spec.script != other.spec.script for other in there):
                yield ticket

    def _look_for_strays(self) -> None:
        """Once before the first job is started, and while one without a record keeps others waiting."""
        if self._known is None or not self._waiting or not self._looks.is_due:
            return
        self._looks.put_off()
        known = {*self._tokens, *self._known()}
        jobs = {token: str(pid) for token, pid in leaders_by_last_argument().items() if _TOKEN.fullmatch(token)}
        strays = {token: pid for token, pid in jobs.items() if token not in known}
        self._blocked = self._strays.blocked(strays, self._waiting)
        if not self._blocked:
            self._known = None

    def _log_new(self) -> None:
        if self._unlogged:
            logger.info("Submitted %s to this machine, at most %d at a time", counted(self._unlogged), self.slots)
        self._unlogged = 0

    def hurry(self, ticket: Ticket) -> None:
        """Nothing to ask: the end of a child is seen at once."""

    def calm(self, ticket: Ticket) -> None:
        """Nothing to forget."""

    def cancel(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        """Asks jobs to stop; those that do not are killed a few seconds later."""
        for ticket in tickets:
            ticket.cancelled = True
            job = self._children.get(ticket.spec.token) or self._adopted.get(ticket.spec.token)
            if job is not None and job.kill_at is None:
                job.kill_at = self._clock() + KILL_AFTER
                job.signal(signal.SIGTERM)

    def release(self, ticket: Ticket) -> None:
        """Nothing is kept of jobs that ended."""

    def cancel_then(self, ticket: Ticket, when_over: Callable[[], None], soon: bool = True) -> None:
        """Asks a job to stop, and calls `when_over` as soon as there is no such job any more: now, if there is none."""
        if ticket.is_over:
            when_over()
        else:
            ticket.when_over = when_over
            self.cancel([ticket])

    def detach(self, ticket: Ticket) -> None:
        """Leaves a job to another run."""
        self._adopted.pop(ticket.spec.token, None)

    def leave(self, patience: float) -> None:
        """Leaves the jobs that run; those that wait for a slot are not started."""
        self._waiting.clear()

    def close(self, patience: float, enough: Callable[[], bool] = never) -> list[Ticket]:
        """Stops all jobs, at most `patience` seconds or until `enough`; returns those that are left."""
        self._waiting.clear()
        self.cancel(self._tickets())
        end = self._clock() + patience
        while self._tickets() and self._clock() < end and not enough():
            self.step()
            self._sleep(0.02)
        return self._tickets()

    def _tickets(self) -> list[Ticket]:
        children = [child.ticket for child in self._children.values()]
        return children + [job.ticket for job in self._adopted.values()]

    def _begin(self, ticket: Ticket) -> bool:
        """False if no job can be started for now: a full disk, no memory, too many processes."""
        spec = ticket.spec
        try:
            if ticket.before_sending is not None:
                ticket.before_sending(ticket)
            with open(spec.report, "wb", buffering=0) as report:
                report.write(SAMPLE)  # its logs, its outcome and its marker need room, too
                report.seek(0)
                report.truncate()
                process = subprocess.Popen(
                    [spec.script, spec.token],
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=report,
                    stderr=report,
                    start_new_session=True,
                )
        except OSError as error:
            if error.errno in PASSING:
                self._put_off(spec, error)
                return False
            ticket.move(TicketState.refused, _why_not(spec, error))
            return True
        self._starts.reset()
        self._outage.end()
        ticket.move(TicketState.queued)
        ticket.job_id = str(process.pid)
        ticket.info = JobInfo(JobStatus.running, "running", token=spec.token, node=platform.node())
        self._children[spec.token] = _Child(ticket, process)
        return True

    def _put_off(self, spec: JobSpec, error: OSError) -> None:
        with contextlib.suppress(OSError):
            spec.report.unlink(missing_ok=True)  # nothing has started
        wait = self._starts.put_off()
        self._outage.begin("No local job can be started now; retrying in %.0f s: %s", wait, error)

    def _ended(self, child: _Child) -> bool:
        """True when the job is over; then, and only then, its process id is given back to the system."""
        end = end_of(child.process.pid)
        if child.kill_at is None:
            if end == os.CLD_KILLED:
                child.signal(signal.SIGKILL)  # what the job script had started must not work on alone
            if end is None:
                return False
        elif self._clock() >= child.kill_at or (end is not None and not has_members(child.process.pid)):
            child.signal(signal.SIGKILL)
        else:
            return False
        child.ticket.info = _info(child.process.wait(), child)
        del self._children[child.ticket.spec.token]
        child.ticket.move(TicketState.ended)
        return True

    def _is_over(self, job: _Adopted) -> bool:
        if job.lives and (job.kill_at is None or self._clock() < job.kill_at):
            return False
        if job.kill_at is not None or not _ended_by_itself(job.ticket.spec):
            job.signal(signal.SIGKILL)
        cause = Cause.cancelled if job.kill_at is not None else None
        native = "stopped" if cause else "ended"
        job.ticket.info = JobInfo(JobStatus.aborted, native, None, cause, job.ticket.spec.token, platform.node())
        del self._adopted[job.ticket.spec.token]
        job.ticket.move(TicketState.ended)
        return True


def _ended_by_itself(spec: JobSpec) -> bool:
    """Its job script reported an exit code that is no signal: what it started and left was left on purpose."""
    with contextlib.suppress(OSError):
        code = Marker.from_text(read_text(spec.inbox / spec.token, 100, errors="replace")).exit_code
        return code is not None and code <= SIGNALLED
    return False


def _why_not(spec: JobSpec, error: OSError) -> str:
    shell = ""
    with contextlib.suppress(OSError):
        shell = spec.script.read_text(errors="replace").partition("\n")[0].removeprefix("#!")
    if isinstance(error, FileNotFoundError) and shell and not os.path.exists(shell):
        return f"there is no {shell} on this machine (setting shell)"
    return f"the job script cannot be started: {error}"


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
