"""How the command prints: tables as wide as they need to be, moments and sizes as people read them, safe text."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from b2luigi.batch.messages.failure import visible
from b2luigi.monitor import State

COLOURS = {
    State.done: "green",
    State.running: "cyan",
    State.failed: "red",
    State.cancelled: "red",
    State.held: "yellow",
    State.waiting: "dim",
}


def console() -> Console:
    """Prints to standard output. In a file or a pipe no line is broken, so that every row can be searched."""
    width = None if sys.stdout.isatty() else 100_000
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False, width=width)


def table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], right: Sequence[str] = ()) -> Table:
    """A table without lines. `right`: the headings of columns of numbers."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(visible(cell)) for cell in row))
    return made


def state(value: State) -> Text:
    """A state in its colour."""
    return Text(value.value, COLOURS.get(value, ""))
