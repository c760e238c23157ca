"""Backoff: when to try or ask next, if each wait is longer than the one before."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """The moment of the next try. Waits begin with `first` seconds and grow by a factor, to `most` seconds.

    New, or after `reset`, the next try is due at once. `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float], *, first: float, most: float, growth: float = 2.0) -> None:
        self._clock = clock
        self._first, self._most, self._growth = min(first, most), most, growth
        self._wait: float | None = None
        """The last wait, from which the next one grows."""
        self._due = float("-inf")

    @property
    def is_due(self) -> bool:
        """The time of the next try has come."""
        return self._clock() >= self._due

    def put_off(self, growth: float | None = None) -> float:
        """The next try comes after the next longer wait, which is returned in seconds. `growth`: only this time."""
        grown = self._first if self._wait is None else self._wait * (growth or self._growth)
        self._wait = min(grown, self._most)
        self.due_in(self._wait)
        return self._wait

    def reset(self) -> None:
        """It worked: the next try is due at once, and the next wait is the first one again."""
        self._wait, self._due = None, float("-inf")

    def restart(self) -> None:
        """As if the first wait had just begun; a try that is due sooner stays so."""
        self._wait = self._first
        self.due_within(self._first)

    def due_in(self, seconds: float) -> None:
        """The next try comes after so many seconds; the waits after that are not changed."""
        self._due = self._clock() + seconds

    def due_within(self, seconds: float) -> None:
        """The next try comes after so many seconds, if not sooner."""
        self._due = min(self._due, self._clock() + seconds)
