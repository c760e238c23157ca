"""Outages: what many tasks wait for at once is logged once, and once when it is over."""

from __future__ import annotations

from collections.abc import Callable

from b2luigi.batch.queue.outage import Outage


class Outages:
    """Who waits for what. `clock` gives seconds; `suspect` is called for each new outage, to look for its reason."""

    def __init__(self, clock: Callable[[], float], suspect: Callable[[], object] = lambda: None) -> None:
        self._clock, self._suspect = clock, suspect
        self._waiting: dict[str, tuple[Outage, set[str]]] = {}
        """By what is not possible for now: the outage, and who waits for its end."""

    def wait(self, who: str, able: str, why: str) -> None:
        """Somebody waits. `able`: a sentence that is not true for now; `why`: logged for the first who waits."""
        outage, waiting = self._waiting.setdefault(able, (Outage(able, self._clock), set()))
        if not waiting:
            self._suspect()
        outage.begin("%s is waiting, and other tasks may be, too: %s", who, why)
        waiting.add(who)

    def go_on(self, who: str, able: str) -> None:
        """Somebody does not wait for this, or not any more."""
        if able in self._waiting:
            outage, waiting = self._waiting[able]
            waiting.discard(who)
            if not waiting:
                del self._waiting[able]
                outage.end()
