"""Asks a batch system about jobs, with one command at a time that blocks nothing, and learns from the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from b2luigi.batch.queue.aside import LARGE, Aside
from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.command import Answered, Running, fits
from b2luigi.batch.queue.outage import Outage
from b2luigi.batch.queue.presence import SECOND_LOOK, Known, Presence, info_of
from b2luigi.batch.queue.search import Search
from b2luigi.batch.queue.ticket import Ticket, ids
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Answer, AnswerError, Command, JobInfo

QUERY, FIND, HISTORY = "status query", "job search", "history query"

EARLY = 4.0
"""Seconds from the first submission after a pause to the first query, which shows what began at once."""
FIRST, SUSPICION = 10.0, 1.0
"""Seconds from a submission to the next query, and when a job looks as if it had ended."""
GROWTH, FAILURE_GROWTH = 1.5, 2.0
"""How the wait for the next query grows after an answer, and after a failure."""

SLICE = 0.01
"""Seconds of one look for what an answer says of the jobs; the rest is for the next look."""

LISTING_AGE = 10.0
"""Seconds for which a listing from before the first question may answer it."""


@dataclass(frozen=True)
class FirstAnswer:
    """What a batch system answered to a query for no job in particular."""

    answer: Answer | None
    """None: nothing that can be read, and that was logged."""
    at: float
    """When that was, in seconds of the clock of the queue."""


@dataclass
class _Question:
    what: str
    tickets: list[Ticket]
    command: Callable[[list[Ticket]], Command | None]
    read: Callable[[Answer], Known]
    learn: Callable[[list[Ticket], Known], Iterable[list[Ticket]]]
    """Yields the jobs with news, some at a time."""


class Poller:
    """Knows when to ask what: search for jobs in doubt, the history of jobs that left, the status of all others.

    `accept` is called with the id of a job that a search found. `title`: what messages call the batch system.
    `first_answer`: what the batch system answered before.
    """

    def __init__(
        self,
        system: BatchSystem,
        start: Callable[[Command], Running],
        clock: Callable[[], float],
        poll_interval: float,
        accept: Callable[[Ticket, str], None],
        title: str = "",
        first_answer: FirstAnswer | None = None,
    ) -> None:
        self._title = title or system.name
        self._system, self._start, self._clock, self._most = system, start, clock, poll_interval
        self._first_answer = first_answer
        self._presence = Presence(self._title, clock, min(SECOND_LOOK, poll_interval))
        self.search = Search(clock, poll_interval, accept, self._presence)
        self._polls = Backoff(clock, first=FIRST, most=poll_interval, growth=GROWTH)
        self._asked: tuple[_Question, Running] | None = None
        self._reading: Aside[Known] | None = None
        """The answer to what was asked, which is being read."""
        self._learning: Iterator[list[Ticket]] | None = None
        """What is learned from it, some jobs in each look."""
        self._outages = self._no_outages()
        if first_answer is not None and first_answer.answer is None:
            self._outages[QUERY].take_over(first_answer.at)
        self._rest: list[_Question] = []
        """Parts of a question about too many jobs for one command, to be asked next."""
        self.live: dict[str, Ticket] = {}
        """By token: the jobs that are in the batch system, as far as we know."""

    def add(self, ticket: Ticket) -> None:
        """A job was accepted. A query that is due stays due, or it would never be sent while jobs trickle in."""
        if not self.live:
            self._polls.due_in(self._most)
        self._polls.restart()
        if not self.live:
            self._polls.due_within(EARLY)
        self.live[ticket.spec.token] = ticket
        self._presence.expect(ticket)

    def hurry(self) -> None:
        """A job looks as if it had ended: the next query comes soon, unless the last one failed."""
        if not self._outages[QUERY].lasts:
            self._polls.due_within(min(SUSPICION, self._most))

    def forget(self, ticket: Ticket) -> None:
        """The job was judged. If it is in doubt and was cancelled, the search goes on all the same."""
        self.live.pop(ticket.spec.token, None)
        self.search.forget(ticket)

    def stop(self) -> list[Ticket]:
        """From now on only searches for the jobs in doubt, at once; returns all jobs."""
        tickets = [*self.live.values(), *self.search.unsure.values()]
        for ticket in tickets:
            ticket.released = True
        self.live, self._presence.missed, self._rest, self._asked = {}, [], [], None
        self._reading = self._learning = None
        self._outages = self._no_outages()
        self.search.hurry()
        return tickets

    @property
    def searching(self) -> bool:
        """There are jobs in doubt, and the batch system answers."""
        return bool(self.search.unsure) and not self._outages[FIND].lasts

    def ask(self) -> None:
        """Starts the most urgent command that is due, if none is under way."""
        question = self._due() if self._asked is None else None
        if question is None:
            return
        try:
            self._asked = self._answered_already(question) or self._sent(question)
        except Exception as error:  # a language of somebody else's: its error touches no job
            self._failed(question, error)

    def _sent(self, question: _Question) -> tuple[_Question, Running] | None:
        command = question.command(question.tickets)
        while command is not None and len(question.tickets) > 1 and not fits(command):
            half = len(question.tickets) // 2
            self._rest.append(replace(question, tickets=question.tickets[half:]))
            question = replace(question, tickets=question.tickets[:half])
            command = question.command(question.tickets)
        return (question, self._start(command)) if command is not None else None

    def _answered_already(self, question: _Question) -> tuple[_Question, Running] | None:
        """The listing answers the first question if all its jobs are in it: absence from it proves nothing."""
        first, self._first_answer = self._first_answer, None
        if first is None or first.answer is None or self._clock() > first.at + LISTING_AGE:
            return None
        known = self._system.parse_query(first.answer)
        labels = {info.token for info in known.values()}
        is_listed: Callable[[Ticket], bool] = (
            (lambda ticket: ticket.label in labels)
            if question.what == FIND
            else (lambda ticket: info_of(ticket, known) is not None and not ticket.end_reported)
        )
        return (question, Answered(first.answer)) if all(map(is_listed, question.tickets)) else None

    def read(self) -> list[Ticket]:
        """Learns from an answer, if there is one. Returns tickets with news: an id, a refusal, a state, gone."""
        news, self.search.given_up = self.search.given_up, []
        question, running = self._asked or (None, None)
        answer = running.poll() if running is not None else None
        if question is None or answer is None:
            return news
        if self._learning is None:
            self._learning = self._read(question, answer)
        if self._learning is not None:
            news += self._learned(self._learning)
        return news

    def _read(self, question: _Question, answer: Answer) -> Iterator[list[Ticket]] | None:
        """What there is to learn from an answer; None as long as a thread reads it, and if it is none."""
        if self._reading is None:
            self._reading = Aside(partial(_read, question, answer), at_once=len(answer.stdout) < LARGE)
        if not self._reading.is_over:
            return None
        try:
            known = self._reading.result()
        except AnswerError:
            self._asked = self._reading = None
            self._no_answer(question.what, answer.words)
        except Exception as error:
            self._asked = self._reading = None
            self._failed(question, error)
        else:
            self._outages[question.what].end()
            return iter(question.learn(question.tickets, known))
        return None

    def _learned(self, learning: Iterator[list[Ticket]]) -> list[Ticket]:
        """The jobs with news, as far as they can be found in a moment."""
        news, end = [], self._clock() + SLICE
        for some in learning:
            news += some
            if self._clock() > end:
                return news
        self._asked = self._reading = self._learning = None
        return news

    # -- what to ask

    def _due(self) -> _Question | None:
        if self._rest:
            return self._rest.pop()
        if self.search.is_due:
            return self._find(list(self.search.unsure.values()), self.search.found)
        if self.search.is_comparison_due:
            return self._find(list(self.search.to_tie.values()), self.search.compared)
        missed, self._presence.missed = self._presence.missed, []
        left = [ticket for ticket in missed if ticket.spec.token in self.live]
        if left:
            return self._history(left)
        return self._query() if self.live and self._polls.is_due else None

    def _find(self, tickets: list[Ticket], learn: Callable[[list[Ticket], Known], list[Ticket]]) -> _Question:
        def command(tickets: list[Ticket]) -> Command:
            return self._system.find([ticket.spec for ticket in tickets])

        return _Question(FIND, tickets, command, self._system.parse_query, _at_once(learn))

    def _history(self, tickets: list[Ticket]) -> _Question:
        def command(tickets: list[Ticket]) -> Command | None:
            return self._system.history(ids(tickets))

        return _Question(HISTORY, tickets, command, self._system.parse_history, _at_once(self._presence.remembered))

    def _query(self) -> _Question:
        def command(tickets: list[Ticket]) -> Command:
            return self._system.query(ids(tickets))

        return _Question(QUERY, list(self.live.values()), command, self._system.parse_query, self._answered)

    def _answered(self, tickets: list[Ticket], known: Known) -> Iterator[list[Ticket]]:
        live = [ticket for ticket in tickets if ticket.spec.token in self.live]
        is_suspicious = yield from self._presence.listed(live, known)
        self._polls.put_off()
        if is_suspicious:
            self._polls.due_within(SECOND_LOOK)

    # -- failures

    def _failed(self, question: _Question, error: Exception) -> None:
        """The language itself failed, so that waiting will not help: such a search counts as one that found nothing."""
        words = f"{type(error).__name__}: {error}"
        self._no_answer(question.what, words)
        if question.what == FIND:
            self.search.not_found(question.tickets, f"the job search failed: {words}")
            self.search.not_tied(question.tickets)

    def _no_answer(self, what: str, words: str) -> None:
        """Changes nothing but the wait until the next try."""
        name = self._title
        self._outages[what].begin("The %s of %s failed; its jobs keep running. Output: %s", what, name, words)
        if what == QUERY:
            self._polls.put_off(FAILURE_GROWTH)
        elif what == FIND:
            self.search.put_off()

    def _no_outages(self) -> Mapping[str, Outage]:
        name = self._title
        return {what: Outage(f"The {what} of {name} works", self._clock) for what in (QUERY, FIND, HISTORY)}


def _at_once(
    learn: Callable[[list[Ticket], Known], list[Ticket]],
) -> Callable[[list[Ticket], Known], Iterable[list[Ticket]]]:
    return lambda tickets, known: [learn(tickets, known)]


def _read(question: _Question, answer: Answer) -> Known:
    if not answer.is_complete:
        raise AnswerError(answer.words)
    return checked(question.read(answer))


def checked(known: Any) -> Known:
    """What a language has read from an answer. Raises TypeError if that has the wrong type.

    It would make jobs look absent, and so count as gone.
    """
    whole = isinstance(known, Mapping) and all(
        isinstance(job_id, str) and isinstance(info, JobInfo) for job_id, info in known.items()
    )
    if not whole:
        raise TypeError(f"expected a mapping of job ids to JobInfo, not {known!r:.200}")
    return cast(Known, known)
