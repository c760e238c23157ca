"""The last words of a run: failures by cause, totals, the time it took, where the log is, what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from b2luigi.batch.messages.failure import brief, kind_of, summary
from b2luigi.batch.workers.totals import Totals
from b2luigi.core.words import duration

CAUSES = 5
"""Kinds of failures that are counted in a line each."""


@dataclass(frozen=True)
class End:
    """What is known when a run is over. `elapsed`: seconds; `failures`: the stories by task id."""

    totals: Totals
    elapsed: float
    failures: Mapping[str, str]
    log: Path | None = None
    exit_code: int | None = 0
    """None where nothing exits: in a notebook or session."""
    is_complete: bool = True
    """luigi's loop ended by itself."""


def closing(end: End) -> str:
    """The text, at most some forty lines for a few kinds of failures."""
    parts = [summary(end.failures)] if end.failures else []
    lines = [f"{_totals(end)}.", *_causes(end.failures)]
    if end.failures and end.is_complete:
        lines.append("Correct the cause and run the script again; complete tasks are not repeated.")
    if end.log is not None:
        lines.append(f"Log: {end.log}")
    if end.exit_code is not None and end.is_complete and (end.totals.failed or end.totals.done < end.totals.tasks):
        lines.append(f"The script ends with exit code {end.exit_code} (setting failure_exit_code).")
    return "\n\n".join([*parts, "\n".join(lines)])


def _totals(end: End) -> str:
    totals = end.totals
    other = totals.tasks - totals.done - totals.failed
    time = duration(end.elapsed)
    if totals.tasks == totals.done:
        return f"{'1 task' if totals.tasks == 1 else f'All {totals.tasks:,} tasks'} done in {time}"
    failed = [f"{totals.failed:,} failed"] if totals.failed else []
    not_run = [f"{other:,} not run"] if other else []
    return f"{totals.done:,} of {totals.tasks:,} tasks done, {', '.join([*failed, *not_run])}; {time}"


def _causes(failures: Mapping[str, str]) -> list[str]:
    """How many failed of each kind, if there are several kinds: the words are those of the first one."""
    counts = Counter(kind_of(story) for story in failures.values())
    if len(counts) < 2:
        return []
    first = {kind_of(story): story for story in reversed(list(failures.values()))}
    width = len(f"{max(counts.values()):,}")
    lines = [f"  {count:>{width},} x {_what(first[kind])}" for kind, count in counts.most_common(CAUSES)]
    left = len(counts) - len(lines)
    return [*lines, *([f"  ... and {left:,} other causes"] if left else [])]


def _what(story: str) -> str:
    return brief(story).partition("\n")[0].partition(" failed: ")[2] or story.partition("\n")[0]
