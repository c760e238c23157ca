"""A command that starts as soon as what it rests on is on disk, for good; the loop does not wait for that."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

from b2luigi.batch.queue.command import NOT_EXECUTABLE, Answered, Running
from b2luigi.batch.systems.model import Answer, Command


def start_synced(start: Callable[[Command], Running], sync: Callable[[], None]) -> Callable[[Command], Running]:
    """Like `start`, but `sync`, which may take long, comes before the command. It runs on a thread of its own.

    If it raises an OSError, the command is not started, and may be another time.
    """
    return lambda command: Synced(command, start, sync)


class Synced:
    """One such command."""

    def __init__(self, command: Command, start: Callable[[Command], Running], sync: Callable[[], None]) -> None:
        self._command, self._start, self._sync = command, start, sync
        self._running: Running | None = None
        self._problem: OSError | None = None
        self._thread = threading.Thread(target=self._work, name="b2luigi-sync", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no room for a thread for now
            self._problem = OSError(errno.EAGAIN, str(error))

    def poll(self) -> Answer | None:
        """The answer once there is one, None before. Never blocks."""
        if self._running is None:
            if self._thread.is_alive():
                return None
            self._running = self._begun()
        return self._running.poll()

    def _begun(self) -> Running:
        if self._problem is None:
            return self._start(self._command)
        words = f"{self._command.argv[0]} was not started: {self._problem}"
        return Answered(Answer(NOT_EXECUTABLE, "", words, started=False))

    def _work(self) -> None:
        try:
            self._sync()
        except OSError as error:
            self._problem = error
