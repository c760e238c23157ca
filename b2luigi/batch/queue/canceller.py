"""Cancels jobs, all at once and idempotently, and says so when a batch system will not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from b2luigi.batch.queue.command import Running
from b2luigi.batch.queue.ticket import Ticket, ids
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Command

logger = logging.getLogger("luigi-interface.b2luigi")

TRIES, PAUSE = 3, 5.0
"""How often a cancellation is sent that the batch system turned down; seconds to wait, the more the later."""


COMPANY = 5.0
"""Seconds for which cancellations without haste are gathered."""


@dataclass(eq=False)
class _Try:
    tickets: list[Ticket]
    number: int = 1
    not_before: float = 0.0
    running: Running | None = None


class Cancellations:
    """The jobs that are to leave the batch system."""

    def __init__(self, system: BatchSystem, start: Callable[[Command], Running], clock: Callable[[], float]) -> None:
        self._system, self._start, self._clock = system, start, clock
        self._waiting: list[Ticket] = []
        self._due = 0.0
        self._tries: list[_Try] = []
        self.given_up: list[Ticket] = []
        """Jobs that the batch system did not cancel, however often it was told to."""

    def add(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        """Hands jobs in, which have an id. Those that are not to leave `soon` wait a while for company."""
        if not self._waiting:
            self._due = self._clock() + COMPANY
        self._waiting += tickets
        if soon:
            self.hurry()

    def hurry(self) -> None:
        """Nobody waits any longer."""
        self._due = self._clock()

    @property
    def pending(self) -> list[Ticket]:
        """Jobs whose cancellation was not confirmed yet."""
        return [*self._waiting, *(ticket for one in self._tries for ticket in one.tickets)]

    def step(self) -> None:
        """Sends what waits, in one command, one at a time, and reads what came back."""
        under_way = any(one.running is not None for one in self._tries)
        if self._waiting and self._clock() >= self._due and not under_way:
            self._tries.append(_Try(self._waiting))
            self._waiting = []
        for one in list(self._tries):
            words = self._move(one)
            if words is not None:
                self._tries.remove(one)
                self._answered(one, words)

    def _move(self, one: _Try) -> str | None:
        """What is wrong, empty if nothing is, None while that is not known."""
        try:
            if one.running is None:
                if self._clock() < one.not_before:
                    return None
                one.running = self._start(self._system.cancel(ids(one.tickets)))
            answer = one.running.poll()
            if answer is None:
                return None
            return self._system.parse_cancel(answer) if answer.is_complete else answer.words
        except Exception as error:  # a language of somebody else's
            return f"{type(error).__name__}: {error}"

    def _answered(self, one: _Try, words: str) -> None:
        if words and one.number < TRIES:
            self._tries.append(_Try(one.tickets, one.number + 1, self._clock() + PAUSE * one.number))
        elif words:
            name, left = self._system.name, " ".join(ids(one.tickets))
            logger.error("%s did not cancel these jobs, please do: %s. It said: %s", name, left, words)
            self.given_up += one.tickets
        else:
            for ticket in one.tickets:
                ticket.leaves()
