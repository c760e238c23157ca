"""A fake file system that counts checks, with a clock of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection

from b2luigi.core.ahead import LookAhead
from tests.waiting import PATIENCE


class Disk:
    """A check on the creating thread takes `seconds`; one on another thread waits until there are two at once."""

    def __init__(self, there: Collection[str] = (), seconds: float = 0.01, alone: bool = False) -> None:
        self.there, self.seconds = set(there), seconds
        self.now = 0.0
        self.checked: list[str] = []
        """Every path that was checked."""
        self.checked_ahead: list[str] = []
        """The paths that threads checked."""
        self.broken: set[str] = set()
        self._here = threading.get_ident()
        self._lock = threading.Lock()
        self._at_once = 0
        self._two = threading.Event()
        if alone:  # for tests with a single check on a thread
            self._two.set()

    def ahead(self, **how: bool) -> LookAhead:
        """A LookAhead on this disk."""
        return LookAhead(self.check, lambda: self.now, **how)

    def check(self, path: str) -> bool:
        """Whether a path exists."""
        with self._lock:
            self.checked.append(path)
        if threading.get_ident() == self._here:
            self.now += self.seconds
        else:
            self._check_ahead(path)
        if path in self.broken:
            raise OSError(5, "Input/output error", path)
        return path in self.there

    @property
    def had_two_at_once(self) -> bool:
        """Whether two threads checked at the same time."""
        return self._two.is_set()

    def _check_ahead(self, path: str) -> None:
        with self._lock:
            self.checked_ahead.append(path)
            self._at_once += 1
            if self._at_once > 1:
                self._two.set()
        assert self._two.wait(PATIENCE), "checks ran one after the other"
        with self._lock:
            self._at_once -= 1
