"""Lanes: tasks that wait for others with which they may share a job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from b2luigi.batch.packs.share import Share
from b2luigi.batch.packs.size import Sizes
from b2luigi.batch.queue.ticket import Ticket, counted

logger = logging.getLogger("luigi-interface.b2luigi")

GATHER = 5.0
"""Seconds for which a pack waits to be full while more tasks are being prepared."""
QUIET, PATIENT = 0.3, 2.0
"""While other jobs are under way: seconds without another task after which a pack that is not full goes out, and those
after which it does in any case."""
HOLD, HOLD_LOOK = 60.0, 0.5
"""Seconds for which tasks gather at most while jobs like theirs wait for slots, and between two looks at these."""
Note = Callable[[Ticket], None] | None
"""What is to come before the job of a task is sent."""


@dataclass(eq=False)
class _Lane:
    share: Share
    first: float
    last: float
    tickets: list[Ticket] = field(default_factory=list)
    look_at: float = float("-inf")
    """When to look again whether jobs like theirs wait for slots."""

    def is_held(self, now: float) -> bool:
        """Nothing goes out, so that nobody need look at its tasks: there may be thousands."""
        return now < self.look_at and (self.share.most is None or len(self.tickets) < self.share.most)


class Lanes:
    """The tasks that wait, those that may share a job in one lane. `clock` gives seconds.

    `coming`: how many tasks of a class can run and will come once others have ended. `is_supplied`: whether another job
    like this would only wait for a slot.
    """

    def __init__(
        self,
        sizes: Sizes,
        clock: Callable[[], float],
        coming: Callable[[str], int],
        is_supplied: Callable[[Share], bool],
    ) -> None:
        self._sizes, self._clock, self._coming, self._is_supplied = sizes, clock, coming, is_supplied
        self._lanes: dict[Hashable, _Lane] = {}
        self._waiting: dict[Ticket, tuple[Share, Note]] = {}

    def add(self, ticket: Ticket, share: Share, before_sending: Note) -> None:
        """A task comes."""
        now = self._clock()
        lane = self._lanes.setdefault(share.key, _Lane(share, now, now))
        lane.tickets.append(ticket)
        lane.last = now
        self._waiting[ticket] = share, before_sending

    def __contains__(self, ticket: Ticket) -> bool:
        return ticket in self._waiting

    @property
    def is_empty(self) -> bool:
        """Nothing waits, or has just left."""
        return not self._lanes

    @property
    def inboxes(self) -> set[Path]:
        """Of the runs whose tasks wait."""
        return {ticket.spec.inbox for ticket in self._waiting}

    def share_of(self, ticket: Ticket) -> Share:
        """What a task that waits brings along."""
        return self._waiting[ticket][0]

    def take(self, ticket: Ticket) -> Note:
        """A task leaves for its job; returns what is to come before that is sent."""
        return self._waiting.pop(ticket)[1]

    def drop(self, ticket: Ticket) -> bool:
        """Nobody wants a task any more; False if it does not wait here."""
        return self._waiting.pop(ticket, None) is not None

    def clear(self) -> None:
        """Nobody wants any of them any more."""
        self._lanes.clear()
        self._waiting.clear()

    def groups(
        self, blocked: Collection[Path], more_to_come: bool, is_idle: bool, slots: int | None
    ) -> Iterator[tuple[Share, list[Ticket]]]:
        """Tasks that go into one job now; to be taken, or they stay.

        `blocked`: job scripts that must wait. `is_idle`: no other job of theirs is under way. `slots`: jobs that run at
        once, if that is known.
        """
        for key, lane in list(self._lanes.items()):
            if lane.is_held(self._clock()):
                continue
            for ticket in lane.tickets:
                if ticket.cancelled:
                    self.drop(ticket)
            lane.tickets = [ticket for ticket in lane.tickets if ticket in self._waiting]
            if not lane.tickets:
                del self._lanes[key]
            elif self._sizes.is_ready(lane.share):
                free = [ticket for ticket in lane.tickets if ticket.spec.script not in blocked]
                yield from self._of_lane(lane, free, more_to_come, is_idle, slots)

    def _of_lane(
        self, lane: _Lane, free: list[Ticket], more_to_come: bool, is_idle: bool, slots: int | None
    ) -> Iterator[tuple[Share, list[Ticket]]]:
        now, before, jobs = self._clock(), len(free), 0
        more = self._coming(lane.share.family) > 0
        size = self._sizes.size(lane.share, len(free), slots, more)
        is_due, may_be_full = self._is_due(lane, now, more_to_come, is_idle), lane.share.most is not None
        while free and (is_due or (may_be_full and len(free) >= size)):
            group, free, jobs = free[:size], free[size:], jobs + 1
            yield lane.share, group
            is_due, may_be_full = is_due and not more, may_be_full or more  # the rest can wait for those that come
        if jobs:
            logger.info("%s of %s in %s", _tasks(before - len(free)), lane.share.family, counted(jobs))
            lane.first = now

    def _is_due(self, lane: _Lane, now: float, more_to_come: bool, is_idle: bool) -> bool:
        if more_to_come:
            has_waited = now - lane.first >= GATHER
        else:
            has_waited = is_idle or now - lane.last >= QUIET or now - lane.first >= PATIENT
        return has_waited and not self._is_held(lane, now)

    def _is_held(self, lane: _Lane, now: float) -> bool:
        """Another job would only wait for a slot: until there is one, more tasks may come that can share it."""
        if now >= lane.look_at and now - lane.first < HOLD and self._is_supplied(lane.share):
            lane.look_at = now + HOLD_LOOK
        return now < lane.look_at


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number:,} tasks"
