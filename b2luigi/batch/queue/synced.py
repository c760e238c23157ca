"""A command that starts as soon as what it rests on is on disk, for good; the loop does not wait for that."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from b2luigi.batch.queue.command import NOT_EXECUTABLE, Answered, Running
from b2luigi.batch.systems.model import Answer, Command

Step = Callable[[], None]
"""Something that has to be on disk first. Raises OSError if it cannot be now, and may be another time."""


class Recorded(Running, Protocol):
    """A command that starts only if all that comes before it went well."""

    @property
    def problem(self) -> Exception | None:
        """What did not: then the command was not started."""


StartRecorded = Callable[[Command, Iterable[Step]], Recorded]


def start_recorded(start: Callable[[Command], Running]) -> StartRecorded:
    """Like `start`, but some steps come before the command; the caller waits for them."""
    return lambda command, steps: Prompt(command, start, steps)


def start_synced(start: Callable[[Command], Running], sync: Step) -> StartRecorded:
    """Like `start`, but some steps, and then `sync`, come before the command. They run on a thread of its own."""
    return lambda command, steps: Synced(command, start, [*steps, sync])


class Prompt:
    """A command that was started when its steps were done."""

    def __init__(self, command: Command, start: Callable[[Command], Running], steps: Iterable[Step]) -> None:
        self.problem = _problem_of(steps)
        self._running = start(command) if self.problem is None else _not_started(command, self.problem)

    def poll(self) -> Answer | None:
        return self._running.poll()


class Synced:
    """A command that is started when a thread has done its steps."""

    def __init__(self, command: Command, start: Callable[[Command], Running], steps: Iterable[Step]) -> None:
        self._command, self._start, self._steps = command, start, steps
        self._running: Running | None = None
        self.problem: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="b2luigi-sync", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no room for a thread for now
            self.problem = OSError(errno.EAGAIN, str(error))

    def poll(self) -> Answer | None:
        """The answer once there is one, None before. Never blocks."""
        if self._running is None:
            if self._thread.is_alive():
                return None
            self._running = (
                self._start(self._command) if self.problem is None else _not_started(self._command, self.problem)
            )
        return self._running.poll()

    def _work(self) -> None:
        self.problem = _problem_of(self._steps)


def _problem_of(steps: Iterable[Step]) -> Exception | None:
    try:
        for step in steps:
            step()
    except Exception as error:
        return error
    return None


def _not_started(command: Command, problem: Exception) -> Answered:
    return Answered(Answer(NOT_EXECUTABLE, "", f"{command.argv[0]} was not started: {problem}", started=False))
