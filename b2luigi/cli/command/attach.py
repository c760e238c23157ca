"""`b2luigi attach`: the live block of a run that is alive, in another terminal."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import typer

from b2luigi.cli.command.runs import CommandError, OfRun, Where, in_words, the_run
from b2luigi.cli.command.status import heading
from b2luigi.core.words import duration
from b2luigi.monitor import Run, load_run
from b2luigi.monitor.display.attached import last_failure, story_of, totals_of
from b2luigi.monitor.display.block import block
from b2luigi.monitor.display.region import Region

INTERVAL, LINES = 1.0, 10.0
"""Seconds between two looks at the journal, on a terminal and elsewhere."""


@in_words
def attach(where: Where = Path(), run: OfRun = "") -> None:
    """Show how far a run is that is alive, until it is over. Ctrl-C ends this, and leaves the run alone."""
    found = the_run(where, run)
    if not found.is_alive:
        raise CommandError("\n".join(heading(found)))
    for line in heading(found):
        typer.echo(line)
    try:
        ended = _shown(found) if _is_terminal() else _printed(found)
    except KeyboardInterrupt:
        typer.echo("The run continues. To see it again: b2luigi attach")
        return
    for line in [*list(heading(ended))[1:2], _line(ended)]:
        typer.echo(line)
    raise typer.Exit(0 if ended.result == "done" else 1)


def _is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _shown(run: Run) -> Run:
    """Draws the block until the run is over; each new failure scrolls above it."""
    region, failure = Region(sys.stdout), last_failure(run)
    try:
        while run.is_alive:
            begin = time.monotonic()
            if last_failure(run) not in ("", failure):
                failure = last_failure(run)
                typer.echo(failure)
            if region.is_usable:
                colours = not os.environ.get("NO_COLOR")
                region.draw(block(totals_of(run), story_of(run), region.columns, region.room, colours))
            time.sleep(max(INTERVAL, 20 * (time.monotonic() - begin)))
            run = load_run(run.folder)
    finally:
        region.close()
    return run


def _printed(run: Run) -> Run:
    """Prints a line when something has changed."""
    last = ""
    while run.is_alive:
        line = _line(run)
        if line != last:
            typer.echo(line)
        last = line
        _sleep_until_over(run)
        run = load_run(run.folder)
    return run


def _sleep_until_over(run: Run) -> None:
    end = time.monotonic() + LINES
    while time.monotonic() < end and load_run(run.folder).is_alive:
        time.sleep(INTERVAL)


def _line(run: Run) -> str:
    counts = run.counts()
    others = ", ".join(f"{counts[state]:,} {state.value}" for state in counts if state.value != "done")
    done = f"{counts.total() - sum(counts[s] for s in counts if s.value != 'done'):,} of {counts.total():,} tasks done"
    return f"{done}{f', {others}' if others else ''} ({duration(run.elapsed)})"
