"""Asks a batch system about jobs, one command at a time and beside the loop, and learns from the answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from b2luigi.batch.command import Running
from b2luigi.batch.model import Answer, AnswerError, Command, JobInfo
from b2luigi.batch.system import BatchSystem
from b2luigi.batch.ticket import Ticket, ids

logger = logging.getLogger("luigi-interface.b2luigi")

FIRST, GROWTH, SUSPICION = 10.0, 1.5, 1.0
"""Seconds from a submission to the next query; how the wait grows; the wait when a job looks as if it ended."""
SEARCHES, SEARCH_WAIT = 3, 5.0
"""How often, and how many seconds apart, a job that may have been submitted is looked for."""

Known = Mapping[str, JobInfo]


@dataclass
class _Asked:
    running: Running
    tickets: list[Ticket]
    read: Callable[[Answer], Known]
    learn: Callable[[list[Ticket], Known], list[Ticket]]


class Questions:
    """When to ask what: jobs of doubtful submission, the history of jobs that left, who is still there."""

    def __init__(
        self,
        system: BatchSystem,
        start: Callable[[Command], Running],
        clock: Callable[[], float],
        poll_interval: float,
    ) -> None:
        self._system, self._start, self._clock, self._most = system, start, clock, poll_interval
        self._gap = min(FIRST, poll_interval)
        self._next_poll = 0.0
        self._next_search, self._searches = 0.0, 0
        self._asked: _Asked | None = None
        self._silent_since: float | None = None
        self.live: dict[str, Ticket] = {}
        """By token: the jobs that are in the batch system as far as we know."""
        self.unsure: list[Ticket] = []
        """Jobs that may or may not have been submitted."""
        self._left: list[Ticket] = []

    def add(self, ticket: Ticket) -> None:
        """A job was accepted. A due query stays due: while jobs trickle in, it would otherwise never be asked."""
        now = self._clock()
        if not self.live:
            self._next_poll = now + self._most
        self.live[ticket.spec.token] = ticket
        self._gap = min(FIRST, self._most)
        self._next_poll = min(self._next_poll, now + self._gap)

    def doubt(self, ticket: Ticket) -> None:
        """A job may or may not have been submitted: it is looked for by name."""
        self.unsure.append(ticket)
        self._searches, self._next_search = 0, self._clock() + min(SUSPICION, self._most)

    def hurry(self) -> None:
        """Something ended that should not have: ask soon."""
        self._next_poll = min(self._next_poll, self._clock() + min(SUSPICION, self._most))

    def forget(self, ticket: Ticket) -> None:
        """The job was judged."""
        self.live.pop(ticket.spec.token, None)
        if ticket in self.unsure:
            self.unsure.remove(ticket)

    def ask(self) -> None:
        """Starts the most urgent command that is due, if none is under way."""
        now = self._clock()
        if self._asked is not None:
            return
        if self.unsure and now >= self._next_search:
            tickets = list(self.unsure)
            command = self._system.find([ticket.spec for ticket in tickets])
            self._begin(command, tickets, self._system.parse_query, self._found)
        elif self._left:
            self._ask_history()
        elif self.live and now >= self._next_poll:
            tickets = list(self.live.values())
            command = self._system.query(ids(tickets))
            self._begin(command, tickets, self._system.parse_query, self._answered)

    def read(self) -> list[Ticket]:
        """Learns from an answer, if there is one. Returns tickets with news: an id, a refusal, a state, gone."""
        asked = self._asked
        answer = asked.running.poll() if asked is not None else None
        if asked is None or answer is None:
            return []
        self._asked = None
        try:
            known = asked.read(answer)
        except Exception as error:  # AnswerError, or a bug in a language: neither may touch a job
            self._no_answer(answer.words if isinstance(error, AnswerError) else repr(error))
            return []
        self._answers_again()
        return asked.learn(asked.tickets, known)

    def _begin(
        self,
        command: Command,
        tickets: list[Ticket],
        read: Callable[[Answer], Known],
        learn: Callable[[list[Ticket], Known], list[Ticket]],
    ) -> None:
        self._asked = _Asked(self._start(command), tickets, read, learn)

    def _ask_history(self) -> None:
        tickets, self._left = self._left, []
        command = self._system.history(ids(tickets))
        if command is not None:
            self._begin(command, tickets, self._system.parse_history, self._remembered)

    # -- what the answers mean

    def _answered(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        news = [ticket for ticket in tickets if ticket.spec.token in self.live and self._told(ticket, known)]
        suspicious = any(ticket.absent and not ticket.gone for ticket in tickets)
        self._gap = min(self._most, self._gap * GROWTH)
        self._next_poll = self._clock() + (min(SUSPICION, self._gap) if suspicious else self._gap)
        return news

    def _told(self, ticket: Ticket, known: Known) -> bool:
        info = _of(ticket, known)
        if info is None:
            ticket.absent += 1
            if ticket.absent == 1:
                self._left.append(ticket)
            return ticket.gone
        changed, ticket.info, ticket.absent = info != ticket.info, info, 0
        return changed

    def _remembered(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        news = []
        for ticket in tickets:
            info = _of(ticket, known)
            if info is not None and ticket.absent:
                ticket.info = info
                news.append(ticket)
        return news

    def _found(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        self._searches, self._next_search = self._searches + 1, self._clock() + SEARCH_WAIT
        job_ids = {info.token: job_id for job_id, info in known.items()}
        found = [ticket for ticket in tickets if ticket in self.unsure and ticket.spec.token in job_ids]
        for ticket in found:
            self.unsure.remove(ticket)
            ticket.job_id = job_ids[ticket.spec.token]
            self.add(ticket)
        return found if self._searches < SEARCHES else [*found, *self._give_up()]

    def _give_up(self) -> list[Ticket]:
        unfound, self.unsure = self.unsure, []
        for ticket in unfound:
            ticket.refused = f"{ticket.refused}\n(no job of this name was found in it, either)"
        return unfound

    # -- silence

    def _no_answer(self, words: str) -> None:
        """Changes nothing but the wait until it is asked again."""
        now = self._clock()
        if self._silent_since is None:
            self._silent_since = now
            name = self._system.name
            logger.warning("%s does not answer; its jobs go on, it is asked again. It said: %s", name, words)
        self._gap = min(max(self._gap, FIRST) * 2, max(self._most, FIRST))
        self._next_poll = self._next_search = now + min(self._gap, self._most)

    def _answers_again(self) -> None:
        if self._silent_since is not None:
            silence = self._clock() - self._silent_since
            logger.warning("%s answers again after %.0f s.", self._system.name, silence)
            self._silent_since = None


def _of(ticket: Ticket, known: Known) -> JobInfo | None:
    """What is known of this very job: an id may have been given to another one since."""
    info = known.get(str(ticket.job_id))
    return info if info is None or info.token in (None, ticket.spec.token) else None
