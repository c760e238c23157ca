"""A file system that counts, and takes its time by a clock of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection

from b2luigi.core.ahead import LookAhead
from tests.waiting import PATIENCE


class Disk:
    """Each look of the thread that made it takes `seconds`; a look of another one waits until there are two at once."""

    def __init__(self, there: Collection[str] = (), seconds: float = 0.01, alone: bool = False) -> None:
        self.there, self.seconds = set(there), seconds
        self.now = 0.0
        self.looks: list[str] = []
        """Every path that was looked at."""
        self.looks_ahead: list[str] = []
        """Those that threads looked at."""
        self.broken: set[str] = set()
        self._here = threading.get_ident()
        self._lock = threading.Lock()
        self._at_once = 0
        self._two = threading.Event()
        if alone:  # a test with one look ahead only
            self._two.set()

    def ahead(self, **how: bool) -> LookAhead:
        """What is to be entered, on this disk."""
        return LookAhead(self.look, lambda: self.now, **how)

    def look(self, path: str) -> bool:
        """Whether there is something at a path."""
        with self._lock:
            self.looks.append(path)
        if threading.get_ident() == self._here:
            self.now += self.seconds
        else:
            self._look_ahead(path)
        if path in self.broken:
            raise OSError(5, "Input/output error", path)
        return path in self.there

    @property
    def were_two_at_once(self) -> bool:
        """Whether two threads looked at the same time."""
        return self._two.is_set()

    def _look_ahead(self, path: str) -> None:
        with self._lock:
            self.looks_ahead.append(path)
            self._at_once += 1
            if self._at_once > 1:
                self._two.set()
        assert self._two.wait(PATIENCE), "looks came one after the other"
        with self._lock:
            self._at_once -= 1
