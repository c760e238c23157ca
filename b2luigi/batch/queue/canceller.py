"""Cancels jobs, all at once and idempotently, and reports those that a batch system does not cancel."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.command import Running, fits
from b2luigi.batch.queue.ticket import Ticket, TicketState, ids
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Command

logger = logging.getLogger("luigi-interface.b2luigi")

TRIES = 3
"""How often a cancellation that fails is sent."""
PAUSE, PAUSE_MOST = 5.0, 60.0
"""Seconds to wait after a failure, the first time and at most."""
TIE_AGE = 30.0
"""Seconds for which an answer that listed a number with our label allows to cancel that number."""
COMPANY = 5.0
"""Seconds for which cancellations that are not urgent are collected."""


@dataclass(eq=False)
class _Cancellation:
    """One command, repeated if it fails."""

    tickets: list[Ticket]
    tries: Backoff
    failures: int = 0
    running: Running | None = None


class Canceller:
    """The jobs that are to leave the batch system, which messages call `title`.

    `tie` is called with jobs whose number has to be compared with their label first: another job may have it by now,
    or always had it, in another batch server.
    """

    def __init__(
        self,
        system: BatchSystem,
        start: Callable[[Command], Running],
        clock: Callable[[], float],
        tie: Callable[[Ticket], None],
        title: str,
    ) -> None:
        self._system, self._start, self._clock = system, start, clock
        self._tie, self._title = tie, title
        self._waiting: list[Ticket] = []
        self._due = 0.0
        self._sent: list[_Cancellation] = []
        self.given_up: list[Ticket] = []
        """Jobs that the batch system did not cancel, however often it was asked to."""

    def add(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        """Cancels jobs, which have an id. Those that need not leave `soon` wait a little for others."""
        if not self._waiting:
            self._due = self._clock() + COMPANY
        self._waiting += tickets
        if soon:
            self.hurry()

    def hurry(self) -> None:
        """No job waits any longer for others."""
        self._due = self._clock()

    @property
    def pending(self) -> list[Ticket]:
        """Jobs whose cancellation is not confirmed yet."""
        return [*self._waiting, *(ticket for one in self._sent for ticket in one.tickets)]

    def step(self) -> None:
        """Starts one command for all that wait, unless one is running, and reads answers."""
        under_way = any(one.running is not None for one in self._sent)
        if self._waiting and self._clock() >= self._due and not under_way:
            self._sent += [self._cancellation(some) for some in self._by_proof(self._waiting) if some]
            self._waiting = []
        for one in list(self._sent):
            words = self._move(one)
            if words is not None:
                self._answered(one, words)

    def _cancellation(self, tickets: list[Ticket]) -> _Cancellation:
        return _Cancellation(tickets, Backoff(self._clock, first=PAUSE, most=PAUSE_MOST))

    def _by_proof(self, tickets: list[Ticket]) -> tuple[list[Ticket], list[Ticket]]:
        """Those that can be cancelled now, and those whose number has to be compared with their label first."""
        proven = [ticket for ticket in tickets if self._is_proven(ticket)]
        return proven, [ticket for ticket in tickets if not self._is_proven(ticket)]

    def _is_proven(self, ticket: Ticket) -> bool:
        return ticket.is_own or self._clock() - ticket.tied_at <= TIE_AGE

    def _is_ready(self, one: _Cancellation) -> bool:
        """All that are left in it are proven to be ours; those of which nothing was found are over."""
        one.tickets = [ticket for ticket in one.tickets if not ticket.is_over]
        _, unproven = self._by_proof(one.tickets)
        for ticket in unproven:
            self._tie(ticket)
        if not one.tickets:
            self._sent.remove(one)
        return bool(one.tickets) and not unproven

    def _move(self, one: _Cancellation) -> str | None:
        """What went wrong, empty if nothing did, None while that is not known."""
        try:
            if one.running is None:
                if not one.tries.is_due or not self._is_ready(one):
                    return None
                one.running = self._start(self._command(one))
            answer = one.running.poll()
            if answer is None:
                return None
            return self._system.parse_cancel(answer) if answer.is_complete else answer.words
        except Exception as error:  # a language of somebody else's
            return f"{type(error).__name__}: {error}"

    def _command(self, one: _Cancellation) -> Command:
        """Cancels all of them, or as many as one command can name: the others follow in one of their own."""
        command = self._system.cancel_labelled(_labels(one.tickets))
        while len(one.tickets) > 1 and not fits(command):
            half = len(one.tickets) // 2
            self._sent.append(self._cancellation(one.tickets[half:]))
            one.tickets = one.tickets[:half]
            command = self._system.cancel_labelled(_labels(one.tickets))
        return command

    def _answered(self, one: _Cancellation, words: str) -> None:
        one.running, one.failures = None, one.failures + bool(words)
        if words and one.failures == TRIES:
            name, left = self._title, " ".join(ids(one.tickets))
            logger.error("%s did not cancel these jobs; please cancel them yourself: %s. Output: %s", name, left, words)
        # As long as another attempt of a task waits for the end of a job, nobody gives its cancellation up.
        awaited = any(ticket.when_over is not None for ticket in one.tickets)
        if words and (one.failures < TRIES or awaited):
            one.tries.put_off()
            return
        self._sent.remove(one)
        if words:
            self.given_up += one.tickets
        for ticket in one.tickets if not words else ():
            ticket.move(TicketState.ended)


def _labels(tickets: Iterable[Ticket]) -> dict[str, str]:
    return {str(ticket.job_id): ticket.label for ticket in tickets}
