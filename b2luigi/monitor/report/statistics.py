"""Numbers on a run: durations and memory by class, what to ask for instead, failures by cause, jobs over time."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from b2luigi.batch.messages.failure import kind_of, tail
from b2luigi.core.words import size
from b2luigi.monitor import Run, State, Task
from b2luigi.monitor.journal.logs import log_files

ROOM, STEP = 1.2, 100e6
"""What to ask for: this much more than the largest peak, rounded up to this many bytes."""
WASTE, SHORT = 2.0, 0.9
"""Advice is given if a class asked for more than this many times that, or used more than this part of what it had."""
FEW = 3
"""Jobs that must have ended before there is advice."""
CAUSES, EXAMPLES = 20, 5
"""Causes of failures on the page, and tasks named for each."""


@dataclass(frozen=True)
class Spread:
    """A set of numbers."""

    count: int
    median: float
    ninth: float
    """Nine of ten are not larger."""
    most: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """None if no number is known."""
        known = sorted(value for value in values if value is not None)
        if not known:
            return None
        return cls(len(known), statistics.median(known), known[math.ceil(0.9 * len(known)) - 1], known[-1])


@dataclass(frozen=True)
class ClassNumbers:
    """One task class of a run. Seconds and bytes."""

    name: str
    states: Mapping[str, int]
    tasks: int
    waited: Spread | None
    wall: Spread | None
    cpu: Spread | None
    memory: Spread | None
    memory_requested: float | None
    advice: str


@dataclass(frozen=True)
class CauseOfFailure:
    """Tasks that failed in the same way."""

    what: str
    tasks: Sequence[Task]
    log: str
    """The last lines of the log of the first one."""


@dataclass(frozen=True)
class Point:
    """How many jobs there are in the queue and at work, from this moment on (seconds since the run began)."""

    moment: float
    queued: int
    running: int


def by_class(run: Run) -> list[ClassNumbers]:
    """The classes of a run, in the order in which it met them."""
    tasks: dict[str, list[Task]] = defaultdict(list)
    for task in run.tasks.values():
        tasks[task.class_name].append(task)
    return [_numbers(name, found) for name, found in tasks.items()]


def _numbers(name: str, tasks: Sequence[Task]) -> ClassNumbers:
    attempts = [task.last for task in tasks if task.last is not None]
    memory = Spread.of(attempt.usage.memory for attempt in attempts)
    requested = max((attempt.memory_requested for attempt in attempts if attempt.memory_requested), default=None)
    return ClassNumbers(
        name=name,
        states={state.value: count for state, count in Counter(task.state for task in tasks).items()},
        tasks=len(tasks),
        waited=Spread.of(
            attempt.started - attempt.submitted
            for attempt in attempts
            if attempt.started is not None and attempt.submitted is not None and attempt.started >= attempt.submitted
        ),
        wall=Spread.of(task.wall for task in tasks),
        cpu=Spread.of(task.cpu for task in tasks),
        memory=memory,
        memory_requested=requested,
        advice=advice(memory, requested),
    )


def advice(memory: Spread | None, requested: float | None) -> str:
    """What to ask for instead, in a sentence; empty if what was asked for fits, or that is not known."""
    if memory is None or requested is None or memory.count < FEW:
        return ""
    enough = math.ceil(memory.most * ROOM / STEP) * STEP
    if requested > WASTE * enough:
        return f"ask for {size(enough)} instead of {size(requested)}"
    if memory.most > SHORT * requested:
        return f"ask for {size(enough)}: one needed {size(memory.most)} of {size(requested)}"
    return ""


def causes(run: Run, read_tail: Callable[[Iterable[Path]], str] = tail) -> list[CauseOfFailure]:
    """Failures by what happened, the most frequent first."""
    found: dict[str, list[Task]] = defaultdict(list)
    for task in run.tasks.values():
        if task.state in (State.failed, State.cancelled):
            found[kind_of(task.reason)].append(task)
    most = sorted(found.values(), key=len, reverse=True)[:CAUSES]
    return [
        CauseOfFailure(
            tasks[0].reason or "no reason is known",
            tasks,
            read_tail([path for name, path in log_files(run, tasks[0]).items() if name == "stderr"]),
        )
        for tasks in most
    ]


def timeline(run: Run, points: int = 400) -> list[Point]:
    """How many jobs were queued and running, at most at `points` moments."""
    changes: list[tuple[float, int, int]] = []
    end = run.started + (run.elapsed or 0.0)
    for task in run.tasks.values():
        for attempt in task.attempts:
            begin, start, stop = attempt.submitted, attempt.started, attempt.ended
            if begin is None:
                begin = start if start is not None else stop
            if begin is None:
                continue
            left = min(stop if stop is not None else end, end)
            start = min(max(start, begin), left) if start is not None else None
            changes.append((begin, 1, 0))
            if start is not None:
                changes += [(start, -1, 1), (left, 0, -1)]
            else:
                changes.append((left, -1, 0))
    return _thinned(_added(sorted(changes), run.started), points)


def _added(changes: Sequence[tuple[float, int, int]], since: float) -> list[Point]:
    found, queued, running = [Point(0.0, 0, 0)], 0, 0
    for moment, more_queued, more_running in changes:
        queued, running = queued + more_queued, running + more_running
        found.append(Point(max(0.0, moment - since), queued, running))
    return found


def _thinned(found: Sequence[Point], points: int) -> list[Point]:
    """The last point of each slice of time, so that a page of a long run is not larger than that of a short one."""
    if len(found) <= points or found[-1].moment <= 0:
        return list(found)
    width = found[-1].moment / points
    slices = {int(point.moment / width): point for point in found}
    return [found[0], *slices.values()]
