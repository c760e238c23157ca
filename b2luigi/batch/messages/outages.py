"""Outages: what many tasks wait for at once is said once, and once more when it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("luigi-interface.b2luigi")


class Outages:
    """Who waits for what. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[str, tuple[float, set[str]]] = {}
        """By what is not possible for now: since when, and who waits for it."""

    def wait(self, who: str, able: str, why: str) -> None:
        """Somebody waits. `able`: a sentence that is not true for now; `why`: what is told of the first who waits."""
        if able not in self._waiting:
            self._waiting[able] = self._clock(), set()
            logger.warning("%s waits, and so may others: %s", who, why)
        self._waiting[able][1].add(who)

    def go_on(self, who: str, able: str) -> None:
        """Somebody does not wait for this, or not any more."""
        since, waiting = self._waiting.get(able, (0.0, set()))
        waiting.discard(who)
        if able in self._waiting and not waiting:
            del self._waiting[able]
            logger.warning("%s again, after %.0f s.", able, self._clock() - since)
