"""PackingQueue: a queue in which tasks may share a job. Jobs of one task go through it as they are."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.tokens import TASK
from b2luigi.batch.packs.description import folder_of, job_of, members_in, script_of, tidy
from b2luigi.batch.packs.lanes import Lanes
from b2luigi.batch.packs.pack import Pack
from b2luigi.batch.packs.share import Share
from b2luigi.batch.packs.size import Sizes
from b2luigi.batch.packs.under_way import UnderWay, remove
from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.outage import Outage
from b2luigi.batch.queue.ticket import Queue, Ticket, TicketState, never
from b2luigi.batch.systems.base import Setting
from b2luigi.batch.systems.model import JobSpec
from b2luigi.core.executable import write_job_script
from b2luigi.core.patience import PASSING

logger = logging.getLogger("luigi-interface.b2luigi")

PATIENT = 2.0
"""Seconds for which the end of a run waits for packs that are at their end."""
AGAIN, AGAIN_MOST = 5.0, 60.0
"""Seconds until packs are written again that could not be for now."""


class PackingQueue:
    """A queue in which tasks may share a job. `queue` is where jobs go; `clock` gives seconds.

    `earlier`: reads how many seconds a task of each class took in earlier runs; called on a thread. `coming`: how many
    tasks of a class can run, and will be handed in once others have ended.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        earlier: Callable[[], Mapping[str, float]] = dict,
        coming: Callable[[str], int] = lambda family: 0,
    ) -> None:
        self._queue, self._clock, self._sleep = queue, clock, sleep
        self._sizes = Sizes(earlier)
        self._under_way = UnderWay(queue, self._sizes, clock)
        self._lanes = Lanes(self._sizes, clock, coming, self._under_way.is_supplied)
        self._refused: list[Ticket] = []
        """Those of which nobody was informed yet."""
        self._is_tidy = False
        self._writes = Backoff(clock, first=AGAIN, most=AGAIN_MOST)
        self._outage = Outage("Jobs that run several tasks can be written", clock)

    # -- as it is

    @property
    def name(self) -> str:
        """Name of the batch system."""
        return self._queue.name

    @property
    def carries_files(self) -> bool:
        """Whether the system can carry files to the node and back."""
        return self._queue.carries_files

    @property
    def slots(self) -> int | None:
        """How many jobs run at once at most; None if that is not known."""
        return self._queue.slots

    @property
    def shares_jobs(self) -> bool:
        """Whether several tasks may share a job."""
        return True

    def options(self, setting: Setting) -> Mapping[str, Any]:
        """The settings of one task that the batch system cares about. Raises ValueError, naming the setting."""
        return self._queue.options(setting)

    def check(self, spec: JobSpec) -> None:
        """Raises ValueError for a job the batch system could not carry as it is."""
        self._queue.check(spec)

    def hold(self, scripts: set[Path]) -> None:
        """Starts none of these job scripts until it is called again."""
        self._queue.hold(scripts | self._under_way.leaving)

    @property
    def leaving(self) -> set[Path]:
        """The job scripts of jobs that may be at work although nobody wants them any more."""
        return self._queue.leaving | self._under_way.leaving

    # -- tasks come

    def submit(
        self,
        spec: JobSpec,
        before_sending: Callable[[Ticket], None] | None = None,
        share: Share | None = None,
    ) -> Ticket:
        """Hands a job in; with `share`, one that runs other tasks as well."""
        if share is None:
            return self._queue.submit(spec, before_sending)
        ticket = Ticket(spec, is_own=True)
        self._lanes.add(ticket, share, before_sending)
        return ticket

    def attach(self, spec: JobSpec, facts: Mapping[str, Any]) -> Ticket:
        """Follows a job of another run; that of a pack once, whichever of its tasks comes first. Raises ValueError."""
        token = str(facts.get("pack") or "")
        if not token:
            return self._queue.attach(spec, facts)
        folder = folder_of(spec.inbox, token)
        pack = self._under_way.packs.get(token)
        if pack is None:
            ticket = self._queue.attach(job_of(token, folder, spec), facts)
            pack = Pack(ticket, members_in(folder), self._clock)
        with contextlib.suppress(OSError):
            pack.read_ledger()
        ticket = Ticket(replace(spec, pack=folder))
        self._under_way.add(pack, ticket)
        return ticket

    def step(self, more_to_come: bool = False) -> list[Ticket]:
        """Moves everything a little; returns the tickets with news."""
        if not self._lanes.is_empty:
            self._form(more_to_come)
        self._queue.hold(self._under_way.leaving)
        news, self._refused = self._refused, []
        for ticket in self._queue.step(more_to_come):
            pack = self._under_way.packs.get(ticket.spec.token)
            news += [ticket] if pack is None else self._under_way.heard(pack)
        if self._under_way.packs:
            if news:
                self._sizes.note_running(sum(pack.is_running for pack in self._under_way.packs.values()))
            news += self._under_way.step()
        return news

    def hear(self, markers: Mapping[str, Inbox]) -> list[Ticket]:
        """What job scripts have left in inboxes: those of packs concern all tasks that are still open in them."""
        return self._under_way.hear(markers)

    def learn(self, family: str, seconds: float) -> None:
        """A task of this class has taken so long."""
        self._sizes.durations.note(family, seconds)

    # -- packs are formed

    def _form(self, more_to_come: bool) -> None:
        if not self._writes.is_due:
            return
        self._tidy()
        is_idle, slots = not self._under_way.of_member, self._queue.slots
        for share, tickets in self._lanes.groups(self.leaving, more_to_come, is_idle, slots):
            if not self._send(share, tickets):
                return

    def _tidy(self) -> None:
        """Once, before the first pack: removes what packs that did not end well have printed long ago."""
        if self._is_tidy:
            return
        self._is_tidy = True
        for inbox in self._lanes.inboxes:
            tidy(inbox)

    def _send(self, share: Share, tickets: list[Ticket]) -> bool:
        """False if no job script can be written for now."""
        shares = [self._lanes.share_of(ticket) for ticket in tickets]
        spec, script = script_of(shares, [ticket.spec for ticket in tickets], self._sizes.limit(share))
        try:
            write_job_script(spec.folder, script)
        except Exception as error:
            if _may_pass(error, spec.inbox):
                self._outage.begin("No job can be written now; retrying in %.0f s: %s", self._writes.put_off(), error)
                return False
            self._refuse(tickets, f"the job script cannot be written: {type(error).__name__}: {error}")
            return True
        self._writes.reset()
        self._outage.end()
        kin = partial(_kin, [ticket.spec for ticket in tickets])
        notes = [(ticket, self._lanes.take(ticket)) for ticket in tickets]
        pack_ticket = self._queue.submit(replace(spec, kin_of_inputs=kin), partial(_before_sending, notes))
        pack = Pack(pack_ticket, {one.spec.token: one.spec.folder for one in tickets}, self._clock, share)
        for ticket in tickets:
            ticket.spec = replace(ticket.spec, pack=spec.folder)
            ticket.requested = pack_ticket.requested
        self._under_way.add(pack, *tickets)
        return True

    def _refuse(self, tickets: list[Ticket], why: str) -> None:
        for ticket in tickets:
            self._lanes.take(ticket)
            ticket.move(TicketState.refused, why)
        self._refused += tickets

    def hurry(self, ticket: Ticket) -> None:
        """Asks for this job soon: it looks as if it had ended."""
        self._queue.hurry(self._under_way.job_of(ticket))

    def calm(self, ticket: Ticket) -> None:
        """The job lives on, although it looked as if it had ended."""
        pack = self._under_way.of_member.get(ticket.spec.token)
        if pack is not None:
            pack.forget_end()
            pack.ended.discard(ticket.spec.token)
        self._queue.calm(self._under_way.job_of(ticket))

    # -- tasks leave

    def cancel(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        """Removes jobs; a task of a pack is stopped, or kept from beginning, and its job only with the last of them."""
        alone = []
        for ticket in tickets:
            pack = self._under_way.of_member.get(ticket.spec.token)
            if pack is not None:
                ticket.cancelled = True
                self._under_way.leave(pack, ticket)
            elif ticket in self._lanes or ticket.pack is not None:
                ticket.cancelled = True
            else:
                alone.append(ticket)
        self._queue.cancel(alone, soon)

    def cancel_then(self, ticket: Ticket, when_over: Callable[[], None], soon: bool = True) -> None:
        """Cancels a job, and calls `when_over` as soon as there is no such job any more: now, if there is none."""
        pack = self._under_way.of_member.get(ticket.spec.token)
        if pack is None and ticket.pack is None and ticket not in self._lanes:
            self._queue.cancel_then(ticket, when_over, soon)
        elif ticket.is_over or pack is None:
            ticket.cancelled = True
            when_over()
        else:
            ticket.when_over = when_over
            self.cancel([ticket], soon)

    def release(self, ticket: Ticket) -> None:
        """Forgets a job that was judged. If it is being cancelled, that goes on."""
        pack = self._under_way.of_member.get(ticket.spec.token)
        ticket.released = True
        if pack is None and ticket.pack is None and not self._lanes.drop(ticket):
            self._queue.release(ticket)
        elif pack is not None and ticket.spec.token not in pack.leaving:
            self._under_way.forget(pack, ticket.spec.token)

    def detach(self, ticket: Ticket) -> None:
        """Leaves a job to another run."""
        pack = self._under_way.of_member.get(ticket.spec.token)
        if pack is None:
            if ticket.pack is None and not self._lanes.drop(ticket):
                self._queue.detach(ticket)
            return
        self._under_way.detach(pack, ticket.spec.token)

    # -- the end

    def leave(self, patience: float) -> None:
        """Leaves the jobs where they are; waits, at most `patience` seconds, for submissions under way."""
        self._lanes.clear()
        self._queue.leave(patience)
        for pack in self._under_way.packs.values():
            self._under_way.mirrored(pack)

    def close(self, patience: float, enough: Callable[[], bool] = never) -> list[Ticket]:
        """Cancels all jobs and waits until that is done; returns what may be left.

        Of a pack of another run, only the tasks that are known here are stopped, unless nobody waits for the others.
        """
        self._lanes.clear()
        self._await_ending(enough)
        end = self._clock() + patience
        self.cancel([member for pack in self._under_way.packs.values() for member in pack.members.values()])
        self._under_way.see_to_leaving()
        in_part = [pack for pack in self._under_way.packs.values() if pack.members and not pack.is_cancelled]
        while any(pack.members and not pack.is_cancelled for pack in in_part):
            if self._clock() >= end or enough():
                break
            self.step()
            self._under_way.look_for_markers(in_part)
            self._sleep(0.05)
        for pack in list(self._under_way.packs.values()):
            if not pack.members:
                self._under_way.close(pack)  # another run may want the rest of it
            elif not pack.is_cancelled:
                self._queue.detach(pack.ticket)
        left = self._queue.close(max(0.0, end - self._clock()), enough)
        tokens = {ticket.spec.token for ticket in left}
        alone = [ticket for ticket in left if ticket.spec.token not in self._under_way.packs]
        stopped = [pack for pack in self._under_way.packs.values() if pack.token not in tokens and pack.is_cancelled]
        for pack in stopped:
            self._under_way.cancelled(pack)
            self._under_way.close(pack)
        for path in self._under_way.closed.values():
            remove(path)
        return alone + [member for pack in self._under_way.packs.values() for member in pack.members.values()]

    def _await_ending(self, enough: Callable[[], bool]) -> None:
        """A pack ends a moment after its last task; to cancel it then would only leave traces."""
        end = self._clock() + PATIENT
        while self._under_way.ending and self._clock() < end and not enough():
            self.step()
            self._under_way.look_for_markers([self._under_way.packs[token] for token in self._under_way.ending])
            self._under_way.see_to_ending()
            if self._under_way.ending:
                self._sleep(0.01)


def _may_pass(error: Exception, inbox: Path) -> bool:
    """Whether a job script can be written another time: a full disk, or a run that cannot write anywhere for now."""
    return isinstance(error, OSError) and (error.errno in PASSING or not os.access(inbox, os.W_OK))


def _before_sending(notes: list[tuple[Ticket, Callable[[Ticket], None] | None]], ticket: Ticket) -> None:
    """How to find the job is in the records of all its tasks before it is sent; maybe on a thread."""
    for member, note in notes:
        member.label, member.server = ticket.label, ticket.server
        if note is not None:
            note(member)


def _kin(specs: list[JobSpec]) -> Iterator[str]:
    """How the tokens of the tasks of a pack begin, and those of jobs that make their inputs."""
    for spec in specs:
        yield spec.token[:TASK]
        yield from spec.kin_of_inputs()
