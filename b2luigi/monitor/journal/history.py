"""From the events of a journal to tasks and their attempts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from b2luigi.monitor.journal.fields import Event as _Event
from b2luigi.monitor.journal.fields import number as _number
from b2luigi.monitor.journal.fields import settings as _settings
from b2luigi.monitor.journal.fields import text as _text
from b2luigi.monitor.journal.fields import token_of as _token
from b2luigi.monitor.journal.fields import whole as _whole
from b2luigi.monitor.journal.model import IN_FLIGHT, Attempt, Outage, State, Task, Usage
from b2luigi.monitor.journal.waiting import with_reasons_to_wait

CANCELLED = ("cancelled", "stopped")
"""Ends of jobs that somebody took away."""
LEFT = "left"
"""The end of a job that the run left in the batch system, for a later one to resume."""
LOCAL = "local"
"""The batch system that is this machine."""
CLOCKS_DIFFER = 2.0
"""Seconds that a clock may differ from another one, without a word about it."""
NO_END = ("pending", "given up", "not submitted")
"""Ends of jobs after which the task has another one to come."""
_OF_LUIGI = {
    "done": State.done,
    "failed": State.failed,
    "disabled": State.failed,
    "running": State.running,
    "cancelled": State.cancelled,
}
"""The last one is our own word."""


@dataclass
class _Attempt:
    """An attempt in the making. `facts`: arguments of `Attempt`."""

    task: _Task
    facts: dict[str, Any]
    sent: float | None
    """When the run was about to submit it; None if an earlier run has."""


@dataclass
class _Task:
    facts: dict[str, Any]
    state: State = State.waiting
    reason: str = ""
    attempts: list[_Attempt] = field(default_factory=list)


class History:
    """Takes the events of one journal, one after the other, and tells what came of them."""

    def __init__(self) -> None:
        self.finished: dict[str, Any] = {}
        """The last event of a run that ended by itself; empty for all others."""
        self.last = 0.0
        """The moment of the last event."""
        self.class_settings: dict[str, tuple[tuple[str, str, str], ...]] = {}
        """Settings that task classes have themselves: name, value and source."""
        self.inboxes: dict[str, None] = {}
        """Names of those of the earlier runs that have submitted jobs of this one."""
        self._tasks: dict[str, _Task] = {}
        self._attempts: dict[str, _Attempt] = {}
        self._outages: list[Outage] = []

    def add(self, event: _Event) -> None:
        """Takes one event; unknown kinds are passed over. Raises ValueError for one that makes no sense."""
        handle = _HANDLERS.get(event.get("e", ""))
        if handle is not None:
            moment = event.get("t")
            if not isinstance(moment, (int, float)) or not math.isfinite(moment):
                raise ValueError("t")
            if not event.get("late"):  # what a command did after the run
                self.last = max(self.last, moment)
            handle(self, event, float(moment))

    def tasks(self, over: str = "") -> dict[str, Task]:
        """By task id, in the order of their first events. `over`: how the run ended; empty while it lives."""
        made = {task_id: _made(task, over) for task_id, task in self._tasks.items()}
        return with_reasons_to_wait(made)

    def in_flight(self) -> set[str]:
        """The tokens of the jobs of which no end is known."""
        return {task.attempts[-1].facts["token"] for task in self._tasks.values() if _has_job(task)}

    @property
    def outages(self) -> tuple[Outage, ...]:
        """In the order in which they began."""
        return tuple(self._outages)

    # -- events of tasks

    def _task(self, event: _Event, moment: float) -> None:
        task = self._task_of(event)
        parameters, needs, outputs = (event.get(name) for name in ("parameters", "needs", "outputs"))
        task.facts.update(
            class_name=_text(event, "class") or task.facts["class_name"],
            module=_text(event, "module"),
            parameters={str(k): str(v) for k, v in parameters.items()} if isinstance(parameters, dict) else {},
            needs=tuple(str(one) for one in needs) if isinstance(needs, list) else (),
            log_dir=_text(event, "log_dir") or task.facts.get("log_dir", ""),
            outputs=tuple(str(one) for one in outputs) if isinstance(outputs, list) else (),
            external=event.get("external") is True,
        )
        if "status" in event:
            self._status(event, moment)

    def _status(self, event: _Event, moment: float) -> None:
        task, status = self._task_of(event), _text(event, "status").lower()
        state = _OF_LUIGI.get(status)
        task.facts["done_before"] = task.facts.get("done_before", state is State.done)
        if state is None:
            state = task.state if task.state in IN_FLIGHT else State.waiting
        elif state is State.failed and task.state is State.cancelled:
            state = State.cancelled
        task.state = state
        task.reason = _text(event, "reason") or (task.reason if state not in (State.done, State.waiting) else "")

    def _again(self, event: _Event, moment: float) -> None:
        task = self._task_of(event)
        task.state, task.reason = State.waiting, _text(event, "why")

    # -- events of jobs

    def _submitting(self, event: _Event, moment: float) -> None:
        task, token = self._task_of(event), _token(event)
        number, log_dir = event.get("attempt"), _text(event, "log_dir") or task.facts.get("log_dir", "")
        facts = {
            "number": number if isinstance(number, int) else len(task.attempts) + 1,
            "token": token,
            "batch_system": _text(event, "batch_system"),
            "submitted": moment,
            "memory_requested": _whole(event, "memory_requested"),
            "time_requested": _number(event, "time_requested"),
            "log_dir": log_dir,
        }
        task.facts["log_dir"] = log_dir
        self._attempts[token] = attempt = _Attempt(task, facts, moment)
        task.attempts.append(attempt)
        # On this machine there is nobody to submit it to: it waits for a free slot.
        task.state, task.reason = State.queued if facts["batch_system"] == LOCAL else State.submitting, ""

    def _resumed(self, event: _Event, moment: float) -> None:
        self._submitting(event, moment)
        attempt = self._attempt_of(event)
        if inbox := _text(event, "inbox"):
            self.inboxes[inbox] = None
        submitted = _number(event, "submitted")
        attempt.sent = submitted
        attempt.facts.update(resumed=True, submitted=submitted, job_id=_text(event, "job_id") or None)
        attempt.task.state = State.queued

    def _queued(self, event: _Event, moment: float) -> None:
        attempt = self._attempt_of(event)
        attempt.facts.update(job_id=_text(event, "job_id") or None, server=_text(event, "server"))
        if not attempt.facts.get("resumed"):
            attempt.facts["submitted"] = moment
        _move(attempt, State.queued)

    def _running(self, event: _Event, moment: float) -> None:
        attempt = self._attempt_of(event)
        started = _number(event, "started")
        attempt.facts.update(started=moment if started is None else started, held="")
        if node := _text(event, "node"):
            attempt.facts["node"] = node
        _move(attempt, State.running)

    def _held(self, event: _Event, moment: float) -> None:
        attempt = self._attempt_of(event)
        attempt.facts["held"] = _text(event, "reason") or "held"
        _move(attempt, State.held, attempt.facts["held"])

    def _requeued(self, event: _Event, moment: float) -> None:
        """Also for a job that was held, and is not any more."""
        attempt = self._attempt_of(event)
        attempt.facts.update(held="", started=None)
        _move(attempt, State.queued)

    def _notice(self, event: _Event, moment: float) -> None:
        attempt = self._attempt_of(event)
        attempt.facts["notice"] = _text(event, "reason")
        attempt.task.reason = attempt.facts["notice"]

    def _ended(self, event: _Event, moment: float) -> None:
        attempt, end = self._attempt_of(event), _text(event, "end")
        attempt.facts.update(end=end, cause=_text(event, "cause"), reason=_text(event, "reason"))
        if attempt is not attempt.task.attempts[-1]:  # another one took its place before its end was known
            attempt.facts["ended"] = moment
            return
        if end == LEFT:
            attempt.task.reason = attempt.facts["reason"]
            return
        attempt.facts.update(_measured(attempt, event, moment))
        attempt.task.state = _state_after(end)
        attempt.task.reason = attempt.facts["reason"] if attempt.task.state is not State.done else ""

    # -- events of the run

    def _class_settings(self, event: _Event, moment: float) -> None:
        self.class_settings[_text(event, "class")] = _settings(event)

    def _outage(self, event: _Event, moment: float) -> None:
        self._outages.append(Outage(_text(event, "what"), _text(event, "reason"), moment))

    def _outage_over(self, event: _Event, moment: float) -> None:
        what = _text(event, "what")
        self._outages = [
            replace(one, ended=moment) if one.what == what and one.ended is None else one for one in self._outages
        ]

    def _finished(self, event: _Event, moment: float) -> None:
        self.finished = {
            "finished": moment,
            "elapsed": _number(event, "elapsed"),
            "result": _text(event, "result"),
        }

    # -- helpers

    def _task_of(self, event: _Event) -> _Task:
        task_id = event.get("id")
        if not isinstance(task_id, str) or not task_id:
            raise ValueError("id")
        if task_id not in self._tasks:
            self._tasks[task_id] = _Task({"task_id": task_id, "class_name": task_id.partition("_")[0]})
        return self._tasks[task_id]

    def _attempt_of(self, event: _Event) -> _Attempt:
        token = _token(event)
        if token not in self._attempts:
            raise ValueError("token")
        return self._attempts[token]


_HANDLERS: Mapping[str, Callable[[History, _Event, float], None]] = {
    "task": History._task,
    "status": History._status,
    "again": History._again,
    "submitting": History._submitting,
    "resumed": History._resumed,
    "queued": History._queued,
    "running": History._running,
    "held": History._held,
    "released": History._requeued,
    "requeued": History._requeued,
    "notice": History._notice,
    "ended": History._ended,
    "settings": History._class_settings,
    "outage": History._outage,
    "outage_over": History._outage_over,
    "finished": History._finished,
}


def _move(attempt: _Attempt, state: State, reason: str = "") -> None:
    """News of a job says something about its task as long as the task has no later one, and no result."""
    task = attempt.task
    if attempt is task.attempts[-1] and task.state in IN_FLIGHT:
        task.state, task.reason = state, reason


def _state_after(end: str) -> State:
    if end == "done":
        return State.done
    if end in CANCELLED:
        return State.cancelled
    return State.waiting if end in NO_END else State.failed


def _measured(attempt: _Attempt, event: _Event, moment: float) -> dict[str, Any]:
    """When the job was submitted and ran, by the clock of the submit host, and what it used."""
    usage, facts, sent = _usage(event.get("usage")), attempt.facts, attempt.sent
    known: dict[str, Any] = {"usage": usage, "exit_code": _whole(event, "exit_code"), "held": ""}
    if node := _text(event, "node"):
        known["node"] = node
    offset = _offset(usage, sent, moment)
    started, ended = facts.get("started"), moment
    if usage.started is not None:
        started = usage.started - offset
        if sent is not None:
            started = max(started, sent)
            known["submitted"] = min(started, facts.get("submitted") or sent)
    if usage.ended is not None:
        ended = min(usage.ended - offset, moment)
    return {**known, "started": started, "ended": ended, "clock_offset": offset}


def _offset(usage: Usage, sent: float | None, seen: float) -> float:
    """How far the clock of the node is ahead, at least: no job begins before it is submitted, or ends after that was
    seen."""
    if usage.ended is not None and usage.ended > seen + CLOCKS_DIFFER:
        return usage.ended - seen
    if usage.started is not None and sent is not None and usage.started < sent - CLOCKS_DIFFER:
        return usage.started - sent
    return 0.0


def _usage(facts: Any) -> Usage:
    if not isinstance(facts, dict):
        return Usage()
    numbers = {name: _number(facts, name) for name in ("started", "ended", "wall", "cpu")}
    return Usage(**numbers, memory=_whole(facts, "memory"), memory_from=_text(facts, "memory_from"))


def _made(task: _Task, over: str) -> Task:
    state, reason = task.state, task.reason
    if over and _has_job(task):
        state, reason = _left(task, over)
    attempts = tuple(Attempt(**attempt.facts) for attempt in task.attempts)
    return Task(**task.facts, state=state, attempts=attempts, reason=reason)


def _has_job(task: _Task) -> bool:
    return task.state in IN_FLIGHT and bool(task.attempts)


def _left(task: _Task, over: str) -> tuple[State, str]:
    """The state of a task whose job was left behind, and what is known of that."""
    facts = task.attempts[-1].facts
    if facts["batch_system"] == LOCAL and not facts.get("job_id"):
        return State.waiting, f"its job had not started when the run {over}"
    how = "half submitted" if task.state is State.submitting else task.state.value
    return task.state, f"left {how} when the run {over}" + (f" ({task.reason})" if task.reason else "")
