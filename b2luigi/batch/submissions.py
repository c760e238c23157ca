"""Sends jobs: gathers what belongs together, a few commands at a time, and reads what became of each job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from b2luigi.batch.command import Running
from b2luigi.batch.model import Answer, Command, Submitted, TryLater, Unsure
from b2luigi.batch.system import BatchSystem
from b2luigi.batch.ticket import Ticket

logger = logging.getLogger("luigi-interface.b2luigi")

AT_ONCE = 4
"""Submit commands under way at once."""
LATER_FIRST, LATER_MOST = 5.0, 60.0
"""Seconds to wait after "try later", doubling."""


@dataclass
class _UnderWay:
    running: Running
    tickets: list[Ticket]


class Submissions:
    """The jobs that were handed in and are not yet in the batch system."""

    def __init__(self, system: BatchSystem, start: Callable[[Command], Running], clock: Callable[[], float]) -> None:
        self._system, self._start, self._clock = system, start, clock
        self._waiting: list[Ticket] = []
        self._under_way: list[_UnderWay] = []
        self._later, self._not_before = LATER_FIRST, 0.0

    def add(self, ticket: Ticket) -> None:
        """Hands a job in."""
        self._waiting.append(ticket)

    def drop_waiting(self) -> None:
        """Forgets the jobs for which no command was sent yet."""
        self._waiting.clear()

    @property
    def under_way(self) -> list[Ticket]:
        """Jobs whose command was sent and has not answered yet."""
        return [ticket for one in self._under_way for ticket in one.tickets]

    def send(self) -> list[tuple[Ticket, str]]:
        """Sends what waits. Returns the jobs for which the language could not even make a command, and why."""
        failed: list[tuple[Ticket, str]] = []
        if not self._waiting or self._clock() < self._not_before:
            return failed
        waiting, self._waiting = [t for t in self._waiting if not t.cancelled], []
        for group in self._groups(waiting):
            if len(self._under_way) >= AT_ONCE:
                self._waiting += group
            else:
                failed += self._send(group)
        return failed

    def read(self) -> Iterator[tuple[Ticket, Submitted]]:
        """What became of the jobs whose command answered; "try later" is dealt with here."""
        for one in list(self._under_way):
            answer = one.running.poll()
            if answer is not None:
                self._under_way.remove(one)
                yield from self._sorted_out(one.tickets, self._results(one.tickets, answer))

    def _groups(self, tickets: Sequence[Ticket]) -> list[list[Ticket]]:
        groups: list[list[Ticket]] = []
        for ticket in tickets:
            fitting = (group for group in groups if self._fits(ticket, group))
            group = next(fitting, None)
            if group is None:
                groups.append([ticket])
            else:
                group.append(ticket)
        return groups

    def _fits(self, ticket: Ticket, group: list[Ticket]) -> bool:
        together = self._system.can_submit_together(group[0].spec, ticket.spec)
        return together and len(group) < self._system.bulk

    def _send(self, tickets: list[Ticket]) -> list[tuple[Ticket, str]]:
        try:
            command = self._system.submit([ticket.spec for ticket in tickets])
        except Exception as error:  # a language of somebody else's: its error is its own jobs' alone
            return [(ticket, f"{type(error).__name__}: {error}") for ticket in tickets]
        self._under_way.append(_UnderWay(self._start(command), tickets))
        return []

    def _results(self, tickets: list[Ticket], answer: Answer) -> Sequence[Submitted]:
        try:
            results = self._system.parse_submit(answer, [ticket.spec for ticket in tickets])
        except Exception as error:
            return [Unsure(f"{type(error).__name__}: {error}")] * len(tickets)
        return results if len(results) == len(tickets) else [Unsure(answer.words)] * len(tickets)

    def _sorted_out(self, tickets: list[Ticket], results: Sequence[Submitted]) -> Iterator[tuple[Ticket, Submitted]]:
        if not any(isinstance(result, TryLater) for result in results):
            self._later, self._not_before = LATER_FIRST, 0.0
        for ticket, result in zip(tickets, results, strict=True):
            if isinstance(result, TryLater):
                self._postpone(ticket, result.text)
            else:
                yield ticket, result

    def _postpone(self, ticket: Ticket, text: str) -> None:
        now = self._clock()
        if now >= self._not_before:
            name, wait = self._system.name, self._later
            logger.warning("%s takes no jobs now; trying again in %.0f s. It said: %s", name, wait, text)
            self._not_before, self._later = now + wait, min(2 * wait, LATER_MOST)
        self._waiting.append(ticket)
