"""Tasks that become ready one by one, simulated: more than luigi hands out at once, or some that wait for others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from b2luigi.batch.packs.queue import PackingQueue
from b2luigi.batch.queue.ticket import Ticket
from tests.batch.packs.lane import ENDED, IDLE, RUNNING, Site, members_of
from tests.batch.processes.hands import accept

SLOTS, TASKS = 16, 1600
START = 2.0
"""Seconds that a slot needs from one job to the next."""
TURN = 0.25
"""Seconds of one turn of the loop."""
LIMIT = 1.25
"""How long all may take, if 1.0 is a system that needs no time from one job to the next."""


@dataclass
class Slot:
    """A place for one job: what is left of it, and when the next of its tasks ends."""

    job: Ticket | None = None
    left: deque[str] = field(default_factory=deque)
    next_end: float = 0.0


class Farm:
    """A batch system with some slots, and a run that hands in at most `workers` tasks at a time.

    `tasks`: how many there are of each class; each of the second class can run once one of the first has ended.
    """

    def __init__(self, folder: Path, tasks: dict[str, int], seconds: float, workers: int, most: int | None) -> None:
        self.site = Site(folder)
        self.seconds, self.workers, self.most = seconds, workers, most
        self.ready = deque(["First"] * tasks["First"])
        self.later = tasks.get("Second", 0)
        self.site.queue = PackingQueue(self.site.hand, clock=lambda: self.site.now, coming=self.ready.count)
        self.slots = [Slot() for _ in range(SLOTS)]
        self.queued, self.sizes = deque[Ticket](), list[int]()
        self.open: dict[str, tuple[str, Ticket]] = {}
        """By token: the class and the ticket of each task that was handed in and is not done."""

    def run(self) -> float:
        """Seconds until all is done."""
        began = self.site.now
        while self.ready or self.open:
            self._hand_in()
            self._take_jobs()
            self.site.now += TURN
            for slot in self.slots:
                self._work(slot)
        return self.site.now - began

    def _hand_in(self) -> None:
        while self.ready and len(self.open) < self.workers:
            family, spec = self.ready.popleft(), self.site.spec()
            share = self.site.share(spec, self.most, key=family, family=family)
            self.open[spec.token] = family, self.site.queue.submit(spec, None, share)
        self.site.queue.step()
        while len(self.sizes) < len(self.site.hand.tickets):
            job = self.site.hand.tickets[len(self.sizes)]
            self.sizes.append(len(members_of(job)))
            self.queued.append(job)
            accept(job, "7")
            self.site.report(job, IDLE)

    def _take_jobs(self) -> None:
        for slot in self.slots:
            if slot.job is None and self.queued:
                slot.job = self.queued.popleft()
                slot.left = deque(members_of(slot.job))
                slot.next_end = self.site.now + START + self.seconds
                self.site.report(slot.job, RUNNING)

    def _work(self, slot: Slot) -> None:
        while slot.job is not None and slot.next_end <= self.site.now:
            token = slot.left.popleft()
            self._end(slot.job, token)
            slot.next_end += self.seconds
            if not slot.left:
                self.site.end(slot.job)
                self.site.report(slot.job, ENDED)
                slot.job = None
            else:
                self.site.begin(slot.job, self.open[slot.left[0]][1])

    def _end(self, job: Ticket, token: str) -> None:
        family, ticket = self.open.pop(token)
        self.site.begin(job, ticket)
        self.site.end(ticket)
        self.site.queue.learn(family, self.seconds)
        self.site.judge(ticket)
        if family == "First" and self.later:
            self.later -= 1
            self.ready.append("Second")


WORKFLOWS: dict[str, Callable[[Path, int | None], Farm]] = {
    "more than luigi hands out": lambda folder, most: Farm(folder, {"First": TASKS}, 1.0, TASKS // 4, most),
    "many that wait for others": lambda folder, most: Farm(
        folder, {"First": TASKS // 2, "Second": TASKS // 2}, 1.0, TASKS, most
    ),
}


@pytest.mark.parametrize("most", [None, 25], ids=["auto", "25"])
@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_tasks_that_trickle_in_gather_as_long_as_jobs_wait_for_slots(
    workflow: str, most: int | None, tmp_path: Path
) -> None:
    """A job for each task that has just become ready would cost a start for each."""
    farm = WORKFLOWS[workflow](tmp_path, most)
    took = farm.run()
    assert took < LIMIT * TASKS / SLOTS, farm.sizes
    assert len(farm.sizes) < TASKS / 10, farm.sizes
