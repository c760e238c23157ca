"""How many tasks go into one job where the user leaves that to us: by work that waits, slots, and durations seen."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

UNKNOWN_SECONDS = 30.0
"""Seconds of work after which a pack hands back what it has not begun, while nobody knows how long its tasks take."""
LEAST_WORK = 2.0
"""Seconds of work that are worth a job: its start costs CPU and time as well."""
ROUNDS, ROUND = 4, 5.0
"""Rounds in which the slots are filled at most so that they end together, and seconds of work that make a round worth
it."""


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


def tasks_per_job(waiting: int, slots: int, mean: float | None, seconds: float) -> int:
    """How many of the tasks that wait go into the next job, at least 1.

    `slots`: jobs that can run at once, times the tasks that each runs at once. `mean`: seconds that a task takes, if
    that is known. `seconds`: the most work in one job.
    """
    if waiting < 1:
        return 1
    if mean is None:  # what turns out to be too much is handed back by the pack
        return math.ceil(waiting / slots)
    mean = max(mean, 0.001)
    each = waiting * mean / slots
    rounds = max(1, min(ROUNDS, int(each / ROUND)), math.ceil(each / max(seconds, mean)))
    fair = math.ceil(waiting / (slots * rounds))
    return min(waiting, max(fair, int(LEAST_WORK / mean), 1))
