"""JobQueue: one live batch system, advanced a little at each turn of the loop, which it never blocks."""

from __future__ import annotations

import functools
import logging
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.queue.command import Running, start
from b2luigi.batch.queue.outage import Outage
from b2luigi.batch.queue.poller import FirstAnswer
from b2luigi.batch.queue.server import Server
from b2luigi.batch.queue.strays import Census
from b2luigi.batch.queue.submitter import Submitter
from b2luigi.batch.queue.synced import start_recorded, start_synced
from b2luigi.batch.queue.ticket import Ticket, TicketState, counted, never
from b2luigi.batch.systems.base import BatchSystem, Setting
from b2luigi.batch.systems.model import Accepted, Command, JobSpec, Refused, Requested, Submitted

logger = logging.getLogger("luigi-interface.b2luigi")

IDENTITY_WAIT = 5.0
"""Seconds that the first submission waits until it is known which batch server the commands reach."""
NOT_HERE = (
    "%s of an earlier run: submitted on %s to %s, but the commands of this machine reach %s%s. The tasks wait for "
    "these jobs, and none is submitted again. To follow or cancel them, log in to %s and run the script there; with "
    "--fresh their tasks are resubmitted from here."
)


class JobQueue:
    """The jobs of this run in one batch system, in whichever of its servers they are.

    `start` runs commands, `clock` gives seconds, `sleep` waits for some: tests replace them.
    `poll_interval`: seconds, the longest wait between two queries. `first_answer`: what the system answered before.
    `sync`: brings to disk, for good, the records of jobs that are about to be submitted. `known`: the labels of jobs of
    other runs; without it, nobody looks for jobs without a record.
    """

    def __init__(
        self,
        system: BatchSystem,
        *,
        start: Callable[[Command], Running] = start,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        poll_interval: float = 60.0,
        first_answer: FirstAnswer | None = None,
        sync: Callable[[], None] | None = None,
        known: Callable[[], set[str]] | None = None,
        may_pass: Callable[[str], bool] = lambda text: False,
    ) -> None:
        self.name, self.carries_files = system.name, system.carries_files
        self._system, self._clock, self._sleep = system, clock, sleep
        self._server = functools.partial(
            Server, start=start, clock=clock, poll_interval=poll_interval, hand_over=self._hand_over
        )
        self._here = self._server(system, first_answer=first_answer)
        self._others: dict[str, Server] = {}
        """By identity: servers that are not the one of this machine, and can be reached."""
        submit = start_synced(start, sync) if sync is not None else start_recorded(start)
        self._submitter = Submitter(system, submit, clock, self._server_of, may_pass)
        self._census = Census(system, start, clock, known) if known is not None else None
        self._labels: set[str] = set()
        self._placing: dict[Ticket, str] = {}
        """Jobs of earlier runs of which it is not known whether their server answers, and where they were submitted."""
        self._reported: dict[str, Outage] = {}
        self._asked_at: float | None = None
        self._held: set[Path] = set()

    shares_jobs, slots = False, None

    @property
    def leaving(self) -> set[Path]:
        """The job scripts of jobs that may be at work although nobody wants them any more."""
        unplaced = (ticket for ticket in self._placing if ticket.cancelled)
        return {
            ticket.spec.script for ticket in (*unplaced, *(one for server in self._servers for one in server.leaving))
        }

    def hold(self, scripts: set[Path]) -> None:
        """Starts none of these job scripts until it is called again: something else may be at work on their tasks."""
        self._held = scripts

    def hear(self, markers: Mapping[str, Inbox]) -> list[Ticket]:
        """A marker concerns the job that left it only."""
        return []

    def learn(self, family: str, seconds: float) -> None:
        """It makes no difference here."""

    def options(self, setting: Setting) -> Mapping[str, Any]:
        """The settings of one task that this system cares about. Raises ValueError, naming the setting."""
        return self._system.options(setting)

    def _requested(self, spec: JobSpec) -> Requested:
        try:
            return self._system.requested(spec.options)
        except Exception:  # a language of somebody else's
            logger.debug("What %s asks for is not known.", spec.name, exc_info=True)
            return Requested()

    def check(self, spec: JobSpec) -> None:
        """Raises ValueError for a job this system could not carry as it is."""
        self._system.check(spec)

    def submit(
        self, spec: JobSpec, before_sending: Callable[[Ticket], None] | None = None, share: Any = None
    ) -> Ticket:
        """Hands a job in; it is sent at the next `step`, together with others of equal options."""
        ticket = Ticket(spec, before_sending=before_sending, is_own=True, requested=self._requested(spec))
        self._submitter.add(ticket)
        if self._asked_at is None:  # so that the answer is there when the first jobs are to be sent
            self._identify()
        return ticket

    def attach(self, spec: JobSpec, facts: Mapping[str, Any]) -> Ticket:
        """Follows a job of another run, known by its id, or to be searched for by its label.

        Its record says which batch server has it. If that is not the one of this machine, it is asked there.
        """
        server, job_id = facts.get("server", ""), str(facts.get("job_id") or "")
        ticket = Ticket(spec, label=str(facts.get("mark") or ""), server=str(server or ""))
        self._labels.add(ticket.label)
        if re.fullmatch(r"[0-9A-Za-z][\w.+\[\]-]*", job_id):  # it becomes a word of commands
            ticket.job_id = job_id
        elif server is None:
            ticket.move(TicketState.not_found, "its run ended before it was submitted")
            return ticket
        ticket.submitted_at = self._clock() - _age(facts)
        ticket.move(TicketState.placing)
        self._placing[ticket] = str(facts.get("submit_host") or "")
        self._place()
        return ticket

    def step(self, more_to_come: bool = False) -> list[Ticket]:
        """Advances everything a little without waiting for anything; returns the tickets with news.

        `more_to_come`: more jobs are being prepared, so that a few may wait for others.
        """
        news = self._identify() + self._place()
        news += self._read_submissions()
        for server in self._servers:
            news += server.poller.read()
            server.canceller.step()
        if self._may_send():
            # A new attempt waits until there is no job of the one before: it was cancelled, or searched for in vain.
            blocked = self.leaving | self._held
            if self._census is not None:
                ours = self._labels | {ticket.label for ticket in self._submitter.under_way}
                blocked |= self._census.blocked(self._submitter.waiting, ours)
            news += [self._refused(ticket, text) for ticket, text in self._submitter.send(blocked, more_to_come)]
        for server in self._servers:
            server.poller.ask()
            server.analyst.step(server.poller.live.values())
        return news

    def hurry(self, ticket: Ticket) -> None:
        """Queries this job soon: it looks as if it had ended."""
        ticket.end_reported = True
        self._holder(ticket).poller.hurry()

    def calm(self, ticket: Ticket) -> None:
        """The job lives on, although it looked as if it had ended."""
        ticket.end_reported = False

    def cancel(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        """Removes jobs from the batch system; those not sent yet are just dropped.

        `soon`: False for jobs that most probably ended by themselves, and only must not run again: they may wait
        some seconds, until there are more of them.
        """
        for ticket in tickets:
            if not ticket.cancelled:
                ticket.cancelled = True
                if ticket.job_id is not None and ticket not in self._placing:
                    self._holder(ticket).canceller.add([ticket], soon)

    def cancel_then(self, ticket: Ticket, when_over: Callable[[], None], soon: bool = True) -> None:
        """Cancels a job, and calls `when_over` as soon as there is no such job any more: now, if there is none.

        Also now if its server does not answer from here: then the job cannot be cancelled, and that is logged.
        """
        if ticket.is_over:
            when_over()
            return
        ticket.when_over = when_over
        if ticket.state is TicketState.out_of_reach:
            host = self._placing.pop(ticket, "") or "the host of the earlier run"
            what = ticket.job_id or ticket.spec.name
            logger.error("%s job %s is not cancelled; please cancel it on %s.", self.name, what, host)
            ticket.move(TicketState.ended)
        else:
            self.cancel([ticket], soon)

    def release(self, ticket: Ticket) -> None:
        """Forgets a job that was judged; if it was cancelled before its id is known, that is still done."""
        ticket.released = True
        if not ticket.cancelled:
            self._placing.pop(ticket, None)
        self._holder(ticket).poller.forget(ticket)

    def detach(self, ticket: Ticket) -> None:
        """Leaves a job to another run: there will be no news of it here, and it is not cancelled."""
        self.release(ticket)

    def leave(self, patience: float) -> None:
        """Leaves the jobs where they are; waits, at most `patience` seconds, for submit commands that are running."""
        end = self._clock() + patience
        self._submitter.drop_waiting()
        while self._submitter.under_way and self._clock() < end:
            self._read_submissions()
            self._sleep(0.01)

    def close(self, patience: float, enough: Callable[[], bool] = never) -> list[Ticket]:
        """Cancels all jobs and waits until the batch system accepted that.

        Waits at most `patience` seconds, or until `enough`, also for submit commands that are running. Jobs in doubt
        are searched for, so that they can be cancelled, too.
        Returns the tickets of jobs that may be left in the batch system.
        """
        end = self._clock() + patience
        self._submitter.drop_waiting()
        live = [ticket for server in self._servers for ticket in server.poller.stop()]
        self.cancel([*self._submitter.under_way, *self._placing, *live])
        for server in self._servers:
            server.canceller.hurry()
        while self._has_work() and self._clock() < end and not enough():
            self._identify()
            self._place()
            self._read_submissions()
            for server in self._servers:
                server.poller.read()
                server.poller.ask()
                server.canceller.step()
            self._sleep(0.01)
        left = [ticket for server in self._servers for ticket in server.doubtful]
        return [*self._submitter.under_way, *self._placing, *left]

    def _has_work(self) -> bool:
        unplaced = any(ticket.state is TicketState.placing for ticket in self._placing)
        return unplaced or bool(self._submitter.under_way) or any(server.has_work for server in self._servers)

    # -- which server

    @property
    def _servers(self) -> list[Server]:
        return [self._here, *self._others.values()]

    def _server_of(self, spec: JobSpec) -> str:
        return self._system.aim(spec) or self._here.identity.name

    def _holder(self, ticket: Ticket) -> Server:
        return self._others.get(ticket.server, self._here)

    def _at(self, name: str) -> Server | None:
        """The server of this identity; None if no command reaches it from here."""
        if name in ("", self._here.identity.name):
            return self._here
        if name not in self._others:
            language = self._system.at(name)
            if language is None:
                return None
            self._others[name] = self._server(language, expected=name)
        return self._others[name]

    def _hand_over(self, ticket: Ticket, job_id: str, name: str) -> None:
        ticket.server = name
        (self._at(name) or self._here).accept(ticket, job_id)

    def _may_send(self) -> bool:
        """The first submission waits a moment: its record is to say which server has the job."""
        waited = self._asked_at is not None and self._clock() >= self._asked_at + IDENTITY_WAIT
        return not self._here.identity.is_open or bool(self._here.identity.problem) or waited

    def _identify(self) -> list[Ticket]:
        """Asks which server answers here, once there is a job; returns those of this run that did not know theirs."""
        identity = self._here.identity
        if identity.is_settled or not (self._placing or self._submitter.has_work or self._asked_at is not None):
            return []
        self._asked_at = self._clock() if self._asked_at is None else self._asked_at
        if not identity.step():
            return []
        unnamed = [ticket for ticket in self._here.poller.live.values() if ticket.is_own and not ticket.server]
        for ticket in unnamed:
            ticket.server = identity.name
        return unnamed

    def _place(self) -> list[Ticket]:
        """Hands jobs of earlier runs to the server that has them, once it is known whether that answers."""
        if not self._placing:
            return []
        self._identify()
        if self._here.identity.is_open:
            return []
        groups: dict[str, list[Ticket]] = {}
        for ticket in self._placing:
            groups.setdefault(ticket.server, []).append(ticket)
        return [ticket for name, tickets in groups.items() for ticket in self._placed(name, tickets)]

    def _placed(self, name: str, tickets: list[Ticket]) -> list[Ticket]:
        here = self._here.identity
        server = self._at(name) if here.name else self._here
        if server is None:
            return self._lose_reach(name, tickets, "")
        if server is not self._here:
            server.identity.step()
            if not server.identity.is_settled:
                problem = server.identity.problem
                return self._lose_reach(name, tickets, problem) if problem else []
        if name in self._reported:
            self._reported[name].end()
        for ticket in tickets:
            host = self._placing.pop(ticket)
            ticket.may_be_elsewhere = server is self._here and self._may_be_elsewhere(ticket, host)
            server.adopt(ticket)
        return tickets

    def _may_be_elsewhere(self, ticket: Ticket, host: str) -> bool:
        """Whether a job that was submitted on `host` may be in another server than the one of this machine."""
        here = self._here.identity
        if here.is_optional or ticket.server:
            return ticket.server != here.name
        # The record of a former version. Without an id the job was most probably never submitted.
        is_telling = bool(here.name) and ticket.job_id is not None
        return is_telling or host != platform.node()

    def _lose_reach(self, name: str, tickets: list[Ticket], problem: str) -> list[Ticket]:
        """These jobs are in a server that does not answer from here. Returns those of which that is news."""
        new = [ticket for ticket in tickets if ticket.state is TicketState.placing]
        for ticket in new:
            ticket.move(TicketState.out_of_reach)
        if new:
            host = self._placing[new[0]] or "another host"
            words = f" ({problem})" if problem else ""
            known, here = _told_apart(name, self._here.identity.name)
            outage = self._reported.setdefault(name, Outage(f"{self.name} {known} answers", self._clock))
            outage.begin(NOT_HERE, _jobs(self.name, new), host, known, here, words, host)
        return new

    # -- submissions

    def _read_submissions(self) -> list[Ticket]:
        results = list(self._submitter.read())
        self._log_accepted([result.job_id for _, result in results if isinstance(result, Accepted)])
        return [ticket for ticket, result in results if self._settle(ticket, result)]

    def _log_accepted(self, job_ids: list[str]) -> None:
        if job_ids:
            span = " to ".join(dict.fromkeys([job_ids[0], job_ids[-1]]))
            logger.info("Submitted %s to %s: %s", counted(len(job_ids)), self.name, span)

    def _settle(self, ticket: Ticket, result: Submitted) -> bool:
        """True if that is news."""
        if isinstance(result, Accepted):
            self._labels.add(ticket.label)
            ticket.server = result.server or self._here.identity.name
            (self._at(ticket.server) or self._here).accept(ticket, result.job_id)
        elif isinstance(result, Refused):
            self._refused(ticket, result.text)
        else:
            self._doubt(ticket, result.text)
            return False
        return True

    def _refused(self, ticket: Ticket, text: str) -> Ticket:
        ticket.move(TicketState.refused, text)
        return ticket

    def _doubt(self, ticket: Ticket, text: str) -> None:
        logger.warning(
            "Unclear whether %s accepted job %s; searching for it. Output: %s", self.name, ticket.spec.name, text
        )
        self._labels.add(ticket.label)
        (self._at(ticket.server) or self._here).doubt(ticket, text)


def _age(facts: Mapping[str, Any]) -> float:
    """Seconds since a job of another run was submitted, as far as its record says; else since long ago."""
    moment = facts.get("submitted") or facts.get("claimed")
    return max(time.time() - moment, 0.0) if isinstance(moment, (int, float)) else float("inf")


def _told_apart(first: str, second: str) -> tuple[str, str]:
    """The names of two servers; all that is known of them if they have one name."""
    names = first.partition(" ")[0], second.partition(" ")[0]
    return names if names[0] != names[1] else (first, second)


def _jobs(system: str, tickets: list[Ticket]) -> str:
    first = f"{system} job {tickets[0].job_id or tickets[0].spec.name}"
    return first if len(tickets) == 1 else f"{first} and {len(tickets) - 1:,} more"
