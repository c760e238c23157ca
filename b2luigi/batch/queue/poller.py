"""Asks a batch system about jobs, with one command at a time that blocks nothing, and learns from the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.command import Running, fits
from b2luigi.batch.queue.mass_disappearance import MassDisappearance
from b2luigi.batch.queue.outage import Outage
from b2luigi.batch.queue.ticket import ABSENCES, Ticket, TicketState, ids
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Answer, AnswerError, Command, JobInfo

QUERY, FIND, HISTORY = "status query", "job search", "history query"

FIRST, SUSPICION = 10.0, 1.0
"""Seconds from a submission to the next query, and when a job looks as if it had ended."""
GROWTH, FAILURE_GROWTH = 1.5, 2.0
"""How the wait for the next query grows after an answer, and after a failure."""
SECOND_LOOK = 10.0
"""Seconds until the next query if an answer lacked a job: batch systems answer from snapshots that are seconds old
(LSF: 5 s), and two answers from one snapshot count as one."""
SEARCHES, SEARCH_WAIT = 3, 5.0
"""How often, and how many seconds apart, a job that may have been submitted is searched for."""

Known = Mapping[str, JobInfo]


@dataclass
class _Question:
    what: str
    tickets: list[Ticket]
    command: Callable[[list[Ticket]], Command | None]
    read: Callable[[Answer], Known]
    learn: Callable[[list[Ticket], Known], list[Ticket]]


class Poller:
    """Knows when to ask what: search for jobs in doubt, the history of jobs that left, the status of all others.

    `accept` is called with the id of a job that a search found.
    """

    def __init__(
        self,
        system: BatchSystem,
        start: Callable[[Command], Running],
        clock: Callable[[], float],
        poll_interval: float,
        accept: Callable[[Ticket, str], None],
    ) -> None:
        self._system, self._start, self._clock, self._most = system, start, clock, poll_interval
        self._accept = accept
        self._disappearance = MassDisappearance(system.name, clock)
        self._polls = Backoff(clock, first=FIRST, most=poll_interval, growth=GROWTH)
        self._searches = Backoff(clock, first=SEARCH_WAIT, most=max(poll_interval, SEARCH_WAIT))
        self._asked: tuple[_Question, Running] | None = None
        self._outages = self._no_outages()
        self._rest: list[_Question] = []
        """Parts of a question about too many jobs for one command, to be asked next."""
        self._left: list[Ticket] = []
        self._given_up: list[Ticket] = []
        self.live: dict[str, Ticket] = {}
        """By token: the jobs that are in the batch system, as far as we know."""
        self.unsure: dict[str, Ticket] = {}
        """By token: the jobs that may or may not have been submitted."""
        self.lost: list[Ticket] = []
        """Jobs in doubt that were to be cancelled and were not found."""

    def add(self, ticket: Ticket) -> None:
        """A job was accepted. A query that is due stays due, or it would never be sent while jobs trickle in."""
        if not self.live:
            self._polls.due_in(self._most)
        self.live[ticket.spec.token] = ticket
        self._polls.restart()

    def doubt(self, ticket: Ticket) -> None:
        """A job may or may not have been submitted: it is searched for by name, unless nobody waits for it."""
        if ticket.released and not ticket.cancelled:
            return
        if not self.unsure:
            self._searches.due_in(min(SUSPICION, self._most))
        self.unsure[ticket.spec.token] = ticket

    def hurry(self) -> None:
        """A job looks as if it had ended: the next query comes soon, unless the last one failed."""
        if not self._outages[QUERY].lasts:
            self._polls.due_within(min(SUSPICION, self._most))

    def forget(self, ticket: Ticket) -> None:
        """The job was judged. If it is in doubt and was cancelled, the search goes on all the same."""
        self.live.pop(ticket.spec.token, None)
        if not ticket.cancelled:
            self.unsure.pop(ticket.spec.token, None)

    def stop(self) -> list[Ticket]:
        """From now on only searches for the jobs in doubt, at once; returns all jobs."""
        tickets = [*self.live.values(), *self.unsure.values()]
        for ticket in tickets:
            ticket.released = True
        self.live, self._left, self._rest, self._asked = {}, [], [], None
        self._outages = self._no_outages()
        self._searches.due_in(0.0)
        return tickets

    @property
    def searching(self) -> bool:
        """There are jobs in doubt, and the batch system answers."""
        return bool(self.unsure) and not self._outages[FIND].lasts

    def ask(self) -> None:
        """Starts the most urgent command that is due, if none is under way."""
        question = self._due() if self._asked is None else None
        if question is None:
            return
        try:
            command = question.command(question.tickets)
            while command is not None and len(question.tickets) > 1 and not fits(command):
                half = len(question.tickets) // 2
                self._rest.append(replace(question, tickets=question.tickets[half:]))
                question = replace(question, tickets=question.tickets[:half])
                command = question.command(question.tickets)
            self._asked = (question, self._start(command)) if command is not None else None
        except Exception as error:  # a language of somebody else's: its error touches no job
            self._failed(question, error)

    def read(self) -> list[Ticket]:
        """Learns from an answer, if there is one. Returns tickets with news: an id, a refusal, a state, gone."""
        news, self._given_up = self._given_up, []
        question, running = self._asked or (None, None)
        answer = running.poll() if running is not None else None
        if question is None or answer is None:
            return news
        self._asked = None
        try:
            known = _read(question, answer)
        except AnswerError:
            self._no_answer(question.what, answer.words)
        except Exception as error:
            self._failed(question, error)
        else:
            self._outages[question.what].end()
            news += question.learn(question.tickets, known)
        return news

    # -- what to ask

    def _due(self) -> _Question | None:
        if self._rest:
            return self._rest.pop()
        if self.unsure and self._searches.is_due:
            return self._search()
        self._left = [ticket for ticket in self._left if ticket.spec.token in self.live]
        if self._left:
            return self._history()
        return self._query() if self.live and self._polls.is_due else None

    def _search(self) -> _Question:
        def command(tickets: list[Ticket]) -> Command:
            return self._system.find([ticket.spec for ticket in tickets])

        return _Question(FIND, list(self.unsure.values()), command, self._system.parse_query, self._found)

    def _history(self) -> _Question:
        def command(tickets: list[Ticket]) -> Command | None:
            return self._system.history(ids(tickets))

        tickets, self._left = self._left, []
        return _Question(HISTORY, tickets, command, self._system.parse_history, self._remembered)

    def _query(self) -> _Question:
        def command(tickets: list[Ticket]) -> Command:
            return self._system.query(ids(tickets))

        return _Question(QUERY, list(self.live.values()), command, self._system.parse_query, self._answered)

    # -- what the answers mean

    def _answered(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        live = [ticket for ticket in tickets if ticket.spec.token in self.live]
        doubtful = self._disappearance.is_doubtful(live, any(_of(ticket, known) for ticket in live))
        counts = [ticket for ticket in live if not doubtful or ticket.end_reported or not ticket.absent]
        news = [ticket for ticket in counts if self._update(ticket, known)]
        suspicious = not doubtful and any(ticket.absent and not ticket.is_gone for ticket in tickets)
        self._polls.put_off()
        if suspicious:
            self._polls.due_within(SECOND_LOOK)
        return news

    def _update(self, ticket: Ticket, known: Known) -> bool:
        info = _of(ticket, known)
        if info is None:
            return self._missed(ticket)
        changed = info != ticket.info
        ticket.info, ticket.absent, ticket.answers = info, 0, ticket.answers + 1
        ticket.move(TicketState.queued)
        return changed

    def _missed(self, ticket: Ticket) -> bool:
        """An answer lacks a job: it counts if it cannot be from the snapshot of the last one that did."""
        now = self._clock()
        if not ticket.absent or now >= ticket.absent_at + min(SECOND_LOOK, self._most):
            ticket.absent, ticket.absent_at = ticket.absent + 1, now
            if ticket.absent == 1:
                self._left.append(ticket)
            if ticket.absent >= ABSENCES:
                ticket.move(TicketState.gone)
        return ticket.is_gone

    def _remembered(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        news = []
        for ticket in tickets:
            info = _of(ticket, known)
            if info is not None and ticket.absent:
                ticket.info = info
                news.append(ticket)
        return news

    def _found(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        self._searches.reset()
        self._searches.put_off()
        job_ids = {info.token: job_id for job_id, info in known.items()}
        found = [ticket for ticket in tickets if ticket.spec.token in self.unsure and ticket.label in job_ids]
        for ticket in found:
            del self.unsure[ticket.spec.token]
            self._accept(ticket, job_ids[ticket.label])
        self._not_found(tickets, "a search found no such job")
        return found

    def _not_found(self, tickets: list[Ticket], why: str) -> None:
        for ticket in tickets:
            if ticket.spec.token in self.unsure:
                ticket.searches += 1
                if ticket.searches >= SEARCHES:
                    del self.unsure[ticket.spec.token]
                    ticket.move(TicketState.not_found, f"{ticket.reason}\n({why})")
                    (self.lost if ticket.cancelled else self._given_up).append(ticket)

    # -- failures

    def _failed(self, question: _Question, error: Exception) -> None:
        """The language itself failed, so that waiting will not help: such a search counts as one that found nothing."""
        words = f"{type(error).__name__}: {error}"
        self._no_answer(question.what, words)
        if question.what == FIND:
            self._not_found(question.tickets, f"the job search failed: {words}")

    def _no_answer(self, what: str, words: str) -> None:
        """Changes nothing but the wait until the next try."""
        name = self._system.name
        self._outages[what].begin("The %s of %s failed; its jobs keep running. Output: %s", what, name, words)
        if what == QUERY:
            self._polls.put_off(FAILURE_GROWTH)
        elif what == FIND:
            self._searches.put_off()

    def _no_outages(self) -> Mapping[str, Outage]:
        name = self._system.name
        return {what: Outage(f"The {what} of {name} works", self._clock) for what in (QUERY, FIND, HISTORY)}


def _read(question: _Question, answer: Answer) -> Known:
    if not answer.is_complete:
        raise AnswerError(answer.words)
    return _checked(question.read(answer))


def _checked(known: Any) -> Known:
    """An answer of the wrong type would make jobs look absent, and so count as gone."""
    whole = isinstance(known, Mapping) and all(
        isinstance(job_id, str) and isinstance(info, JobInfo) for job_id, info in known.items()
    )
    if not whole:
        raise TypeError(f"expected a mapping of job ids to JobInfo, not {known!r:.200}")
    return cast(Known, known)


def _of(ticket: Ticket, known: Known) -> JobInfo | None:
    """What is known of this very job: another one may have its id by now."""
    info = known.get(str(ticket.job_id))
    return info if info is None or info.token in (None, ticket.label) else None
