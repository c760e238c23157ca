"""Diary: what the journal of the run learns about one attempt."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import luigi

from b2luigi.batch.attempts.outcome import Marker, Outcome
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.queue.ticket import Queue, Ticket
from b2luigi.batch.systems.model import JobInfo, JobStatus
from b2luigi.monitor.journal.writer import NoJournal

P = ParamSpec("P")
LEFT = "left"
"""How an attempt ends, for this run, whose job stays in the batch system."""


def _harmless(note: Callable[Concatenate[Diary, P], None]) -> Callable[Concatenate[Diary, P], None]:
    """What keeps something from being noted, such as odd facts of somebody else's batch system, touches no job."""

    @functools.wraps(note)
    def noted(diary: Diary, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            note(diary, *args, **kwargs)
        except Exception as error:
            diary.miss(error)

    return noted


class Diary:
    """Of one attempt of a task. Notes each thing once, however often it is called. Its methods do not raise."""

    def __init__(self, journal: NoJournal, task: luigi.Task, record: Record, queue: Queue, ticket: Ticket) -> None:
        self._journal, self._task, self._record, self._queue, self._ticket = journal, task, record, queue, ticket
        self._state, self._has_ended = "", False
        self._notices = set[str]()
        self.reason = ""
        """Why it ended, in one sentence, if it did not end well."""
        self.peak = 0
        """Of its largest process, in bytes, if it left no outcome."""

    @_harmless
    def begin(self, inbox: str, earlier: bool) -> None:
        """There is an attempt. `inbox`: of this run; `earlier`: another run has submitted the job."""
        self._journal.open(inbox)
        facts = {"id": self._task.task_id, "attempt": self._record.facts.get("attempt"), "token": self._record.token}
        facts.update(batch_system=self._queue.name, log_dir=str(self._ticket.spec.log_folder))
        if earlier:
            known = self._record.facts
            facts.update({name: known.get(name) for name in ("job_id", "submitted")}, inbox=self._record.inbox_name)
            self._journal.add("resumed", **facts)
        else:
            self._journal.keep_secret(getattr(self._task, "env", None))
            asked = self._ticket.requested
            facts.update(memory_requested=asked.memory, time_requested=asked.time)
            self._journal.add("submitting", **facts)

    @_harmless
    def queued(self) -> None:
        """It has a job id."""
        self._add("queued", job_id=self._ticket.job_id, server=self._ticket.server)

    @_harmless
    def see(self, info: JobInfo) -> None:
        """The batch system said something about the job."""
        state = _state_of(info)
        if state != self._state and not info.status.is_final:
            if state == "running":
                self._add("running", node=info.node, started=None)
            elif state == "held":
                self._add("held", reason=info.native)
            elif self._state:
                self._add("requeued" if self._state == "running" else "released", reason=info.native)
            self._state = state
        if info.notice and info.notice not in self._notices:
            self._notices.add(info.notice)
            self._add("notice", reason=info.notice)

    @_harmless
    def end(self, end: str, outcome: Outcome | None, marker: Marker | None) -> None:
        """The attempt is over, at least for this run. `end`: a status of luigi, or the name of a cause."""
        if self._has_ended:
            return
        self._has_ended = True
        info = self._ticket.info
        code = marker.exit_code if marker is not None else None
        self._add(
            "ended",
            end=end.lower(),
            cause=info.native if info is not None and info.status.is_final else "",
            reason=self.reason or (outcome.headline if outcome is not None else ""),
            node=(outcome.node if outcome is not None else "") or (info.node if info is not None else None),
            exit_code=code if code is not None or info is None else info.exit_code,
            usage=self._usage(outcome, info),
        )

    def miss(self, error: Exception) -> None:
        """Something could not be noted."""
        self._journal.miss(error)

    def _usage(self, outcome: Outcome | None, info: JobInfo | None) -> dict[str, Any]:
        """What the node measured, or else what the batch system knows, or else how large the job was when it died."""
        if outcome is not None and outcome.usage:
            return dict(outcome.usage)
        seen = {"memory": self.peak, "memory_from": "largest process"} if self.peak else {}
        known = dict(info.usage) if info is not None else {}
        return {**known, **seen} if self.peak > (known.get("memory") or 0) else known

    def _add(self, kind: str, **facts: Any) -> None:
        self._journal.add(kind, token=self._record.token, **facts)


def _state_of(info: JobInfo) -> str:
    if info.held:
        return "held"
    return "running" if info.status is JobStatus.running else "queued"
