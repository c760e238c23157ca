"""Submits jobs: groups those that may go together, runs a few commands at a time, and reads what became of each job."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.command import fits
from b2luigi.batch.queue.outage import Outage
from b2luigi.batch.queue.synced import Recorded, StartRecorded, Step
from b2luigi.batch.queue.ticket import Ticket, TicketState, counted
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import (
    Accepted,
    Answer,
    JobSpec,
    Refused,
    Submitted,
    TooMany,
    TryLater,
    Unsure,
)

logger = logging.getLogger("luigi-interface.b2luigi")

AT_ONCE = 4
"""Submit commands that run at the same time."""
LATER_FIRST, LATER_MOST = 5.0, 60.0
"""Seconds to wait after "try later", the first time and at most."""
GROW_AFTER = 60.0
"""Seconds without "try later" after which submissions may hold twice as many jobs again."""
MANY, GATHER = 100, 5.0
"""Jobs that need not wait for others although more are to come, and seconds for which fewer of them do at most."""
ENOUGH = 3
"""So many jobs of one kind, refused one by one while none was accepted, speak for all the others of their group."""
NOT_ACCEPTED = "%s is not accepting jobs; retrying in %.0f s. Output: %s"
NOT_NOW = "%s did not accept %s (try %d of %d). Output: %s"
NOT_RECORDED = "Cannot write the records of %s jobs, so none is submitted; retrying in %.0f s: %s"


@dataclass(eq=False)
class _UnderWay:
    running: Recorded
    tickets: list[Ticket]


@dataclass(eq=False)
class _Suspects:
    """A group that was refused as a whole, in parts: one job alone may be to blame."""

    tickets: list[Ticket]
    words: str
    was_heard: bool = False
    """One of its jobs was submitted alone, after others of its kind were refused."""


@dataclass
class _Kind:
    """What is known of jobs that may be submitted together."""

    most: int
    """Jobs in the next submission, if the batch system takes so many."""
    refused: int = 0
    """Jobs that were refused one by one, since the last one was accepted."""
    suspects: deque[_Suspects] = field(default_factory=deque)
    on_trial: bool = False
    """Some of the suspects are being submitted: one group after the other, since each may speak for the rest."""


class Submitter:
    """The jobs that were handed in and are not in the batch system yet.

    `start` runs a command once the records of its jobs are written.
    `server_of` names the batch server to which a job goes, or "" while nobody knows.
    """

    def __init__(
        self,
        system: BatchSystem,
        start: StartRecorded,
        clock: Callable[[], float],
        server_of: Callable[[JobSpec], str] = lambda spec: "",
        may_pass: Callable[[str], bool] = lambda text: False,
    ) -> None:
        self._system, self._start, self._clock, self._server_of = system, start, clock, server_of
        self._may_pass = may_pass
        self._lanes: dict[Hashable, deque[Ticket]] = {}
        self._kinds: dict[Hashable, _Kind] = {}
        self._most = self._bulk = system.bulk
        self._notices: set[str] = set()
        self._under_way: list[_UnderWay] = []
        self._tries = Backoff(clock, first=LATER_FIRST, most=LATER_MOST)
        self._grow_at = 0.0
        self._all_at = float("-inf")
        self._refusals = Outage(f"{system.name} accepts jobs", clock)
        self._disk = Outage(f"Records of {system.name} jobs can be written", clock)

    def add(self, ticket: Ticket) -> None:
        """Hands a job in; those that may go together wait in one lane."""
        self._lanes.setdefault(self._kind(ticket), deque()).append(ticket)

    def drop_waiting(self) -> None:
        """Forgets the jobs for which no command was started yet."""
        self._lanes.clear()
        for kind in self._kinds.values():
            kind.suspects.clear()

    @property
    def waiting(self) -> list[Ticket]:
        """Jobs for which no command was sent yet."""
        return [ticket for lane in self._lanes.values() for ticket in lane]

    @property
    def has_work(self) -> bool:
        """There are jobs that were not accepted yet."""
        return bool(self._lanes or self._under_way or any(kind.suspects for kind in self._kinds.values()))

    @property
    def under_way(self) -> list[Ticket]:
        """Jobs whose submit command is running."""
        return [ticket for one in self._under_way for ticket in one.tickets]

    def send(self, blocked: Collection[Path] = (), more_to_come: bool = False) -> list[tuple[Ticket, str]]:
        """Submits what waits, except for job scripts that are `blocked`; see `Queue.step` for `more_to_come`.

        Returns the jobs for which the language could not even make a command, and why.
        """
        failed: list[tuple[Ticket, str]] = []
        for known in list(self._kinds.values()):
            while known.suspects and not known.on_trial and self._may_send():
                failed += self._send_suspects(known, known.suspects.popleft())
        for kind in self._due(more_to_come):
            if not self._may_send():
                break
            self._lanes[kind], held = self._without(blocked, self._lanes[kind])
            while self._lanes[kind] and self._may_send():
                failed += self._send(self._next_group(kind, self._lanes[kind]))
            self._lanes[kind].extend(held)
            if not self._lanes[kind]:
                del self._lanes[kind]
        return failed

    def _due(self, more_to_come: bool) -> list[Hashable]:
        """The kinds of jobs to submit now: if more are to come, many of a kind, or all after some seconds."""
        if not self._may_send() or not self._lanes:
            return []
        if more_to_come and self._clock() < self._all_at:
            return [kind for kind, lane in self._lanes.items() if len(lane) >= min(MANY, self._most)]
        self._all_at = self._clock() + GATHER
        return list(self._lanes)

    def _may_send(self) -> bool:
        return len(self._under_way) < AT_ONCE and self._tries.is_due

    def read(self) -> Iterator[tuple[Ticket, Submitted]]:
        """What became of the jobs whose command ended; "try later" is handled here."""
        for one in list(self._under_way):
            answer = one.running.poll()
            if answer is None:
                continue
            self._under_way.remove(one)
            if one.running.problem is not None:
                yield from self._not_recorded(one.tickets, one.running.problem)
            else:
                self._disk.end()
                yield from self._sorted_out(one.tickets, self._results(one.tickets, answer), answer)

    def _without(self, blocked: Collection[Path], lane: deque[Ticket]) -> tuple[deque[Ticket], list[Ticket]]:
        if not blocked:
            return lane, []
        held = [ticket for ticket in lane if ticket.spec.script in blocked]
        return deque(ticket for ticket in lane if ticket.spec.script not in blocked), held

    def _send_suspects(self, known: _Kind, suspects: _Suspects) -> list[tuple[Ticket, str]]:
        tickets = [ticket for ticket in suspects.tickets if not ticket.cancelled]
        if known.refused >= ENOUGH and suspects.was_heard:
            return [(ticket, suspects.words) for ticket in tickets]
        if known.refused >= ENOUGH and len(tickets) > 1:
            # Those that were refused may be neighbours: one from elsewhere speaks for this group.
            known.suspects.appendleft(_Suspects(tickets[:-1], suspects.words, was_heard=True))
            tickets = tickets[-1:]
        known.on_trial = bool(tickets)
        failed = self._send(tickets)
        known.on_trial = known.on_trial and not failed
        return failed

    def _next_group(self, kind: Hashable, lane: deque[Ticket]) -> list[Ticket]:
        group: list[Ticket] = []
        most = min(self._most, self._known(kind).most)
        while lane and len(group) < most:
            ticket = lane.popleft()
            if not ticket.cancelled:
                group.append(ticket)
        return group

    def _send(self, tickets: list[Ticket]) -> list[tuple[Ticket, str]]:
        if not tickets:
            return []
        specs = [ticket.spec for ticket in tickets]
        try:
            command, labels = self._system.submit(specs), self._system.labels(specs)
            if len(tickets) > 1 and not fits(command):
                self._too_many(tickets)
                return []
            running = self._start(command, list(self._records(tickets, labels)))
        except Exception as error:  # a language of somebody else's: its error is its own jobs' alone
            return [(ticket, f"{type(error).__name__}: {error}") for ticket in tickets]
        self._under_way.append(_UnderWay(running, tickets))
        return []

    def _records(self, tickets: list[Ticket], labels: Sequence[str]) -> Iterator[Step]:
        """What writes them: how to find the jobs again has to be on disk before they can be anywhere."""
        now = self._clock()
        for ticket, label in zip(tickets, labels, strict=True):
            ticket.label, ticket.submitted_at = label, now
            ticket.server = self._server_of(ticket.spec)
            ticket.move(TicketState.sent)
            if ticket.before_sending is not None:
                yield partial(ticket.before_sending, ticket)

    def _not_recorded(self, tickets: list[Ticket], problem: Exception) -> Iterator[tuple[Ticket, Submitted]]:
        if isinstance(problem, OSError):
            self._postpone(tickets, self._disk, NOT_RECORDED, str(problem))
            return
        for ticket in tickets:
            yield ticket, Refused(f"{type(problem).__name__}: {problem}")

    def _results(self, tickets: list[Ticket], answer: Answer) -> Sequence[Submitted]:
        if not answer.started:
            return [TryLater(answer.words)] * len(tickets)
        read = self._system.parse_submit if answer.is_complete else self._system.parse_stopped_submit
        try:
            results = [self._reread(one) for one in read(answer, [ticket.spec for ticket in tickets])]
        except Exception as error:
            return [Unsure(f"{type(error).__name__}: {error}")] * len(tickets)
        whole = len(results) == len(tickets) and all(isinstance(result, Submitted) for result in results)
        return results if whole else [Unsure(answer.words)] * len(tickets)

    def _reread(self, result: Submitted) -> Submitted:
        """A refusal for a reason of which the language knows nothing, and that passes."""
        return TryLater(result.text) if isinstance(result, Refused) and self._may_pass(result.text) else result

    def _sorted_out(
        self, tickets: list[Ticket], results: Sequence[Submitted], answer: Answer
    ) -> Iterator[tuple[Ticket, Submitted]]:
        """What is final; all else is submitted again, at once or later."""
        known = self._known(self._kind(tickets[0]))
        known.on_trial = False
        match results[0]:
            case TooMany(text) if len(tickets) > 1:
                self._too_many(tickets, text)
                return
            case Refused(text) if len(tickets) > 1 and all(isinstance(result, Refused) for result in results):
                self._suspect(known, tickets, text)
                return
            case Refused():
                known.refused += 1
            case Unsure():
                known.most = 1  # one of them may be to blame: they go one by one
        if any(isinstance(result, Accepted) for result in results):
            known.refused, known.most = 0, min(self._system.bulk, 2 * max(known.most, len(tickets)))
            self._report_notices(answer)
        later = dict(self._later(tickets, results))
        if later:
            self._postpone(list(later), self._refusals, NOT_ACCEPTED, next(iter(later.values())))
        else:
            self._tries.reset()
            self._refusals.end()
            self._grow()
        for ticket, result in zip(tickets, results, strict=True):
            if ticket not in later:
                yield ticket, Refused(result.text) if isinstance(result, (TooMany, TryLater)) else result

    def _later(self, tickets: list[Ticket], results: Sequence[Submitted]) -> Iterator[tuple[Ticket, str]]:
        """The jobs to submit again later, and why; not for ever where the text leaves open whether that helps."""
        reported: set[str] = set()
        for ticket, result in zip(tickets, results, strict=True):
            match result:
                case TryLater(text, None):
                    yield ticket, text
                case TryLater(text, int(tries)):
                    ticket.tries += 1
                    if text not in reported:
                        reported.add(text)
                        name, jobs = self._system.name, counted(len(tickets))
                        logger.warning(NOT_NOW, name, jobs, ticket.tries, tries, text)
                    if ticket.tries < tries:
                        yield ticket, text

    def _report_notices(self, answer: Answer) -> None:
        """What the batch system says although it accepted the jobs, once for each text."""
        for text in self._system.notices(answer):
            if text not in self._notices:
                self._notices.add(text)
                logger.warning("%s accepted jobs with this notice: %s", self._system.name, text)

    def _too_many(self, tickets: list[Ticket], text: str = "") -> None:
        """The site, or this machine, accepts fewer jobs at once: that limit stays, and nothing waits for it."""
        self._bulk = self._most = min(self._bulk, max(1, len(tickets) // 2))
        logger.info("%s accepts fewer than %d jobs at once. %s", self._system.name, len(tickets), text)
        lane = self._lanes.setdefault(self._kind(tickets[0]), deque())
        for ticket in reversed(tickets):
            ticket.move(TicketState.waiting)
            lane.appendleft(ticket)

    def _suspect(self, known: _Kind, tickets: list[Ticket], words: str) -> None:
        """A group that was refused is submitted in two halves, so that no job fails for another one."""
        half = len(tickets) // 2
        for ticket in tickets:
            ticket.move(TicketState.waiting)
        known.suspects.extendleft([_Suspects(tickets[half:], words), _Suspects(tickets[:half], words)])

    def _known(self, kind: Hashable) -> _Kind:
        return self._kinds.setdefault(kind, _Kind(self._system.bulk))

    def _postpone(self, tickets: list[Ticket], outage: Outage, what: str, why: str) -> None:
        self._shrink(len(tickets))
        if self._tries.is_due:  # or else another command that was running has just put it off
            wait = self._tries.put_off()
            outage.begin(what, self._system.name, wait, why)
        for ticket in tickets:
            ticket.move(TicketState.waiting)
            self._add_behind(ticket)

    def _grow(self) -> None:
        if self._clock() >= self._grow_at:
            self._most, self._grow_at = min(2 * self._most, self._bulk), self._clock() + GROW_AFTER

    def _shrink(self, jobs: int) -> None:
        # A limit of the site may be smaller than this one submission: the next is half as large.
        if jobs > 1:
            self._most = min(self._most, jobs // 2)
        self._grow_at = self._clock() + GROW_AFTER

    def _add_behind(self, ticket: Ticket) -> None:
        """Behind all others, which the limit may not concern."""
        if not ticket.cancelled:
            kind = self._kind(ticket)
            lane = self._lanes.pop(kind, None) or deque()
            lane.append(ticket)
            self._lanes[kind] = lane

    def _kind(self, ticket: Ticket) -> Hashable:
        return self._system.kind(ticket.spec) if self._system.bulk > 1 else None
