"""Run: what the jobs of one run share."""

from __future__ import annotations

import functools
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.outcome import Outcome
from b2luigi.batch.attempts.runs import Runs
from b2luigi.batch.messages.outages import Outages
from b2luigi.batch.processes.circuit_breaker import CircuitBreaker
from b2luigi.batch.processes.writer import Writer
from b2luigi.batch.queue.ticket import Queue
from b2luigi.core.files import Folders
from b2luigi.core.version import VERSION
from b2luigi.monitor.journal.writer import NoJournal

logger = logging.getLogger("luigi-interface.b2luigi")


@dataclass
class Run:
    """What the jobs of one run share."""

    runs: Runs
    worker: Mapping[str, Any]
    """The values of luigi's section [worker] that matter on the node."""
    queue_of: Callable[[str], Queue]
    """The queue of a batch system, by its name: that of an earlier run may be another one."""
    fresh: bool = False
    """Jobs of earlier runs are cancelled instead of being attached to."""
    clock: Callable[[], float] = time.monotonic
    suspect: Callable[[], object] = lambda: None
    """Called when something does not work for now: an expired credential may be the reason."""
    attached: set[str] = field(default_factory=set)
    """Jobs of earlier runs for which this one waits, by what names them."""
    unsubmitted: list[str] = field(default_factory=list)
    """Tasks that an earlier run was about to submit when it ended, by task id."""
    not_begun: Counter[str] = field(default_factory=Counter)
    """How many tasks jobs had not come to when they ended, by their batch system and id."""
    watched: int = 0
    """How many jobs of living runs were met."""
    said: set[tuple[object, ...]] = field(default_factory=set)
    """What was logged of jobs that several tasks share."""
    judged: set[str] = field(default_factory=set)
    """Attempts that are over, by token, even if a full disk kept that from being noted."""
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    rounds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a task yielded the very same requirements, by task id and these."""
    journal: NoJournal = field(default_factory=NoJournal)
    """What happens, for people to look at."""
    tries: Counter[str] = field(default_factory=Counter)
    """How often this run has submitted a task, by task id."""

    folders: Folders = field(default_factory=Folders)
    """Makes those of its tasks."""
    writer: Writer = field(default_factory=Writer)
    """Writes the files of jobs."""

    _mentioned: set[str] = field(default_factory=set)

    def mention(self, other: Inbox) -> None:
        """Logs, once, that another run is alive and at work on tasks of this one."""
        if other.name not in self._mentioned:
            self._mentioned.add(other.name)
            logger.warning("Another run is working on tasks of this one: %s. Waiting for its results.", other.owner())

    def mention_version(self, outcome: Outcome, job: str) -> None:
        """Logs, once for each version, that a job ran with another version of b2luigi than this one."""
        if outcome.version == VERSION or f"version {outcome.version}" in self._mentioned:
            return
        self._mentioned.add(f"version {outcome.version}")
        where = f"{job} ran on node {outcome.node} with" if outcome.node else f"{job} left no outcome: it ran with"
        version = f"b2luigi {outcome.version}" if outcome.version else "an older version of b2luigi, or without it"
        logger.warning(
            "%s %s; this script runs with %s. Check what jobs run (settings executable, env_script, env).",
            *(where, version, VERSION),
        )

    @functools.cached_property
    def outages(self) -> Outages:
        """What its tasks wait for."""
        return Outages(self.clock, self.suspect)
