"""LiveScreen: the block at the bottom of the terminal, or in a notebook, drawn anew once a second."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from b2luigi.batch.workers.totals import Totals
from b2luigi.monitor.display.block import Story, block
from b2luigi.monitor.display.short_messages import News

INTERVAL = 1.0
"""Seconds between two drawings: each looks at all jobs in flight."""
WINDOW = 600.0
"""Seconds over which the rate is taken."""
SOON = 3
"""Tasks that must have ended before an end is expected."""


class Place(Protocol):
    """Where the block stands: so many lines of so many columns."""

    @property
    def columns(self) -> int:
        """The longest line that fits."""

    @property
    def room(self) -> int:
        """How many lines fit."""

    @property
    def is_usable(self) -> bool:
        """Whether anything may be drawn now."""

    def draw(self, lines: Sequence[str]) -> None:
        """Shows these lines instead of those before."""

    def close(self) -> None:
        """Removes them."""


class LiveScreen:
    """Shows the totals in a place. `clock`: seconds."""

    def __init__(self, place: Place, news: News, colours: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._news, self._colours, self._clock = news, colours, clock
        self._begin = self._next = clock()
        self._history: collections.deque[tuple[float, int]] = collections.deque()

    @property
    def is_due(self) -> bool:
        """Whether a second has passed."""
        return self._clock() >= self._next

    def show_scheduling(self, totals: Totals) -> None:
        """How much of the graph was read."""
        self._draw(totals, Story(self._elapsed, is_scheduling=True))

    def show(self, totals: Totals) -> None:
        """The totals, the rate, the expected end, outages and the last failure."""
        now, over = self._clock(), totals.done + totals.failed
        self._history.append((now, over))
        while now - self._history[0][0] > WINDOW:
            self._history.popleft()
        since, before = self._history[0]
        rate = (over - before) / (now - since) if now > since and over - before >= SOON else 0.0
        left = (totals.tasks - over) / rate if rate else None
        news = self._news
        self._draw(totals, Story(self._elapsed, rate, left, list(news.outages), news.last_failure))

    def close(self) -> None:
        """Removes the block."""
        self._place.close()

    @property
    def _elapsed(self) -> float:
        return self._clock() - self._begin

    def _draw(self, totals: Totals, story: Story) -> None:
        begin = self._clock()
        place = self._place
        if place.is_usable:
            place.draw(block(totals, story, place.columns, place.room, self._colours))
        now = self._clock()
        self._next = now + max(INTERVAL, 20 * (now - begin))  # at most five percent of the time
