"""The live block as text: a table of the classes, the whole run with its expected end, the last failure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from b2luigi.batch.attempts.outcome import DONE, FAILED
from b2luigi.batch.workers.totals import HELD, QUEUED, UNSENT, Totals
from b2luigi.core.words import duration

WIDE, NARROW = 80, 60
"""Columns from which on the table has a bar, and below which it has short headings."""
BAR = 20
"""Columns of the bar of a class."""


@dataclass(frozen=True)
class Story:
    """What the block says beside the totals. `elapsed`, `left`: seconds; `rate`: tasks done per second."""

    elapsed: float
    rate: float = 0.0
    left: float | None = None
    """Until the expected end; None while that is unknown."""
    outages: Sequence[str] = ()
    last_failure: str = ""
    is_scheduling: bool = False


def block(totals: Totals, story: Story, columns: int, room: int, colours: bool) -> list[str]:
    """At most `room` lines of at most `columns` columns, with colours as the terminal takes them."""
    tail = [line for line in (_outage(story), _failure(story)) if line is not None]
    classes = max(1, room - 2 - len(tail))
    console = _console(columns, colours)
    with console.capture() as capture:
        if not story.is_scheduling and room > 2 + len(tail):
            console.print(_table(totals, columns, classes))
        console.print(_whole(totals, story, columns), no_wrap=True, overflow="ellipsis")
        for line in tail:
            console.print(line, no_wrap=True, overflow="ellipsis")
    return capture.get().splitlines()[-room:]


def _console(columns: int, colours: bool) -> Console:
    return Console(
        file=io.StringIO(),
        width=columns,
        force_terminal=True,
        color_system="standard" if colours else None,
        no_color=not colours,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )


def _table(totals: Totals, columns: int, most: int) -> Table:
    table = Table(box=None, pad_edge=False, expand=False, padding=(0, 2, 0, 0), show_edge=False, header_style="bold")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=max(8, columns // 4))
    names = ("wait", "queue", "run", "done", "fail") if columns < NARROW else STATES
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    if columns >= WIDE:
        table.add_column("", width=BAR)
    families = sorted(totals.statuses, key=lambda family: (-_at_work(totals, family), family))
    shown = families if len(families) <= most else families[: most - 1]
    for family in shown:
        table.add_row(*_cells(totals, [family], family, columns))
    if len(shown) < len(families):
        others = families[len(shown) :]
        table.add_row(*_cells(totals, others, f"{len(others)} other classes", columns))
    return table


STATES = ("waiting", "queued", "running", "done", "failed")


def _at_work(totals: Totals, family: str) -> int:
    """Classes with jobs or failures come first, then those that wait for them."""
    counts, jobs = totals.statuses[family], totals.jobs.get(family)
    return 1_000_000 * bool(jobs and jobs.total()) + counts.total() - counts[DONE]


def _cells(totals: Totals, families: Sequence[str], name: str, columns: int) -> list[Text | ProgressBar]:
    waiting = sum(totals.waiting(family) for family in families)
    jobs = [totals.jobs[family] for family in families if family in totals.jobs]
    queued = sum(counts[state] for counts in jobs for state in (QUEUED, HELD, UNSENT))
    running = sum(counts.total() for counts in jobs) - queued
    statuses = [totals.statuses[family] for family in families]
    done = sum(counts[DONE] for counts in statuses)
    failed = sum(counts[FAILED] + counts["DISABLED"] for counts in statuses)
    total = sum(counts.total() for counts in statuses)
    cells: list[Text | ProgressBar] = [Text(name)]
    counts = (waiting, queued, running, done, failed)
    cells += [Text(f"{count:,}" if count else "-", style) for count, style in zip(counts, _styles(counts), strict=True)]
    if columns >= WIDE:
        cells.append(ProgressBar(total=max(1, total), completed=done, width=BAR, complete_style="green"))
    return cells


def _styles(counts: Sequence[int]) -> list[str]:
    return [style if count else "dim" for count, style in zip(counts, ("", "", "cyan", "green", "red"), strict=True)]


def _whole(totals: Totals, story: Story, columns: int) -> Text:
    if story.is_scheduling:
        return Text(f"Checking the tasks: {totals.tasks:,} so far, {totals.done:,} of them done")
    text = Text(f"{totals.done:,} of {totals.tasks:,} tasks done")
    if totals.failed:
        text.append(f", {totals.failed:,} failed", "red")
    if held := totals.of_jobs(HELD):
        text.append(f", {held:,} held", "yellow")
    text.append(f" · {duration(story.elapsed)}")
    if story.left is not None:
        rate, left = f" · {_rate(story.rate)}", f" · about {duration(story.left)} left"
        text.append(f"{rate}{left}" if len(text) + len(rate) + len(left) <= columns else left)
    return text


def _rate(rate: float) -> str:
    for factor, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if rate * factor >= 1:
            return f"{rate * factor:.3g} tasks/{unit}"
    return f"{rate * 86400:.3g} tasks/day"


def _outage(story: Story) -> Text | None:
    if not story.outages:
        return None
    more = f" (and {len(story.outages) - 1} more)" if len(story.outages) > 1 else ""
    return Text(f"Not true for now: {story.outages[0]}{more}", "yellow")


def _failure(story: Story) -> Text | None:
    return Text(f"Last failure: {story.last_failure}", "red") if story.last_failure else None
