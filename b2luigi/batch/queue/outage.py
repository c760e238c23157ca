"""Outage: something that does not work for now is logged once when it begins, and once when it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("luigi-interface.b2luigi")


class Outage:
    """One thing that may stop working, and work again.

    `normal`: what is true otherwise, as in "LSF accepts jobs"; logged with "again after 40 s." when it is over.
    `clock` gives seconds.
    """

    def __init__(self, normal: str, clock: Callable[[], float]) -> None:
        self._normal, self._clock = normal, clock
        self._since: float | None = None

    @property
    def lasts(self) -> bool:
        """It has begun, and is not over."""
        return self._since is not None

    @property
    def duration(self) -> float:
        """Seconds since it began; 0 if there is none."""
        return 0.0 if self._since is None else self._clock() - self._since

    def begin(self, text: str, *arguments: object) -> None:
        """It does not work: logs the text with its arguments as a warning, unless that is known."""
        if self._since is None:
            self._since = self._clock()
            logger.warning(text, *arguments, extra={"outage": self._normal})

    def take_over(self, since: float) -> None:
        """It began at that time, in seconds of the clock, and was logged then."""
        self._since = since

    def end(self) -> None:
        """It works: logs that it does so again, if it did not."""
        if self._since is not None:
            logger.warning("%s again after %.0f s.", self._normal, self.duration, extra={"outage_over": self._normal})
        self._since = None
