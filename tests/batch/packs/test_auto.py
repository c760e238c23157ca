"""`tasks_per_job = "auto"`, simulated: how long a workflow takes, compared with the best fixed number of tasks."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from b2luigi.batch.packs.lanes import QUIET
from b2luigi.batch.packs.size import UNKNOWN_SECONDS, Durations, tasks_per_job

SLOTS = 16
START, EACH = 0.5, 0.01
"""Seconds that a job costs before its first task begins, and that each task costs beside its own work."""
MOST = 300.0


@dataclass
class Site:
    """A batch system with some slots and nobody else in it. `fixed`: tasks in a job; None: "auto"."""

    fixed: int | None = None
    durations: Durations = field(default_factory=Durations)
    sizes: list[int] = field(default_factory=list)

    def seconds(self, tasks: Sequence[float]) -> float:
        """How long these tasks take, each of so many seconds; what a job hands back goes into the next ones."""
        waiting, jobs, free, last = list(tasks), list[tuple[list[float], float]](), SLOTS, 0.0
        numbers = itertools.count()
        events: list[tuple[float, int, str, list[float]]] = [(0.0, next(numbers), "form", [])]
        while events:
            now, _, what, rest = heapq.heappop(events)
            if what == "form" and waiting:
                size, limit = self._size(len(waiting))
                jobs += [(waiting[first : first + size], limit) for first in range(0, len(waiting), size)]
                self.sizes += [len(job) for job, _ in jobs]
                waiting = []
            elif what == "done":
                self.durations.note("Short", rest[0])
                last = now
            elif what == "end":
                free += 1
                if rest:
                    waiting += rest
                    heapq.heappush(events, (now + QUIET, next(numbers), "form", []))
            while free and jobs:
                free -= 1
                for event in self._run(now + START, *jobs.pop(0)):
                    heapq.heappush(events, (event[0], next(numbers), *event[1:]))
        return last

    def _size(self, waiting: int) -> tuple[int, float]:
        if self.fixed is not None:
            return self.fixed, float("inf")
        mean = self.durations.mean("Short")
        return tasks_per_job(waiting, SLOTS, mean, MOST), MOST if mean else UNKNOWN_SECONDS

    @staticmethod
    def _run(began: float, tasks: list[float], limit: float) -> list[tuple[float, str, list[float]]]:
        events, now, left = [], began, list(tasks)
        while left and now - began < limit:
            now += left[0] + EACH
            events.append((now, "done", [left.pop(0)]))
        return [*events, (now, "end", left)]


WORKFLOWS = {
    "a thousand of 0.1 s": [0.1] * 1000,
    "ten thousand of 1 s": [1.0] * 10_000,
    "a hundred of 10 s": [10.0] * 96,
    "a thousand of 10 s": [10.0] * 1000,
    "some of 10 s among many of 0.1 s": random.Random(1).sample([0.1] * 900 + [10.0] * 48, 948),
    "a thousand of 10 s among many of 0.1 s": random.Random(1).sample([0.1] * 9000 + [10.0] * 1000, 10_000),
}
FIXED = (1, 2, 5, 10, 25, 63, 100, 625)


@pytest.mark.parametrize("workflow", WORKFLOWS)
@pytest.mark.parametrize("is_known", [False, True], ids=["the first run", "a later run"])
def test_auto_takes_little_longer_than_the_best_fixed_number(workflow: str, is_known: bool) -> None:
    """At most 1.3 times as long, whether or not it is known before how long the tasks take."""
    tasks = WORKFLOWS[workflow]
    best = min(Site(fixed).seconds(tasks) for fixed in FIXED)
    durations = Durations({"Short": sum(tasks) / len(tasks)} if is_known else {})
    assert Site(durations=durations).seconds(tasks) <= 1.3 * best


@pytest.mark.parametrize("earlier", [{}, {"Short": 0.1}], ids=["unknown", "known"])
def test_auto_puts_many_short_tasks_into_each_job(earlier: dict[str, float]) -> None:
    """A thousand tasks of 0.1 s fill the slots with one job each."""
    site = Site(durations=Durations(earlier))
    site.seconds(WORKFLOWS["a thousand of 0.1 s"])
    assert len(site.sizes) == SLOTS
    assert min(site.sizes) > 10
