"""ExitOnInterrupt: Ctrl-C ends a script with an exit code and a sentence, not with a traceback."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import NoReturn

from b2luigi.batch.interrupts import SIGNALLED, interruption
from b2luigi.core.script import is_session

RESUME = "Interrupted. Run the script again to resume; complete tasks are not repeated."
STOPPED = "Interrupted."
EXIT_CODE = SIGNALLED + signal.SIGINT
"""As in a shell."""


_HOOKS = (threading._after_fork.__code__, multiprocessing.util._exit_function.__code__)  # type: ignore[attr-defined]


class ExitOnInterrupt:
    """While entered, Ctrl-C ends the script with exit code 130 and prints `sentence`.

    Also raises KeyboardInterrupt like Python does, so that everything in between can clean up. A handler of the user
    stays, and so does a signal that is ignored (in a background script). Python delivers signals to the main thread
    only, so on any other thread this does nothing. In a notebook or session, KeyboardInterrupt goes on to the user.
    """

    def __init__(self) -> None:
        self.sentence = RESUME
        """Empty: KeyboardInterrupt leaves this as any other exception does."""
        self._pid = os.getpid()
        self._is_installed = self._is_deferred = self._is_received = self._is_leaving = False

    def __enter__(self) -> ExitOnInterrupt:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and _is_replaceable(signal.getsignal(signal.SIGINT)):
            signal.signal(signal.SIGINT, self._handle)
            self._is_installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_leaving = isinstance(error, KeyboardInterrupt) and bool(self.sentence) and os.getpid() == self._pid
        if self._is_leaving:
            print(self.sentence, file=sys.stderr)
        if self._is_leaving and is_session():
            self._is_leaving = False
            self._restore()
            raise KeyboardInterrupt from None
        if self._is_leaving:
            if self._is_installed:  # and stays so: luigi may have left a pool of processes that forks others
                atexit.register(signal.signal, signal.SIGINT, _exit_at_once)
            self._is_leaving = False
            sys.exit(EXIT_CODE)
        self._restore()

    def _restore(self) -> None:
        if self._is_installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Ctrl-C takes effect at the end; a second one, and any in a process that is forked here, at once.

        For imports and forks: Python drops what is raised in some of their hooks.
        """
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
            self.check()

    def check(self) -> None:
        """Raises KeyboardInterrupt if there was a Ctrl-C: luigi drops it in callbacks of events, for example."""
        if self._is_received:
            raise interruption(self._pid)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_second, self._is_received = self._is_received, True
        if self._is_leaving or (frame is not None and frame.f_code is ExitOnInterrupt.__exit__.__code__):
            return
        if _is_shutdown(frame) or _is_hook(frame):
            _exit_at_once(number, frame)
        if is_second or not self._is_deferred or os.getpid() != self._pid:
            raise interruption(self._pid)


def _is_shutdown(frame: FrameType | None) -> bool:
    """The main thread waits for all others, after the script: that is no place to raise something."""
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == threading.__name__


def _is_hook(frame: FrameType | None) -> bool:
    """Python is about to begin a process that was forked, or to end this one: it would drop what is raised there."""
    while frame is not None:
        if frame.f_code in _HOOKS:
            return True
        frame = frame.f_back
    return False


def _is_replaceable(handler: object) -> bool:
    ours = getattr(handler, "__func__", None) is ExitOnInterrupt._handle  # of a call that was interrupted
    return ours or handler is signal.default_int_handler


def _exit_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """Ctrl-C while Python shuts down, where it would only print a traceback."""
    for process in multiprocessing.active_children():
        process.terminate()
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        sys.stdout.flush()
    os._exit(EXIT_CODE)
