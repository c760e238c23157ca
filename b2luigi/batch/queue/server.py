"""Server: the jobs of this run in one batch server, what is asked about them, and which of them are to leave it."""

from __future__ import annotations

from collections.abc import Callable

from b2luigi.batch.queue.analyst import Analyst
from b2luigi.batch.queue.canceller import Canceller
from b2luigi.batch.queue.command import Running
from b2luigi.batch.queue.identity import Identity
from b2luigi.batch.queue.poller import FirstAnswer, Poller
from b2luigi.batch.queue.ticket import Ticket, TicketState
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Command


class Server:
    """One batch server, in its language. `expected`: its identity, if only that very server is meant.

    A search may cover several servers: `hand_over` is called with a job, its id, and the server that turned out to
    have it.
    """

    def __init__(
        self,
        system: BatchSystem,
        start: Callable[[Command], Running],
        clock: Callable[[], float],
        poll_interval: float,
        expected: str = "",
        first_answer: FirstAnswer | None = None,
        *,
        hand_over: Callable[[Ticket, str, str], None],
    ) -> None:
        self._hand_over = hand_over
        self.title = f"{system.name} ({expected.partition(' ')[0]})" if expected else system.name
        self.identity = Identity(system, start, clock, expected)
        self.poller = Poller(system, start, clock, poll_interval, self._found, self.title, first_answer)
        self.analyst = Analyst(system, start, clock, self.title)
        self.canceller = Canceller(system, start, clock, self.poller.search.tie, self.title)

    def accept(self, ticket: Ticket, job_id: str) -> None:
        """It has this job, under this id."""
        ticket.move(TicketState.queued)
        ticket.job_id = job_id
        if not ticket.released:
            self.poller.add(ticket)
        if ticket.cancelled:
            self.canceller.add([ticket])

    def _found(self, ticket: Ticket, job_id: str) -> None:
        number, _, server = job_id.partition(";")
        if server:
            self._hand_over(ticket, number, server)
        else:
            self.accept(ticket, job_id)

    def adopt(self, ticket: Ticket) -> None:
        """It has this job of another run, or is to be searched for it."""
        if ticket.job_id is not None:
            self.accept(ticket, ticket.job_id)
            self.poller.hurry()
        else:
            self.doubt(ticket, "it was about to be submitted when its run ended")

    def doubt(self, ticket: Ticket, why: str) -> None:
        """It may or may not have this job."""
        ticket.move(TicketState.unsure, why)
        self.poller.search.doubt(ticket)

    @property
    def has_work(self) -> bool:
        """There are jobs to find, or to cancel."""
        return bool(self.poller.searching or self.canceller.pending)

    @property
    def doubtful(self) -> list[Ticket]:
        """Jobs that may be in it still, although they were to leave it."""
        searched_for = [*self.poller.search.unsure.values(), *self.poller.search.lost]
        return [*searched_for, *self.canceller.pending, *self.canceller.given_up]

    @property
    def leaving(self) -> list[Ticket]:
        """Jobs that are to leave it, and may be in it still: other jobs of their tasks have to wait."""
        searched_for = [ticket for ticket in self.poller.search.unsure.values() if ticket.cancelled]
        return [*self.canceller.pending, *searched_for]
