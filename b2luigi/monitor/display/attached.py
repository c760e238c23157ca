"""The live block of a run in another terminal, from its journal."""

from __future__ import annotations

import time
from collections import Counter, defaultdict

from b2luigi.batch.attempts.outcome import DONE, FAILED
from b2luigi.batch.messages.failure import visible
from b2luigi.batch.workers import totals as words
from b2luigi.batch.workers.totals import Totals
from b2luigi.monitor import Run, State, Task
from b2luigi.monitor.display.block import Story
from b2luigi.monitor.display.live import SOON, WINDOW

STATUSES = {State.done: DONE, State.failed: FAILED, State.cancelled: FAILED}
"""luigi's statuses; all others are those of tasks that are not over."""
JOBS = {
    State.submitting: words.UNSENT,
    State.queued: words.QUEUED,
    State.held: words.HELD,
    State.running: words.RUNNING,
}


def totals_of(run: Run) -> Totals:
    """As the run itself counts its tasks."""
    statuses: dict[str, Counter[str]] = defaultdict(Counter)
    jobs: dict[str, Counter[str]] = defaultdict(Counter)
    for task in run.tasks.values():
        statuses[task.class_name][STATUSES.get(task.state, "PENDING")] += 1
        if task.state in JOBS:
            jobs[task.class_name][JOBS[task.state]] += 1
    return Totals(statuses, jobs)


def story_of(run: Run, now: float | None = None) -> Story:
    """What the block says beside that. `now`: seconds since the epoch."""
    now = time.time() if now is None else now
    totals = totals_of(run)
    window = min(WINDOW, max(1.0, now - run.started))
    recent = sum(1 for task in run.tasks.values() if _is_over(task) and (task.ended or 0.0) > now - window)
    rate = recent / window if recent >= SOON else 0.0
    left = (totals.tasks - totals.done - totals.failed) / rate if rate else None
    outages = [outage.what for outage in run.outages if outage.ended is None]
    return Story(max(0.0, now - run.started), rate, left, outages, last_failure(run))


def last_failure(run: Run) -> str:
    """Which task failed last, and why, in one line; empty if none did."""
    failed = [task for task in run.tasks.values() if task.state in (State.failed, State.cancelled)]
    if not failed:
        return ""
    last = max(failed, key=lambda task: task.ended or 0.0)
    return visible(f"{last.name} failed: {last.reason}".partition("\n")[0])


def _is_over(task: Task) -> bool:
    return task.state in STATUSES and not task.done_before
