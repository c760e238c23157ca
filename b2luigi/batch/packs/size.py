"""How many tasks go into one job: as many as the user says, or by work that waits, slots, and durations seen."""

from __future__ import annotations

import contextlib
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from b2luigi.batch.packs.share import Share
from b2luigi.batch.queue.aside import Aside

SLOTS = 16
"""Jobs of which we assume that they run at once, until more of them do."""

UNKNOWN_SECONDS = 30.0
"""Seconds of work after which a pack hands back what it has not begun, while nobody knows how long its tasks take."""
LEAST_WORK = 2.0
"""Seconds of work that are worth a job: its start costs CPU and time as well."""
ROUNDS, ROUND = 4, 5.0
"""Rounds in which the slots are filled at most so that they end together, and seconds of work that make a round worth
it."""
SUPPLY = 20.0
"""Seconds of work that are worth a job as long as more tasks are to come. Tasks gather while there is more than that to
do for each job that runs."""


@dataclass
class Durations:
    """How long tasks of each class have taken, in seconds, in this run and in earlier ones."""

    earlier: Mapping[str, float] = field(default_factory=dict)
    """Means of earlier runs, by class."""
    _sums: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))

    def note(self, family: str, seconds: float) -> None:
        """A task of this class took so long."""
        entry = self._sums[family]
        entry[0] += seconds
        entry[1] += 1

    def mean(self, family: str) -> float | None:
        """The mean of a class, in this run or else before; None as long as no task of it has ended."""
        total, number = self._sums.get(family, (0.0, 0.0))
        return total / number if number else self.earlier.get(family)


def tasks_per_job(waiting: int, slots: int, mean: float | None, seconds: float, more: bool = False) -> int:
    """How many of the tasks that wait go into the next job, at least 1.

    `slots`: jobs that can run at once, times the tasks that each runs at once. `mean`: seconds that a task takes, if
    that is known. `seconds`: the most work in one job. `more`: more tasks will come, so that jobs need not end at once.
    """
    if waiting < 1:
        return 1
    divide: Callable[[int, int], int] = operator.floordiv if more else _up  # what is left waits for those that come
    if mean is None:  # what turns out to be too much is handed back by the pack
        return max(1, divide(waiting, slots))
    mean = max(mean, 0.001)
    each = waiting * mean / slots
    rounds = 1 if more else max(1, min(ROUNDS, int(each / ROUND)))
    fair = divide(waiting, slots * max(rounds, math.ceil(each / max(seconds, mean))))
    least = min(SUPPLY, seconds) if more else LEAST_WORK
    return min(waiting, max(fair, int(least / mean), 1))


def _up(number: int, by: int) -> int:
    return math.ceil(number / by)


class Sizes:
    """What is known of how many tasks may share a job.

    `earlier`: reads how many seconds a task of each class took in earlier runs; called on a thread, once it matters.
    """

    def __init__(self, earlier: Callable[[], Mapping[str, float]]) -> None:
        self.durations = Durations()
        self._earlier = earlier
        self._reading: Aside[Mapping[str, float]] | None = None
        self._most: dict[Hashable, int] = {}
        """How many tasks may share a job, where one with more of them died."""
        self._ran_at_once = 0

    def note_running(self, jobs: int) -> None:
        """So many jobs run at once."""
        self._ran_at_once = max(self._ran_at_once, jobs)

    def shrink(self, key: Hashable, size: int) -> None:
        """A job with so many tasks was too long, or needed too much memory."""
        half = max(1, size // 2)
        self._most[key] = min(half, self._most.get(key, half))

    def is_ready(self, share: Share) -> bool:
        """Whether what matters is known: how long tasks took earlier, where we choose."""
        if share.most is not None:
            return True
        if self._reading is None:
            self._reading = Aside(self._earlier, at_once=False)
        if not self._reading.is_over:
            return False
        if not self.durations.earlier:
            with contextlib.suppress(Exception):  # then nothing is known
                self.durations.earlier = self._reading.result()
        return True

    def size(self, share: Share, waiting: int, slots: int | None, more: bool = False) -> int:
        """How many of the tasks that wait go into the next job.

        `slots`: jobs that run at once, if that is known. `more`: more tasks will come.
        """
        most = self._most.get(share.key, share.most or waiting)
        if share.most is not None:
            return min(share.most, most)
        at_once = (slots or max(SLOTS, self._ran_at_once)) * share.at_once
        mean = self.durations.mean(share.family)
        return max(1, min(most, tasks_per_job(waiting, at_once, mean, share.seconds, more)))

    def limit(self, share: Share) -> float | None:
        """Seconds of work after which a pack hands back what it has not begun; None where the user chose its size."""
        if share.most is not None:
            return None
        return share.seconds if self.durations.mean(share.family) else min(UNKNOWN_SECONDS, share.seconds)
