"""Jobs of runs that are over, which are cancelled without a run: by their records, and by the rules of every run."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from b2luigi.batch import systems
from b2luigi.batch.attempts.heartbeat import SILENCE
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.outcome import DONE
from b2luigi.batch.attempts.record import Record, read_outcome
from b2luigi.batch.attempts.runs import Runs
from b2luigi.batch.attempts.users import user_name
from b2luigi.batch.packs.queue import PackingQueue
from b2luigi.batch.processes.job import CANCELLED
from b2luigi.batch.queue import command
from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.local import LocalQueue
from b2luigi.batch.queue.ticket import Queue, Ticket, never
from b2luigi.batch.systems.model import JobSpec
from b2luigi.core.executable import SCRIPT_NAME
from b2luigi.core.settings import get_seconds

PATIENCE = 60.0
"""Seconds to wait until each batch system confirms that the jobs are gone."""
GLANCE = 0.5
"""Seconds between two looks at a run of another host."""


class _Refusal(Exception):
    """A job that is not cancelled; the text says why."""


@dataclass(frozen=True)
class Cancelled:
    """What became of one job."""

    record: Record
    why_not: str
    """Empty: it is gone."""


@dataclass(frozen=True)
class _Orphan:
    record: Record
    inbox: Inbox
    """Of the run that submitted it."""

    @property
    def batch_system(self) -> str:
        """The name of that which has the job."""
        return str(self.record.facts.get("batch_system"))

    @property
    def spec(self) -> JobSpec:
        """As far as a job needs one that exists already."""
        folder = self.record.path.parent
        name = str(self.record.facts.get("name") or self.record.token)
        return JobSpec(self.record.token, name, folder / SCRIPT_NAME, folder, folder, self.inbox.folder)


class Orphans:
    """Cancels jobs of runs below one task file folder, `base`. `queue_of` makes the queue of a batch system.

    `wait` is called with the owner of a run of which it is not known yet whether it is over.
    """

    def __init__(
        self,
        base: Path,
        queue_of: Callable[[str], Queue] | None = None,
        wait: Callable[[str], object] = lambda owner: None,
    ) -> None:
        self._runs = Runs(base)
        self._queue_of = functools.cache(queue_of or _queue)
        self._wait = wait

    def cancel(self, wanted: Callable[[Record], bool]) -> list[Cancelled]:
        """Cancels the jobs of all wanted attempts that nobody has judged; waits until there are no such jobs any more.

        The record of each says so from before its job is touched: the next run does its task anew, and sets aside what
        the job has left. Raises OSError if that cannot be written.
        """
        self._runs.own.open()  # a run that begins now waits for the end of this process before it looks at these jobs
        try:
            return self._cancelled(list(self._found(wanted)))
        finally:
            self._runs.own.close()

    def _cancelled(self, orphans: Sequence[_Orphan]) -> list[Cancelled]:
        refused, tickets = dict[int, str](), dict[int, Ticket]()
        for number, orphan in enumerate(orphans):
            try:
                tickets[number] = self._begin(orphan)
            except (_Refusal, ValueError) as refusal:
                refused[number] = str(refusal)
        names = dict.fromkeys(orphans[number].batch_system for number in tickets)
        left = {id(ticket) for name in names for ticket in self._queue_of(name).close(PATIENCE, never)}
        for number, ticket in tickets.items():
            if id(ticket) in left or not ticket.is_over:
                refused[number] = "the batch system did not confirm that its job is gone; please check"
            else:
                orphans[number].record.note(over=True)
        return [Cancelled(orphan.record, refused.get(number, "")) for number, orphan in enumerate(orphans)]

    def _found(self, wanted: Callable[[Record], bool]) -> Iterator[_Orphan]:
        """By the claims of all runs that keep their jobs here. A claim without a record is as good as one."""
        folders = dict.fromkeys(folder for inbox in list(self._runs.others.values()) for _, folder in inbox.folders())
        for folder in folders:
            with contextlib.suppress(OSError):
                record = self._runs.unfinished(folder)
                if record is not None and not record.is_torn and not record.facts.get("over") and wanted(record):
                    yield _Orphan(record, self._runs.inbox_of(record))

    def _begin(self, orphan: _Orphan) -> Ticket:
        """Writes down that the job is given up, and hands it to its queue. Raises _Refusal, ValueError and OSError."""
        record, spec = orphan.record, orphan.spec
        if record.foreign is not None:
            raise _Refusal(f"it is a job of {user_name(record.foreign)}, who alone can cancel it")
        if not self._is_over(orphan.inbox):
            raise _Refusal(f"a run that is alive has it: {orphan.inbox.owner()}")
        outcome = read_outcome(spec.outcome)
        if outcome is not None and outcome.status == DONE:
            raise _Refusal("it has finished, and the next run uses its result")
        queue = self._queue_of(orphan.batch_system)
        ticket = queue.attach(spec, record.facts)
        record.note(given_up=CANCELLED, by=str(self._runs.own.folder))
        record.void()
        queue.cancel([ticket])
        return ticket

    def _is_over(self, inbox: Inbox) -> bool:
        """Whether the run of an inbox is; on another host that takes a minute of silence to know."""
        end, waited = time.monotonic() + SILENCE + 2.0, False
        while (is_over := inbox.is_abandoned()) is None and time.monotonic() < end:
            if not waited:
                self._wait(inbox.owner())
            waited = True
            time.sleep(GLANCE)
        return is_over is True


def _queue(name: str) -> Queue:
    if name == "local":
        return PackingQueue(LocalQueue(folder="/"))
    start = functools.partial(command.start, timeout=get_seconds("command_timeout"))
    return PackingQueue(JobQueue(systems.load(name), start=start, poll_interval=get_seconds("poll_interval")))
