"""Ctrl-C, SIGTERM and SIGHUP, deferred at moments when they could cause a job to be lost."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNALLED = 128
"""Exit code of a process stopped by a signal, as in a shell: this plus the number of the signal."""


class Terminated(SystemExit):
    """SIGTERM or SIGHUP ends the run; distinct from a SystemExit raised by the user's code."""

    @property
    def is_hangup(self) -> bool:
        """Whether the terminal was closed or a service stopped: then the jobs keep running."""
        return self.code == SIGNALLED + signal.SIGHUP


class Interrupted(KeyboardInterrupt, SystemExit):
    """Ctrl-C in a process of `multiprocessing`, which would print a traceback of any other exception."""

    def __init__(self) -> None:
        super().__init__()
        self.code = SIGNALLED + signal.SIGINT


def interruption(pid: int) -> KeyboardInterrupt:
    """What Ctrl-C raises in this process; `pid`: the process that has installed the handler."""
    is_child = os.getpid() != pid or multiprocessing.parent_process() is not None
    return Interrupted() if is_child else KeyboardInterrupt()


class Interrupts:
    """While entered, signals end the run: SIGINT as KeyboardInterrupt, SIGTERM and SIGHUP as SystemExit(143, 129).

    A signal that was ignored before (in a background script) stays ignored. Within `deferred`, signals take effect at
    its end. On other threads than the main thread this does nothing, since Python delivers signals only to that one.
    """

    def __init__(self) -> None:
        self._former: dict[signal.Signals, Any] = {}
        self._pid = os.getpid()
        self._depth = 0
        self._received: int | None = None
        self._cleaning_up = False
        self.interrupted_again = False
        """Another signal arrived while the run was cleaning up after the first."""

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            handled = [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
            self._former = {number: signal.signal(number, self._handle) for number in handled}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            # None: a handler that Python did not install and cannot restore (basf2 and ROOT embed Python).
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former, self._received = {}, None

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Signals take effect at the end, so that none separates a submission from its record."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._received is not None and not self._depth:
                self._raise(self._received)

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """A wait within `deferred` in which no job can get lost: signals take effect at once."""
        depth = self._depth
        try:
            self._depth = 0
            if self._received is not None:
                self._raise(self._received)
            yield
        finally:
            self._depth = depth

    @contextlib.contextmanager
    def ignored(self) -> Iterator[None]:
        """A second Ctrl-C does not interrupt the cleanup after the first, it only sets `interrupted_again`."""
        self._depth += 1
        self._cleaning_up, self._received = True, None
        try:
            yield
        finally:
            self._depth -= 1
            self._cleaning_up, self._received = False, None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # Python drops exceptions raised here in some places (fork hooks, weak reference callbacks, __del__), so the
        # signal is stored and raised again at the end of the next `deferred`.
        self._received = number
        self.interrupted_again = self.interrupted_again or self._cleaning_up
        if not self._depth or os.getpid() != self._pid:  # what is deferred here goes on in the parent process
            self._raise(number)

    def _raise(self, number: int) -> None:
        if number == signal.SIGINT:
            raise interruption(self._pid)
        raise Terminated(SIGNALLED + number)
