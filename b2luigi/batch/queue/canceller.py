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
    """The jobs that are to leave the batch system."""

    def __init__(self, system: BatchSystem, start: Callable[[Command], Running], clock: Callable[[], float]) -> None:
        self._system, self._start, self._clock = system, start, clock
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
            tries = Backoff(self._clock, first=PAUSE, most=PAUSE_MOST)
            self._sent.append(_Cancellation(self._waiting, tries))
            self._waiting = []
        for one in list(self._sent):
            words = self._move(one)
            if words is not None:
                self._answered(one, words)

    def _move(self, one: _Cancellation) -> str | None:
        """What went wrong, empty if nothing did, None while that is not known."""
        try:
            if one.running is None:
                if not one.tries.is_due:
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
        command = self._system.cancel(ids(one.tickets))
        while len(one.tickets) > 1 and not fits(command):
            half = len(one.tickets) // 2
            self._sent.append(_Cancellation(one.tickets[half:], Backoff(self._clock, first=PAUSE, most=PAUSE_MOST)))
            one.tickets = one.tickets[:half]
            command = self._system.cancel(ids(one.tickets))
        return command

    def _answered(self, one: _Cancellation, words: str) -> None:
        one.running, one.failures = None, one.failures + bool(words)
        if words and one.failures < TRIES:
            one.tries.put_off()
            return
        self._sent.remove(one)
        if words:
            name, left = self._system.name, " ".join(ids(one.tickets))
            logger.error("%s did not cancel these jobs; please cancel them yourself: %s. Output: %s", name, left, words)
            self.given_up += one.tickets
        else:
            for ticket in one.tickets:
                ticket.move(TicketState.ended)
