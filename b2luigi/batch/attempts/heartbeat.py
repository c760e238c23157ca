"""Heartbeat: shows runs on other hosts that this one is alive, whatever luigi's loop is busy with."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

BEAT = 15.0
"""Seconds between two touches of the owner file."""
SILENCE = 60.0
"""Seconds without a touch, on the clock of the observer, after which a run on another host counts as dead."""


def since_boot() -> float:
    """Seconds since the machine was started, including those in which it was suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Heartbeat:
    """Touches a file every so many seconds, on a thread of its own, from `start` to `stop`.

    The loop may wait for minutes: for a `complete()` of the user, for luigi's scheduler. A forked child does not have
    this thread, so that it never passes for the run.
    """

    def __init__(self, path: Path, every: float = BEAT, clock: Callable[[], float] = since_boot) -> None:
        self._path, self._every, self._clock = path, every, clock
        self._stopped = threading.Event()
        self._last, self._longest = clock(), 0.0

    def start(self) -> None:
        """Starts the thread. Raises OSError if there is no room for one for now."""
        try:
            threading.Thread(target=self._beat_on, name=f"b2luigi-heartbeat {self._path}", daemon=True).start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, str(error)) from error

    def stop(self) -> None:
        """Ends the thread: the run is over."""
        self._stopped.set()

    def beat(self) -> None:
        """Touches the file, if it is there and can be written."""
        try:
            os.utime(self._path)
        except OSError:
            return
        now = self._clock()
        self._last, self._longest = now, max(self._longest, now - self._last)

    @property
    def was_silent(self) -> bool:
        """There was a gap, perhaps until now, so long that others took this run for dead: it was suspended, say."""
        return max(self._longest, self._clock() - self._last) >= SILENCE

    def _beat_on(self) -> None:
        while not self._stopped.wait(self._every):
            self.beat()
