"""Which display a run gets: a live block, a line now and then, or none."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from b2luigi.batch.workers.progress import Lines, NoScreen, Screen
from b2luigi.monitor.display.notebook import Cell, in_notebook
from b2luigi.monitor.display.short_messages import ShortMessages

AUTO, LIVE, PLAIN, NONE = MODES = ("auto", "live", "plain", "none")


@dataclass
class Display:
    """What one run shows. `prepare`: to be called once luigi has set up its logging."""

    screen: Screen
    prepare: Callable[[], None] = lambda: None
    close: Callable[[], None] = field(default=lambda: None)
    """Gives the terminal back: before the last words."""


@contextlib.contextmanager
def displayed(mode: str, terse: bool) -> Iterator[Display]:
    """The display of a run with batch; `terse`: luigi's lines go to the log file only.

    `mode`: "auto" is live in a notebook, and where standard error is a terminal that can do so; else a line now and
    then.
    """
    is_live = mode in (AUTO, LIVE) and (can_be_live() or in_notebook())
    with ShortMessages(logging.WARNING if is_live else logging.INFO) as messages:
        prepare = messages.shorten if terse else _nothing
        screen = _live(messages) if is_live else NoScreen() if mode == NONE else Lines()
        close = getattr(screen, "close", _nothing)
        try:
            yield Display(screen, prepare, close)
        finally:
            close()


def _live(messages: ShortMessages) -> Screen:
    from b2luigi.monitor.display.live import LiveScreen
    from b2luigi.monitor.display.region import Region

    if in_notebook():
        return LiveScreen(Cell(), messages.news, colours=False)
    return LiveScreen(Region(sys.stderr), messages.news, colours=not os.environ.get("NO_COLOR"))


def can_be_live() -> bool:
    """Whether standard error is a terminal that can keep lines at its bottom."""
    try:
        return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    except (AttributeError, ValueError):  # None, or closed
        return False


def _nothing() -> None:
    """There is nothing to do."""
