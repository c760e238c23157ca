"""Emptiness: an answer that all of a sudden knows none of several jobs is not believed for a while."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from b2luigi.batch.queue.ticket import Ticket

logger = logging.getLogger("luigi-interface.b2luigi")

SEVERAL = 2
"""So many jobs do not vanish at once, in one answer, without a word: it is rather the batch system that forgets."""
DOUBT = 600.0
"""Seconds for which they are taken to live all the same."""


class Emptiness:
    """What the answers of one batch system (`name`) lack. `clock` gives seconds."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name, self._clock = name, clock
        self._since: float | None = None

    def is_doubtful(self, asked: Iterable[Ticket], known: bool) -> bool:
        """Whether an answer proves nothing. `known`: it tells about some of the jobs it was asked for."""
        if known:
            self._end()
            return False
        if self._since is None:
            self._begin(sum(map(_was_there, asked)))
        return self._since is not None and self._clock() - self._since < DOUBT

    def _begin(self, lost: int) -> None:
        if lost >= SEVERAL:
            self._since = self._clock()
            logger.warning(
                "%s knows none of %d jobs any more, all at once and without a word of their end. That is believed "
                "after %.0f minutes, not before. If it was you who cancelled them: Ctrl-C ends this run now.",
                *(self._name, lost, DOUBT / 60),
            )

    def _end(self) -> None:
        if self._since is not None:
            logger.warning("%s knows jobs again, after %.0f s.", self._name, self._clock() - self._since)
        self._since = None


def _was_there(ticket: Ticket) -> bool:
    return bool(ticket.answers) and not (ticket.absent or ticket.end_reported or ticket.cancelled)
