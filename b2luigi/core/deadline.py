"""Deadline: an end of time that holds when somebody sets the clock of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """So many seconds from now, for luigi, which compares `float(timeout_time)` with the time of day.

    The time of day jumps when the clock is set, by an hour or more after a restart without network. What remains is
    measured by a clock that does not jump, and `float` converts it each time anew.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], float] | None = None,
    ) -> None:
        self._clock, self._time_of_day = clock, time_of_day
        self._end = clock() + seconds

    @property
    def remaining(self) -> float:
        """Seconds until then; negative afterwards."""
        return self._end - self._clock()

    def __float__(self) -> float:
        now = self._time_of_day or time.time  # whatever luigi uses at this moment
        return now() + self.remaining
