"""Asks a batch system about jobs, with one command at a time that blocks nothing, and learns from the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.command import Answered, Running, fits
from b2luigi.batch.queue.mass_disappearance import DOUBT, MassDisappearance
from b2luigi.batch.queue.outage import Outage
from b2luigi.batch.queue.ticket import ABSENCES, Ticket, TicketState, ids
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.listings import Listing
from b2luigi.batch.systems.model import Answer, AnswerError, Command, JobInfo

QUERY, FIND, HISTORY = "status query", "job search", "history query"

EARLY = 4.0
"""Seconds from the first submission after a pause to the first query, which shows what began at once."""
FIRST, SUSPICION = 10.0, 1.0
"""Seconds from a submission to the next query, and when a job looks as if it had ended."""
GROWTH, FAILURE_GROWTH = 1.5, 2.0
"""How the wait for the next query grows after an answer, and after a failure."""
SECOND_LOOK = 10.0
"""Seconds until the next query if an answer lacked a job: batch systems answer from snapshots that are seconds old
(LSF: 5 s), and two answers from one snapshot count as one."""
SHOWN = 150
"""Characters that are shown of a line that cannot be read."""
SEARCHES, SEARCH_WAIT = 3, 5.0
"""How often, and how many seconds apart, a job that may have been submitted is searched for."""

LISTING_AGE = 10.0
"""Seconds for which a listing from before the first question may answer it."""

Known = Mapping[str, JobInfo]


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
    learn: Callable[[list[Ticket], Known], list[Ticket]]


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
        self._accept, self._first_answer = accept, first_answer
        self._disappearance = MassDisappearance(self._title, clock)
        self._unread = Outage(f"All of what {self._title} answers can be read", clock)
        self._hidden = Outage(f"{self._title} lists the jobs that its history calls alive", clock)
        self._elsewhere = Outage(f"{self._title} lists the jobs of earlier runs", clock)
        self._polls = Backoff(clock, first=FIRST, most=poll_interval, growth=GROWTH)
        self._searches = Backoff(clock, first=SEARCH_WAIT, most=max(poll_interval, SEARCH_WAIT))
        self._ties = Backoff(clock, first=SEARCH_WAIT, most=max(poll_interval, SEARCH_WAIT))
        self._asked: tuple[_Question, Running] | None = None
        self._outages = self._no_outages()
        if first_answer is not None and first_answer.answer is None:
            self._outages[QUERY].take_over(first_answer.at)
        self._rest: list[_Question] = []
        """Parts of a question about too many jobs for one command, to be asked next."""
        self._left: list[Ticket] = []
        self._given_up: list[Ticket] = []
        self.live: dict[str, Ticket] = {}
        """By token: the jobs that are in the batch system, as far as we know."""
        self._to_tie: dict[str, Ticket] = {}
        self.unsure: dict[str, Ticket] = {}
        """By token: the jobs that may or may not have been submitted."""
        self.lost: list[Ticket] = []
        """Jobs in doubt that were to be cancelled and were not found."""

    def add(self, ticket: Ticket) -> None:
        """A job was accepted. A query that is due stays due, or it would never be sent while jobs trickle in."""
        if not self.live:
            self._polls.due_in(self._most)
        self._polls.restart()
        if not self.live:
            self._polls.due_within(EARLY)
        self.live[ticket.spec.token] = ticket

    def doubt(self, ticket: Ticket) -> None:
        """A job may or may not have been submitted: it is searched for by name, unless nobody waits for it."""
        if ticket.released and not ticket.cancelled:
            return
        if not self.unsure:
            self._searches.due_in(min(SUSPICION, self._most))
        self.unsure[ticket.spec.token] = ticket

    def tie(self, ticket: Ticket) -> None:
        """Searches for a job to see whether its number still has its label. If not, there is no such job any more."""
        if ticket.spec.token not in self._to_tie:
            if not self._to_tie:
                self._ties.reset()
            ticket.searches = 0
            self._to_tie[ticket.spec.token] = ticket

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
            else (lambda ticket: _of(ticket, known) is not None and not ticket.end_reported)
        )
        return (question, Answered(first.answer)) if all(map(is_listed, question.tickets)) else None

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
        if self._to_tie and self._ties.is_due:
            return self._compare()
        self._left = [ticket for ticket in self._left if ticket.spec.token in self.live]
        if self._left:
            return self._history()
        return self._query() if self.live and self._polls.is_due else None

    def _search(self) -> _Question:
        def command(tickets: list[Ticket]) -> Command:
            return self._system.find([ticket.spec for ticket in tickets])

        return _Question(FIND, list(self.unsure.values()), command, self._system.parse_query, self._found)

    def _compare(self) -> _Question:
        def command(tickets: list[Ticket]) -> Command:
            return self._system.find([ticket.spec for ticket in tickets])

        return _Question(FIND, list(self._to_tie.values()), command, self._system.parse_query, self._compared)

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
        self._warn_of_unread(known)
        live = [ticket for ticket in tickets if ticket.spec.token in self.live and not _is_unread(ticket, known)]
        doubtful = self._disappearance.is_doubtful(live, any(_of(ticket, known) for ticket in live))
        counts = [ticket for ticket in live if not doubtful or ticket.end_reported or not ticket.absent]
        newest = max((ticket.submitted_at for ticket in live if _of(ticket, known)), default=float("-inf"))
        news = [ticket for ticket in counts if self._update(ticket, known, newest)]
        suspicious = not doubtful and any(map(_is_suspicious, tickets))
        if not any(ticket.missed for ticket in live):
            self._hidden.end()
        self._polls.put_off()
        if suspicious:
            self._polls.due_within(SECOND_LOOK)
        return news

    def _update(self, ticket: Ticket, known: Known, newest: float) -> bool:
        info = _of(ticket, known)
        if info is None:
            return self._missed(ticket, newest)
        changed = info != ticket.info
        ticket.info, ticket.absent, ticket.answers, ticket.missed = info, 0, ticket.answers + 1, False
        if info.is_called(ticket.label):
            ticket.tied_at, ticket.may_be_elsewhere = self._clock(), False
        ticket.move(TicketState.queued)
        return changed

    def _missed(self, ticket: Ticket, newest: float) -> bool:
        """An answer lacks a job: it counts if it cannot be from the snapshot of the last one that did.

        `newest`: when the youngest of all jobs in the answer was submitted, which is how old the answer can be at most.
        """
        now = self._clock()
        if not ticket.missed or now >= ticket.absent_at + min(SECOND_LOOK, self._most):
            ticket.missed = True
            if self._may_be_older(newest, ticket):
                ticket.absent_at = now
                self._left.append(ticket)
                return False
        if not ticket.absent or now >= ticket.absent_at + min(SECOND_LOOK, self._most):
            ticket.absent, ticket.absent_at = ticket.absent + 1, now
            if ticket.absent == 1:
                self._left.append(ticket)
            if ticket.absent >= ABSENCES:
                self._not_there(ticket)
        return ticket.is_gone

    def _warn_of_unread(self, known: Known) -> None:
        """Shows a little of what cannot be read, once; jobs that may be in there do not count as absent."""
        unread = known.unread if isinstance(known, Listing) else ()
        if not unread:
            self._unread.end()
            return
        sample = "".join(f"\n    {line[:SHOWN]}" for line in "\n".join(unread).splitlines()[:2])
        self._unread.begin("%d parts of what %s answers cannot be read, such as:%s", len(unread), self._title, sample)

    def _may_be_older(self, newest: float, ticket: Ticket) -> bool:
        """An answer may be older than the job that it lacks: there are sites that cache answers for minutes."""
        never_listed = not ticket.answers and not ticket.end_reported
        return never_listed and ticket.submitted_at > newest and self._clock() < ticket.submitted_at + DOUBT

    def _not_there(self, ticket: Ticket) -> None:
        if ticket.may_be_elsewhere:
            self._warn_of_elsewhere(ticket)
        else:
            ticket.move(TicketState.gone)

    def _warn_of_elsewhere(self, ticket: Ticket) -> None:
        self._elsewhere.begin(
            "%s does not list job %s of an earlier run, and its record does not say which server has it. No task is "
            "submitted again whose job may be in another one. Run the script where the earlier run submitted its jobs, "
            "or with --fresh to submit such tasks anew.",
            *(self._title, ticket.job_id or ticket.spec.name),
        )

    def _remembered(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        news = []
        for ticket in tickets:
            info = _of(ticket, known, is_history=True)
            if info is not None and ticket.missed:
                ticket.info = info
                news.append(ticket)
                if not info.status.is_final:
                    self._lives(ticket, info)
        return news

    def _lives(self, ticket: Ticket, info: JobInfo) -> None:
        """One word that a job lives outweighs all answers that lack it."""
        ticket.absent, ticket.missed = 0, False
        ticket.move(TicketState.queued)
        self._hidden.begin(
            "%s does not list job %s, but its history says %s: the job counts as alive. Does something filter or cache "
            "the answers of the query command?",
            *(self._title, ticket.job_id, info.native),
        )

    def _found(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        self._searches.reset()
        self._searches.put_off()
        job_ids = {label: job_id for job_id, info in known.items() for label in info.labels}
        found = [ticket for ticket in tickets if ticket.spec.token in self.unsure and ticket.label in job_ids]
        for ticket in found:
            del self.unsure[ticket.spec.token]
            ticket.tied_at, ticket.may_be_elsewhere = self._clock(), False
            self._accept(ticket, job_ids[ticket.label])
        if not (isinstance(known, Listing) and known.may_have("")):
            self._not_found(tickets, "a search found no such job")
        return found

    def _compared(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        self._ties.put_off()
        for ticket in tickets:
            info = known.get(str(ticket.job_id))
            if info is not None and info.is_called(ticket.label):
                self._to_tie.pop(ticket.spec.token, None)
                ticket.tied_at = self._clock()
        self._not_tied(tickets)
        return []

    def _not_tied(self, tickets: list[Ticket]) -> None:
        """Whoever has these numbers, if anybody has: nothing proves that it is us."""
        for ticket in tickets:
            if ticket.spec.token in self._to_tie:
                ticket.searches += 1
                if ticket.searches >= SEARCHES:
                    del self._to_tie[ticket.spec.token]
                    ticket.move(TicketState.ended)

    def _not_found(self, tickets: list[Ticket], why: str) -> None:
        for ticket in tickets:
            if ticket.spec.token in self.unsure:
                ticket.searches += 1
                if ticket.searches >= SEARCHES and not self._has_begun(ticket):
                    del self.unsure[ticket.spec.token]
                    self._search_ended(ticket, why)
                    (self.lost if ticket.cancelled else self._given_up).append(ticket)

    def _search_ended(self, ticket: Ticket, why: str) -> None:
        if ticket.may_be_elsewhere:
            self._warn_of_elsewhere(ticket)
            ticket.move(TicketState.out_of_reach)
        else:
            ticket.move(TicketState.not_found, f"{ticket.reason}\n({why})")

    def _has_begun(self, ticket: Ticket) -> bool:
        """Its job script is at work already: the answers that lack it may be minutes old."""
        return self._clock() < ticket.submitted_at + DOUBT and ticket.spec.report.exists()

    # -- failures

    def _failed(self, question: _Question, error: Exception) -> None:
        """The language itself failed, so that waiting will not help: such a search counts as one that found nothing."""
        words = f"{type(error).__name__}: {error}"
        self._no_answer(question.what, words)
        if question.what == FIND:
            self._not_found(question.tickets, f"the job search failed: {words}")
            self._not_tied(question.tickets)

    def _no_answer(self, what: str, words: str) -> None:
        """Changes nothing but the wait until the next try."""
        name = self._title
        self._outages[what].begin("The %s of %s failed; its jobs keep running. Output: %s", what, name, words)
        if what == QUERY:
            self._polls.put_off(FAILURE_GROWTH)
        elif what == FIND:
            self._searches.put_off()
            self._ties.put_off()

    def _no_outages(self) -> Mapping[str, Outage]:
        name = self._title
        return {what: Outage(f"The {what} of {name} works", self._clock) for what in (QUERY, FIND, HISTORY)}


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


def _of(ticket: Ticket, known: Known, *, is_history: bool = False) -> JobInfo | None:
    """What is known of this very job: another one may have its id by now, or have had it in another batch server.

    Labels may be rewritten: the id of a job that this run submitted is proof as long as it is listed without a gap.
    """
    info = known.get(str(ticket.job_id))
    if info is None or info.is_called(ticket.label):
        return info
    unlabelled = not info.labels and not ticket.may_be_elsewhere
    by_number = ticket.is_own and (is_history or not ticket.absent)
    return info if unlabelled or by_number else None


def _is_unread(ticket: Ticket, known: Known) -> bool:
    """It is not in what could be read, and may be in the rest."""
    job_id = str(ticket.job_id)
    return isinstance(known, Listing) and known.may_have(job_id) and job_id not in known


def _is_suspicious(ticket: Ticket) -> bool:
    """It is worth a second look soon."""
    return bool(ticket.absent) and not (ticket.is_gone or ticket.may_be_elsewhere)
