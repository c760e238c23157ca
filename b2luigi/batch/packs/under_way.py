"""UnderWay: the jobs of several tasks that were handed in, and what becomes of each of these tasks."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.judge import wants_reason
from b2luigi.batch.packs.pack import Pack
from b2luigi.batch.packs.share import Share
from b2luigi.batch.packs.size import SUPPLY, Sizes
from b2luigi.batch.queue.ticket import Queue, Ticket
from b2luigi.batch.systems.model import Cause

READING = 1.0
"""Seconds between two looks into the ledger of a pack; more if there are many packs."""
ENDING = 10.0
"""Seconds for which a pack may be at its end after the last of its tasks."""
SHRINK = (Cause.memory, Cause.time)
"""Ends that a job with half as many tasks may not come to."""
SLICE = 0.02
"""Seconds of one turn for telling nodes that tasks are not wanted any more: there may be thousands, on a slow disk."""


class UnderWay:
    """The packs that were handed in to a queue. `clock` gives seconds."""

    def __init__(self, queue: Queue, sizes: Sizes, clock: Callable[[], float]) -> None:
        self._queue, self._sizes, self._clock = queue, sizes, clock
        self.packs: dict[str, Pack] = {}
        """By token."""
        self.of_member: dict[str, Pack] = {}
        """By the token of each task for which somebody waits."""
        self.ending: dict[str, float] = {}
        """The tokens of packs for which nobody waits any more, and since when."""
        self.closed: dict[str, Path] = {}
        """By token: packs that nobody wants any more, and the marker that each may leave all the same."""

    def add(self, pack: Pack, *tickets: Ticket) -> None:
        """Somebody waits for these tasks of a pack."""
        self.packs[pack.token] = pack
        self.closed.pop(pack.token, None)
        for ticket in tickets:
            self.of_member[ticket.spec.token] = pack
            pack.adopt(ticket)

    def step(self) -> list[Ticket]:
        """Moves all packs a little; returns the tickets of tasks that have begun."""
        begun = self.read_ledgers()
        self.see_to_leaving()
        self.see_to_ending()
        for pack in self.packs.values():
            pack.mirror_answers()
        return begun

    def detach(self, pack: Pack, token: str) -> None:
        """Leaves a task to another run, and its job with the last of them."""
        self.drop(pack, token)
        if not pack.members:
            self._queue.detach(pack.ticket)
            self.packs.pop(pack.token, None)
            self.ending.pop(pack.token, None)

    def is_supplied(self, share: Share) -> bool:
        """Whether a job like this would wait for its turn for some time: others like it do, and all have work to do."""
        live = [pack for pack in self.packs.values() if pack.members and not (pack.is_over or pack.ticket.is_gone)]
        if not any(pack.waits and pack.share is not None and pack.share.key == share.key for pack in live):
            return False
        work = sum(self._work_left(pack) for pack in live)
        return work > SUPPLY * max(1, sum(pack.is_at_work for pack in live))

    def _work_left(self, pack: Pack) -> float:
        """Seconds for which what has not begun will keep a job busy; infinite if nobody knows."""
        mean = self._sizes.durations.mean(pack.share.family) if pack.share is not None else None
        if pack.share is None or mean is None:
            return math.inf if pack.unbegun else 0.0
        return mean * pack.unbegun / pack.share.at_once

    @property
    def leaving(self) -> set[Path]:
        """The job scripts of tasks that may be at work although nobody wants them any more."""
        packs = [pack for pack in self.packs.values() if pack.leaving]
        return {pack.members[token].spec.script for pack in packs for token in pack.leaving if token in pack.members}

    def hear(self, markers: Mapping[str, Inbox]) -> list[Ticket]:
        """What job scripts have left in inboxes: those of packs concern all tasks that are still open in them."""
        news: list[Ticket] = []
        if not (self.packs or self.closed):
            return news
        for token, inbox in markers.items():
            if token in self.closed:
                inbox.remove(token)
            if token in self.of_member:
                self.of_member[token].ended.add(token)
            elif token in self.packs and self.packs[token].marker is None:
                pack = self.packs[token]
                pack.note_end(inbox)
                if wants_reason(pack.marker):
                    self._queue.hurry(pack.ticket)
                news += pack.members.values()
        return news

    def heard(self, pack: Pack) -> list[Ticket]:
        """There is news of a job; returns the tickets of its tasks that this concerns."""
        info = pack.ticket.info
        if info is not None and info.status.is_final and info.cause in SHRINK and pack.share is not None:
            self._sizes.shrink(pack.share.key, pack.size)
        return self.mirrored(pack)

    def mirrored(self, pack: Pack) -> list[Ticket]:
        """Passes on what is known of a job to its tasks; returns those for which that is news."""
        ends = pack.is_over or pack.ticket.is_gone or pack.ticket.end_reported
        return [member for member in list(pack.members.values()) if pack.mirror(member) or ends]

    def read_ledgers(self) -> list[Ticket]:
        """Learns which tasks have begun; returns those."""
        news: list[Ticket] = []
        every = READING * (1 + len(self.packs) / 50)
        for pack in list(self.packs.values()):
            if pack.members and pack.is_running:
                with contextlib.suppress(OSError):
                    new = pack.read_ledger(at_most_every=every)
                    members = [pack.members[token] for token in new if token in pack.members]
                    news += [member for member in members if pack.mirror(member)]
        return news

    def job_of(self, ticket: Ticket) -> Ticket:
        """The ticket of the job that runs a task."""
        pack = self.of_member.get(ticket.spec.token)
        return pack.ticket if pack is not None else ticket

    def leave(self, pack: Pack, ticket: Ticket) -> None:
        """Nobody wants a task of a pack any more."""
        if ticket.spec.token in pack.ended:
            self._over(pack, ticket.spec.token)
        elif ticket.spec.token not in pack.leaving:
            pack.leaving[ticket.spec.token] = None

    def drop(self, pack: Pack, token: str) -> None:
        """Nothing of a task concerns us any more."""
        pack.members.pop(token, None)
        pack.leaving.pop(token, None)
        self.of_member.pop(token, None)

    def forget(self, pack: Pack, token: str) -> None:
        """A task was judged."""
        pack.ended.add(token)
        self.drop(pack, token)
        if not pack.members:
            self.ending.setdefault(pack.token, self._clock())

    def _over(self, pack: Pack, token: str) -> None:
        """A task that nobody wants is not at work, and will not be."""
        ticket = pack.members[token]
        self.forget(pack, token)
        pack.end(ticket)

    def see_to_leaving(self) -> None:
        """Stops what nobody wants any more, and notes what is over."""
        end = self._clock() + SLICE
        for pack in [pack for pack in self.packs.values() if pack.leaving]:
            if not pack.is_cancelled and pack.is_unwanted:
                pack.is_cancelled = True
                self._queue.cancel_then(pack.ticket, partial(self.cancelled, pack))
            with contextlib.suppress(OSError):  # another time
                for token, since in list(pack.leaving.items()):
                    if since is None and self._clock() <= end:
                        _void(pack.members[token])
                        pack.leaving[token] = self._clock()
                for token in pack.over_by_now():
                    self._over(pack, token)

    def cancelled(self, pack: Pack) -> None:
        """The job of a pack is gone: nothing of it is at work."""
        for token in list(pack.leaving):
            self._over(pack, token)

    def see_to_ending(self) -> None:
        """Closes packs for which nobody waits, once their job scripts have ended."""
        for token, since in list(self.ending.items()):
            pack = self.packs[token]
            if pack.members:
                del self.ending[token]
            elif pack.is_over or pack.ticket.is_gone or self._clock() >= since + ENDING:
                self.close(pack)

    def close(self, pack: Pack) -> None:
        """Nobody waits for a task of a pack any more."""
        self.packs.pop(pack.token, None)
        self.ending.pop(pack.token, None)
        if pack.others_want():
            self._queue.detach(pack.ticket)
            return
        self.closed[pack.token] = pack.ticket.spec.inbox / pack.token
        info = pack.ticket.info
        if not (pack.ended_well or (info is not None and info.status.is_final and not info.lingers)):
            self._queue.cancel([pack.ticket], soon=False)
        self._queue.release(pack.ticket)
        remove(self.closed[pack.token])
        pack.remove()

    def look_for_markers(self, packs: Iterable[Pack]) -> None:
        """Looks into the inbox itself, where nobody lists it any more."""
        for pack in packs:
            inbox = Inbox(pack.ticket.spec.inbox)
            with contextlib.suppress(OSError):
                found = {token: inbox for token in (pack.token, *pack.members) if inbox.has(token)}
                self.hear(found)


def remove(path: Path) -> None:
    """Removes a marker that nobody reads."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _void(member: Ticket) -> None:
    """From now on its task does not begin, and is stopped if it has. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        (member.spec.folder / f"{member.spec.token}.void").touch()
