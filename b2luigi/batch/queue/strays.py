"""Jobs of this project whose records were removed: they are found by their names."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from b2luigi.batch.attempts.tokens import PROJECT, TASK, is_of_pack
from b2luigi.batch.queue.aside import LARGE, Aside
from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.command import Running
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Answer, AnswerError, Command, JobInfo

logger = logging.getLogger("luigi-interface.b2luigi")

AGAIN, AGAIN_MOST = 5.0, 60.0
"""Seconds from one listing to the next, as long as a job that nobody knows keeps tasks waiting."""
TRIES = 3
"""Listings that fail before jobs are submitted without one."""
ASKED = 20
"""For so many jobs a system is asked that needs names to search for; the others list all."""
_LABEL = re.compile(r"[0-9a-f]{16}\D.*|[0-9a-f]{16}", re.DOTALL)


@dataclass
class Strays:
    """The jobs of one listing that may be strays. `name`: of the batch system."""

    name: str
    _reported: set[str] = field(default_factory=set)
    _kin: dict[Ticket, tuple[str, ...]] = field(default_factory=dict)

    def blocked(self, jobs: Mapping[str, str], tickets: Iterable[Ticket]) -> set[Path]:
        """The job scripts that must wait for a stray job: that of their own task, or one that makes their input.

        `jobs`: job ids by label. An element of an array has the token of the first one in its label, and a pack has
        several tasks: on which it works is not known, so that all of the project waits for it.
        """
        by_kin: dict[str, str] = {}
        for label in jobs:
            names_task = len(label) == 16 and not is_of_pack(label)
            by_kin.setdefault(label[:TASK] if names_task else label[:PROJECT], label)
        found = {ticket: label for ticket in tickets if (label := self._concerning(ticket, by_kin))} if by_kin else {}
        for ticket, label in found.items():
            self._report(jobs[label], ticket)
        return {ticket.spec.script for ticket in found}

    def _concerning(self, ticket: Ticket, by_kin: Mapping[str, str]) -> str:
        if ticket not in self._kin:
            token = ticket.spec.token
            self._kin[ticket] = (token[:PROJECT], token[:TASK], *_kin_of_inputs(ticket))
        return next((by_kin[one] for one in self._kin[ticket] if one in by_kin), "")

    def _report(self, job_id: str, ticket: Ticket) -> None:
        if job_id not in self._reported:
            self._reported.add(job_id)
            logger.warning(
                "%s job %s belongs to this project, and its record is gone: were files in task_file_dir removed? %s, "
                "and what else may depend on that job, is not submitted before it has ended. If it is not wanted, "
                "cancel it.",
                *(self.name, job_id, ticket.spec.name),
            )


def _kin_of_inputs(ticket: Ticket) -> Iterable[str]:
    try:
        return tuple(ticket.spec.kin_of_inputs())
    except Exception:  # the user's own requires(), which is reported where it is needed
        return ()


_Listed = Mapping[str, tuple[str, JobInfo]]
"""Ids and states of jobs, by label."""


def _listed(system: BatchSystem, answer: Answer) -> _Listed:
    return {str(info.token): (job_id, info) for job_id, info in system.parse_query(answer).items()}


class Census:
    """Lists the jobs of the user once before the first submission, and again while strays keep tasks waiting.

    `known` gives the labels of jobs that have records, or belong to other runs.
    """

    def __init__(
        self,
        system: BatchSystem,
        start: Callable[[Command], Running],
        clock: Callable[[], float],
        known: Callable[[], set[str]],
    ) -> None:
        self._system, self._start, self._known = system, start, known
        self._strays = Strays(system.name)
        self._again = Backoff(clock, first=AGAIN, most=AGAIN_MOST)
        self._running: Running | None = None
        self._reading: Aside[_Listed] | None = None
        self._failures = 0
        self._jobs: dict[str, str] | None = None
        """The strays of the last listing, job ids by label; None before the first one."""
        self._blocked: set[Path] = set()

    def blocked(self, waiting: Collection[Ticket], ours: Collection[str]) -> set[Path]:
        """The job scripts that are not to be submitted now. `ours`: labels of the jobs of this run."""
        if not waiting or self._jobs == {}:
            return set()
        if self._jobs is None or self._blocked:
            self._look(waiting, ours)
        if self._jobs is None:
            return {ticket.spec.script for ticket in waiting}
        self._blocked = self._strays.blocked(self._jobs, waiting)
        return self._blocked

    def _look(self, waiting: Collection[Ticket], ours: Collection[str]) -> None:
        specs = [ticket.spec for ticket in waiting][:ASKED]
        try:
            if self._running is None and self._again.is_due:
                self._again.put_off()
                self._running = self._start(self._system.find(specs))
            answer = self._running.poll() if self._running is not None else None
            if answer is not None and self._reading is None:
                self._reading = self._read(answer)
            if self._reading is not None and self._reading.is_over:
                reading, self._running, self._reading = self._reading, None, None
                self._jobs = self._strays_among(reading.result(), specs[0].token[:PROJECT], ours)
        except AnswerError as error:
            self._failed(str(error))
        except Exception as error:  # a language of somebody else's: waiting will not help
            self._failures = TRIES
            self._failed(f"{type(error).__name__}: {error}")

    def _read(self, answer: Answer) -> Aside[_Listed]:
        if not answer.is_complete:
            self._failures = TRIES  # that took long enough
            raise AnswerError(answer.words)
        return Aside(partial(_listed, self._system, answer), at_once=len(answer.stdout) < LARGE)

    def _strays_among(self, jobs: _Listed, project: str, ours: Collection[str]) -> dict[str, str]:
        known = {*ours, *self._known()}
        return {
            label: job_id
            for label, (job_id, info) in jobs.items()
            if label[:PROJECT] == project and _LABEL.fullmatch(label)
            if label not in known and not info.status.is_final
        }

    def _failed(self, words: str) -> None:
        self._failures += 1
        self._running = self._reading = None
        if self._failures >= TRIES and self._jobs is None:
            text = "%s does not list its jobs; submitting without a search for jobs whose records are gone."
            logger.warning(text, self._system.name)
            logger.debug("%s", words)
            self._jobs = {}
