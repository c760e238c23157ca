"""The states of a ticket: what leads where, and what is final."""

from __future__ import annotations

import itertools

import pytest

from b2luigi.batch.queue.ticket import NEXT, Ticket, TicketState
from tests.batch.systems.recorded import a_job


def in_state(state: TicketState) -> Ticket:
    return Ticket(a_job("ab"), state=state)


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(TicketState, 2)))
def test_only_the_moves_of_the_table_change_anything(before: TicketState, after: TicketState) -> None:
    """A late answer about a job that is over does not bring it back."""
    ticket = in_state(before)
    ticket.move(after, "why")
    moved = after in NEXT[before]
    assert (ticket.state, ticket.reason) == ((after, "why") if moved else (before, ""))


@pytest.mark.parametrize("final", [TicketState.ended, TicketState.refused, TicketState.not_found])
def test_whoever_waits_for_the_end_of_a_job_is_called_once(final: TicketState) -> None:
    """However many words about its end come."""
    before = next(state for state in TicketState if final in NEXT[state])
    ticket, calls = in_state(before), []
    ticket.when_over = lambda: calls.append(ticket.state)
    for _ in range(2):
        ticket.move(final)
    assert (ticket.is_over, calls) == (True, [final])


@pytest.mark.parametrize("state", list(TicketState))
def test_a_job_that_was_never_sent_or_was_refused_is_nowhere(state: TicketState) -> None:
    """Of all others something may be left in the batch system."""
    assert in_state(state).may_be_there is (state not in (TicketState.waiting, TicketState.refused))
