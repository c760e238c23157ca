"""LiveScreen: the block at the bottom of the terminal, drawn anew once a second."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from typing import TextIO

from b2luigi.batch.workers.totals import Totals
from b2luigi.monitor.display.block import Story, block
from b2luigi.monitor.display.region import Region
from b2luigi.monitor.display.short_messages import News

INTERVAL = 1.0
"""Seconds between two drawings: each looks at all jobs in flight."""
WINDOW = 600.0
"""Seconds over which the rate is taken."""
SOON = 3
"""Tasks that must have ended before an end is expected."""


class LiveScreen:
    """Shows the totals on the terminal of `stream`. `clock`: seconds; `in_foreground`: as in `Region`."""

    def __init__(
        self,
        stream: TextIO,
        news: News,
        colours: bool,
        clock: Callable[[], float] = time.monotonic,
        in_foreground: Callable[[int], bool] | None = None,
    ) -> None:
        self._region = Region(stream, in_foreground)
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
        self._region.close()

    @property
    def _elapsed(self) -> float:
        return self._clock() - self._begin

    def _draw(self, totals: Totals, story: Story) -> None:
        begin = self._clock()
        region = self._region
        if region.is_usable:
            region.draw(block(totals, story, region.size.columns - 1, region.room, self._colours))
        now = self._clock()
        self._next = now + max(INTERVAL, 20 * (now - begin))  # at most five percent of the time
