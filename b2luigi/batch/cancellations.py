"""Cancels jobs, all at once and idempotently, and says so when a batch system will not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from b2luigi.batch.command import Running
from b2luigi.batch.model import Command
from b2luigi.batch.system import BatchSystem
from b2luigi.batch.ticket import Ticket, ids

logger = logging.getLogger("luigi-interface.b2luigi")

TRIES = 3
"""How often a cancellation that the batch system turned down is sent."""


@dataclass
class _UnderWay:
    running: Running
    tickets: list[Ticket]
    tries: int


class Cancellations:
    """The jobs that are to leave the batch system."""

    def __init__(self, system: BatchSystem, start: Callable[[Command], Running]) -> None:
        self._system, self._start = system, start
        self._waiting: list[Ticket] = []
        self._under_way: list[_UnderWay] = []
        self.given_up: list[Ticket] = []
        """Jobs that the batch system did not cancel, however often it was told to."""

    def add(self, tickets: Iterable[Ticket]) -> None:
        """Hands jobs in, which have an id."""
        self._waiting += tickets

    @property
    def pending(self) -> list[Ticket]:
        """Jobs whose cancellation was not confirmed yet."""
        return [*self._waiting, *(ticket for one in self._under_way for ticket in one.tickets)]

    def step(self) -> None:
        """Sends what waits, in one command, and reads what came back."""
        if self._waiting:
            tickets, self._waiting = self._waiting, []
            self._send(tickets, tries=1)
        for one in list(self._under_way):
            self._read(one)

    def _send(self, tickets: list[Ticket], tries: int) -> None:
        running = self._start(self._system.cancel(ids(tickets)))
        self._under_way.append(_UnderWay(running, tickets, tries))

    def _read(self, one: _UnderWay) -> None:
        answer = one.running.poll()
        if answer is None:
            return
        self._under_way.remove(one)
        words = self._system.parse_cancel(answer)
        if words and one.tries < TRIES:
            self._send(one.tickets, one.tries + 1)
        elif words:
            name, left = self._system.name, " ".join(ids(one.tickets))
            logger.error("%s did not cancel these jobs, please do: %s. It said: %s", name, left, words)
            self.given_up += one.tickets
