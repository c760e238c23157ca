"""Search: jobs that may or may not be in a batch system, and numbers that may not be ours, looked up by label."""

from __future__ import annotations

from collections.abc import Callable

from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.presence import OLDEST, Known, Presence
from b2luigi.batch.queue.ticket import Ticket, TicketState
from b2luigi.batch.systems.listings import Listing

SEARCHES, SEARCH_WAIT = 3, 5.0
"""How often, and how many seconds apart, a job that may have been submitted is searched for."""
SOON = 1.0
"""Seconds to the first search."""


class Search:
    """The jobs to be searched for. `accept` is called with the id of a job that was found.

    `poll_interval`: seconds, the longest wait between two searches.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        poll_interval: float,
        accept: Callable[[Ticket, str], None],
        presence: Presence,
    ) -> None:
        self._clock, self._most, self._accept, self._presence = clock, poll_interval, accept, presence
        self._searches = Backoff(clock, first=SEARCH_WAIT, most=max(poll_interval, SEARCH_WAIT))
        self._ties = Backoff(clock, first=SEARCH_WAIT, most=max(poll_interval, SEARCH_WAIT))
        self.to_tie: dict[str, Ticket] = {}
        """By token: jobs whose number is compared with their label before anything is done to it."""
        self.unsure: dict[str, Ticket] = {}
        """By token: the jobs that may or may not have been submitted."""
        self.lost: list[Ticket] = []
        """Jobs in doubt that were to be cancelled and were not found."""
        self.given_up: list[Ticket] = []
        """Jobs that were not found, and of which nobody was informed yet."""

    def doubt(self, ticket: Ticket) -> None:
        """A job may or may not have been submitted: it is searched for by name, unless nobody waits for it."""
        if ticket.released and not ticket.cancelled:
            return
        if not self.unsure:
            self._searches.due_in(min(SOON, self._most))
        self.unsure[ticket.spec.token] = ticket

    def tie(self, ticket: Ticket) -> None:
        """Searches for a job to see whether its number still has its label. If not, there is no such job any more."""
        if ticket.spec.token not in self.to_tie:
            if not self.to_tie:
                self._ties.reset()
            ticket.searches = 0
            self.to_tie[ticket.spec.token] = ticket

    def forget(self, ticket: Ticket) -> None:
        """The job was judged. If it is in doubt and was cancelled, the search goes on all the same."""
        if not ticket.cancelled:
            self.unsure.pop(ticket.spec.token, None)

    def hurry(self) -> None:
        """The next search is due at once."""
        self._searches.due_in(0.0)

    @property
    def is_due(self) -> bool:
        """Jobs in doubt are to be searched for now."""
        return bool(self.unsure) and self._searches.is_due

    @property
    def is_comparison_due(self) -> bool:
        """Numbers are to be compared with their labels now."""
        return bool(self.to_tie) and self._ties.is_due

    def put_off(self) -> None:
        """The batch system did not answer."""
        self._searches.put_off()
        self._ties.put_off()

    def found(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        """Learns from the answer to a search; returns the jobs that were found."""
        self._searches.reset()
        self._searches.put_off()
        job_ids = {label: job_id for job_id, info in known.items() for label in info.labels}
        found = [ticket for ticket in tickets if ticket.spec.token in self.unsure and ticket.label in job_ids]
        for ticket in found:
            del self.unsure[ticket.spec.token]
            ticket.tied_at, ticket.may_be_elsewhere = self._clock(), False
            self._accept(ticket, job_ids[ticket.label])
        if not _may_lack_any(known):
            self.not_found(tickets, "a search found no such job")
        return found

    def compared(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        """Learns from the answer to a comparison; there is no news for anybody."""
        self._ties.put_off()
        for ticket in tickets:
            info = known.get(str(ticket.job_id))
            if info is not None and info.is_called(ticket.label):
                self.to_tie.pop(ticket.spec.token, None)
                ticket.tied_at = self._clock()
        if not _may_lack_any(known):
            self.not_tied(tickets)
        return []

    def not_tied(self, tickets: list[Ticket]) -> None:
        """Whoever has these numbers, if anybody has: nothing proves that it is us."""
        for ticket in tickets:
            if ticket.spec.token in self.to_tie:
                ticket.searches += 1
                if ticket.searches >= SEARCHES:
                    del self.to_tie[ticket.spec.token]
                    ticket.move(TicketState.ended)

    def not_found(self, tickets: list[Ticket], why: str) -> None:
        """A search did not find these jobs; after a few, there are no such jobs."""
        for ticket in tickets:
            if ticket.spec.token not in self.unsure:
                continue
            ticket.searches += 1
            if ticket.searches < SEARCHES:
                continue
            if (seconds := self._may_hide(ticket)) > 0:
                self._presence.warn_of_hidden(ticket, seconds)
                continue
            del self.unsure[ticket.spec.token]
            self._search_ended(ticket, why)
            (self.lost if ticket.cancelled else self.given_up).append(ticket)

    def _search_ended(self, ticket: Ticket, why: str) -> None:
        if ticket.may_be_elsewhere:
            self._presence.warn_of_elsewhere(ticket)
            ticket.move(TicketState.out_of_reach)
        else:
            ticket.move(TicketState.not_found, f"{ticket.reason}\n({why})")

    def _may_hide(self, ticket: Ticket) -> float:
        """Seconds for which answers may still be older than this job, if its job script has begun; else 0."""
        try:
            has_begun = ticket.spec.report.exists()
        except OSError:  # unreadable for now
            has_begun = True
        return ticket.submitted_at + OLDEST - self._clock() if has_begun else 0.0


def _may_lack_any(known: Known) -> bool:
    """Nobody knows what is in the part of the answer that cannot be read."""
    return isinstance(known, Listing) and known.may_have("")
