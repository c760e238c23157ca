"""Ctrl-C, SIGTERM and SIGHUP, kept away from the moments in which a job could be lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNALLED = 128
"""Added to the number of a signal: the exit code of what it ended, as a shell reports it."""


class Terminated(SystemExit):
    """The end of the run by SIGTERM or SIGHUP, as distinct from a SystemExit that a user's code raises."""

    @property
    def is_hangup(self) -> bool:
        """The terminal is gone, or a service is being stopped: the jobs stay."""
        return self.code == SIGNALLED + signal.SIGHUP


class Interrupts:
    """While entered, these end the run: SIGINT as KeyboardInterrupt, SIGTERM and SIGHUP as SystemExit(143, 129).

    One that was ignored before (a script in the background) stays ignored. Within `deferred` they wait until its
    end. Anywhere but on the main thread all of this does nothing, since Python hands signals to that one only.
    """

    def __init__(self) -> None:
        self._former: dict[signal.Signals, Any] = {}
        self._depth = 0
        self._came: int | None = None
        self._cleaning = False
        self.came_again = False
        """There was another one while the run was cleaning up after the first."""

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
            self._former = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            # None: a handler that Python did not install and cannot put back (basf2 and ROOT embed Python).
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former, self._came = {}, None

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """No signal falls between a submission and its record."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._came is not None and not self._depth:
                self._raise(self._came)

    @contextlib.contextmanager
    def ignored(self) -> Iterator[None]:
        """A second Ctrl-C does not disturb the cleaning up after the first, it is only noted."""
        self._depth += 1
        self._cleaning, self._came = True, None
        try:
            yield
        finally:
            self._depth -= 1
            self._cleaning, self._came = False, None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # Kept: what is raised here may get lost (Python drops exceptions in hooks of fork, weak references, __del__),
        # and is raised again at the end of the next `deferred`.
        self._came = number
        self.came_again = self.came_again or self._cleaning
        if not self._depth:
            self._raise(number)

    def _raise(self, number: int) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Terminated(SIGNALLED + number)
