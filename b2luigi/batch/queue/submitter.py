"""Submits jobs: groups those that may go together, runs a few commands at a time, and reads what became of each job."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.command import Running
from b2luigi.batch.queue.outage import Outage
from b2luigi.batch.queue.ticket import Ticket, TicketState
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Answer, Command, Submitted, TryLater, Unsure

AT_ONCE = 4
"""Submit commands that run at the same time."""
LATER_FIRST, LATER_MOST = 5.0, 60.0
"""Seconds to wait after "try later", the first time and at most."""
GROW_AFTER = 60.0
"""Seconds without "try later" after which submissions may hold twice as many jobs again."""
NOT_ACCEPTED = "%s is not accepting jobs; retrying in %.0f s. Output: %s"
NOT_RECORDED = "Cannot write the records of %s jobs, so none is submitted; retrying in %.0f s: %s"


@dataclass(eq=False)
class _UnderWay:
    running: Running
    tickets: list[Ticket]


class Submitter:
    """The jobs that were handed in and are not in the batch system yet."""

    def __init__(self, system: BatchSystem, start: Callable[[Command], Running], clock: Callable[[], float]) -> None:
        self._system, self._start, self._clock = system, start, clock
        self._lanes: dict[Hashable, deque[Ticket]] = {}
        self._most = system.bulk
        self._under_way: list[_UnderWay] = []
        self._tries = Backoff(clock, first=LATER_FIRST, most=LATER_MOST)
        self._grow_at = 0.0
        self._refusals = Outage(f"{system.name} accepts jobs", clock)
        self._disk = Outage(f"Records of {system.name} jobs can be written", clock)

    def add(self, ticket: Ticket) -> None:
        """Hands a job in; those that may go together wait in one lane."""
        self._lanes.setdefault(self._kind(ticket), deque()).append(ticket)

    def drop_waiting(self) -> None:
        """Forgets the jobs for which no command was started yet."""
        self._lanes.clear()

    @property
    def under_way(self) -> list[Ticket]:
        """Jobs whose submit command is running."""
        return [ticket for one in self._under_way for ticket in one.tickets]

    def send(self, blocked: Collection[Path] = ()) -> list[tuple[Ticket, str]]:
        """Submits what waits, except for job scripts that are `blocked`.

        Returns the jobs for which the language could not even make a command, and why.
        """
        failed: list[tuple[Ticket, str]] = []
        for kind in list(self._lanes) if self._may_send() else ():
            if not self._may_send():
                break
            self._lanes[kind], held = self._without(blocked, self._lanes[kind])
            while self._lanes[kind] and self._may_send():
                failed += self._send(self._next_group(self._lanes[kind]))
            self._lanes[kind].extend(held)
            if not self._lanes[kind]:
                del self._lanes[kind]
        return failed

    def _may_send(self) -> bool:
        return len(self._under_way) < AT_ONCE and self._tries.is_due

    def read(self) -> Iterator[tuple[Ticket, Submitted]]:
        """What became of the jobs whose command ended; "try later" is handled here."""
        for one in list(self._under_way):
            answer = one.running.poll()
            if answer is not None:
                self._under_way.remove(one)
                yield from self._sorted_out(one.tickets, self._results(one.tickets, answer))

    def _without(self, blocked: Collection[Path], lane: deque[Ticket]) -> tuple[deque[Ticket], list[Ticket]]:
        if not blocked:
            return lane, []
        held = [ticket for ticket in lane if ticket.spec.script in blocked]
        return deque(ticket for ticket in lane if ticket.spec.script not in blocked), held

    def _next_group(self, lane: deque[Ticket]) -> list[Ticket]:
        group: list[Ticket] = []
        while lane and len(group) < self._most:
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
            if not self._record(tickets, labels):
                return []
            running = self._start(command)
        except Exception as error:  # a language of somebody else's: its error is its own jobs' alone
            return [(ticket, f"{type(error).__name__}: {error}") for ticket in tickets]
        self._under_way.append(_UnderWay(running, tickets))
        return []

    def _record(self, tickets: list[Ticket], labels: Sequence[str]) -> bool:
        """How to find the jobs again has to be on disk before they can be anywhere; False if it cannot be written."""
        for ticket, label in zip(tickets, labels, strict=True):
            ticket.label = label
            ticket.move(TicketState.sent)
            try:
                if ticket.before_sending is not None:
                    ticket.before_sending(ticket)
            except OSError as error:
                self._postpone(tickets, self._disk, NOT_RECORDED, str(error))
                return False
        self._disk.end()
        return True

    def _results(self, tickets: list[Ticket], answer: Answer) -> Sequence[Submitted]:
        if not answer.started:
            return [TryLater(answer.words)] * len(tickets)
        read = self._system.parse_submit if answer.is_complete else self._system.parse_stopped_submit
        try:
            results = list(read(answer, [ticket.spec for ticket in tickets]))
        except Exception as error:
            return [Unsure(f"{type(error).__name__}: {error}")] * len(tickets)
        whole = len(results) == len(tickets) and all(isinstance(result, Submitted) for result in results)
        return results if whole else [Unsure(answer.words)] * len(tickets)

    def _sorted_out(self, tickets: list[Ticket], results: Sequence[Submitted]) -> Iterator[tuple[Ticket, Submitted]]:
        pairs = zip(tickets, results, strict=True)
        later = {ticket: result.text for ticket, result in pairs if isinstance(result, TryLater)}
        if later:
            self._postpone(list(later), self._refusals, NOT_ACCEPTED, next(iter(later.values())))
        else:
            self._tries.reset()
            self._refusals.end()
            self._grow()
        yield from (pair for pair in zip(tickets, results, strict=True) if pair[0] not in later)

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
            self._most, self._grow_at = min(2 * self._most, self._system.bulk), self._clock() + GROW_AFTER

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
