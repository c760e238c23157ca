"""Signs: what was seen of the end of one attempt, when, and how often its batch system was asked since."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from b2luigi.batch.attempts.judge import Evidence
from b2luigi.batch.attempts.outcome import INTERRUPTED, Marker, Outcome
from b2luigi.batch.queue.ticket import Ticket

ANSWERS = 3
"""So many answers about a job that was shot are asked for in a hurry; if all say that it lives, it does."""


@dataclass
class Signs:
    """The memory of one attempt. `clock` gives seconds."""

    clock: Callable[[], float]
    ended_at: float | None = None
    """When the first sign of its end was seen; None while it lives, or lives again."""
    outcome_at: float | None = None
    lived: bool = False
    """It was seen alive, by us."""
    _marker: Marker | None = None
    _answers_at_end: int = 0

    @property
    def is_ending(self) -> bool:
        """There was a sign of the end."""
        return self.ended_at is not None or self.outcome_at is not None

    @property
    def is_told(self) -> bool:
        """Its job script, or its node, said that it ended."""
        return self._marker is not None or self.outcome_at is not None

    @property
    def waited(self) -> float:
        """Seconds since the first sign of the end."""
        seen = [moment for moment in (self.ended_at, self.outcome_at) if moment is not None]
        return self.clock() - min(seen) if seen else 0.0

    def see(self, ticket: Ticket, marker: Marker | None) -> bool:
        """Takes in what job script and batch system say; True if one of them says that the job ended."""
        final = ticket.info is not None and ticket.info.status.is_final
        ended = marker is not None or ticket.gone or final
        self.lived = self.lived or (ticket.info is not None and not final)
        if not ended:
            self.ended_at = None  # gone for a while, and there again
        elif self.ended_at is None or marker != self._marker:
            self.ended_at, self._answers_at_end = self.clock(), ticket.answers
        self._marker = marker
        return ended

    def see_outcome(self, outcome: Outcome | None) -> None:
        """Takes in what the node left."""
        if outcome is not None and outcome.status != INTERRUPTED and self.outcome_at is None:
            self.outcome_at = self.clock()

    def may_ask(self, ticket: Ticket) -> bool:
        """Whether the batch system shall be asked in a hurry, once more, who shot the job and why."""
        return ticket.answers - self._answers_at_end < ANSWERS

    def forget_end(self) -> None:
        """The job was held, evicted or queued again: it lives."""
        self.ended_at = self._marker = None

    def evidence(self, ticket: Ticket, marker: Marker | None, outcome: Outcome | None, grace: float) -> Evidence:
        """All of it, for the judge."""
        return Evidence(
            outcome=outcome,
            marker=marker,
            info=ticket.info,
            gone=ticket.gone,
            started=ticket.gone and ticket.spec.report.exists(),
            ended_for=self._since(self.ended_at),
            outcome_for=self._since(self.outcome_at),
            grace=grace,
        )

    def _since(self, moment: float | None) -> float:
        return self.clock() - moment if moment is not None else 0.0
