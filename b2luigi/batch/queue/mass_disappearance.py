"""MassDisappearance: an answer that suddenly lists none of several jobs is not believed for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from b2luigi.batch.queue.outage import Outage
from b2luigi.batch.queue.ticket import Ticket

SEVERAL = 2
"""So many jobs hardly vanish at once, in one answer, without a trace: the batch system has rather lost track."""
DOUBT = 600.0
"""Seconds for which they still count as alive."""


class MassDisappearance:
    """Watches the answers of one batch system (`name`). `clock` gives seconds."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name = name
        self._outage = Outage(f"{name} lists jobs", clock)

    def is_doubtful(self, asked: Iterable[Ticket], known: bool) -> bool:
        """Whether an answer proves nothing. `known`: it lists some of the jobs it was asked for."""
        if known:
            self._outage.end()
            return False
        lost = sum(map(_was_there, asked))
        if lost >= SEVERAL:
            self._outage.begin(
                "%s suddenly lists none of %d jobs and reported the end of none. They count as lost only if it still "
                "does so in %.0f minutes. If you cancelled them yourself, press Ctrl-C to end this run now.",
                *(self._name, lost, DOUBT / 60),
            )
        return self._outage.lasts and self._outage.duration < DOUBT


def _was_there(ticket: Ticket) -> bool:
    return bool(ticket.answers) and not (ticket.absent or ticket.end_reported or ticket.cancelled)
