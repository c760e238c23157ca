"""Runs commands without blocking the loop."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import IO, Protocol

from b2luigi.batch.systems.environment import without_outer_job
from b2luigi.batch.systems.model import Answer, Command

TIMEOUT = 60.0
"""Seconds a command may take; the setting `command_timeout`."""
PASSING = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE}
"""Reasons for which a program could not be started, and that may have passed by the next try."""
KILL_WAIT = 0.5
"""Seconds to wait for the end of a program that was killed."""
GLANCE = 0.02
"""Seconds between two looks at a program that is waited for."""
NOT_FOUND, NOT_EXECUTABLE = 127, 126
LONGEST_WORD, LONGEST_LINE = 100_000, 1_000_000
"""Bytes of one word of a command, and of all of them: Linux accepts 128 KiB and about 2 MiB (execve(2))."""


def fits(command: Command) -> bool:
    """Whether the system can start a command as long as this one."""
    sizes = [len(os.fsencode(word)) + 1 for word in command.argv]
    return max(sizes) <= LONGEST_WORD and sum(sizes) <= LONGEST_LINE


class Running(Protocol):
    """A command that was started."""

    def poll(self) -> Answer | None:
        """The answer, or None before there is one. Never blocks, never raises."""


class Answered:
    """A command whose answer is known from the start."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def poll(self) -> Answer | None:
        return self._answer


class Process:
    """A started program with a session of its own, so that a Ctrl-C at the terminal does not reach it.

    Its output goes to unnamed files: nothing has to be read while it runs, and it cannot block on a full pipe.
    """

    def __init__(self, command: Command, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._timeout = clock, timeout
        self._deadline = clock() + timeout
        self._answer: Answer | None = None
        with contextlib.ExitStack() as opened:
            files = [opened.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            stdin, self._stdout, self._stderr = files
            stdin.write(command.stdin.encode(errors="surrogateescape"))
            stdin.seek(0)
            self._process = subprocess.Popen(
                command.argv,
                stdin=stdin,
                stdout=self._stdout,
                stderr=self._stderr,
                env=_environment(command),
                start_new_session=True,
            )
            stdin.close()
            opened.pop_all()

    def poll(self) -> Answer | None:
        if self._answer is None:
            self._look()
        return self._answer

    def _look(self) -> None:
        rc = self._process.poll()
        if rc is not None:
            self._answer = Answer(rc, _text(self._stdout), _text(self._stderr))
        elif self._clock() >= self._deadline:
            self._kill()
            self._answer = Answer(-signal.SIGKILL, _text(self._stdout), _text(self._stderr), self._timeout)

    def stop(self) -> None:
        """Kills the program and all it started; there is no answer."""
        if self._answer is None:
            self._kill()
            self._stdout.close()
            self._stderr.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        # A process that hangs in a dead file system cannot even be killed: nobody waits for it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_WAIT)


def start(command: Command, timeout: float = TIMEOUT) -> Running:
    """Starts a program and returns at once. If there is no such program, the answer has exit code 127.

    If it cannot be started for another reason, the exit code is 126; `Answer.started` says whether that may pass.

    `timeout`: seconds after which the program, and all it started, is killed.
    """
    try:
        return Process(command, timeout)
    except (OSError, ValueError) as error:
        # A missing folder for temporary files is a FileNotFoundError, too.
        if isinstance(error, FileNotFoundError) and error.filename == command.argv[0]:
            return Answered(Answer(NOT_FOUND, "", f"{command.argv[0]}: command not found"))
        passing = isinstance(error, OSError) and error.errno in PASSING
        return Answered(Answer(NOT_EXECUTABLE, "", f"{command.argv[0]}: {error}", started=not passing))


def run(command: Command, timeout: float = TIMEOUT) -> Answer:
    """Runs a program and waits for its answer, which is like that of `start`.

    An exception that ends the wait (Ctrl-C) ends the program, too, with all it started.
    """
    running = start(command, timeout)
    try:
        while (answer := running.poll()) is None:
            time.sleep(GLANCE)
    except BaseException:
        if isinstance(running, Process):
            running.stop()
        raise
    return answer


def _environment(command: Command) -> dict[str, str]:
    dropped = tuple(name[:-1] for name, value in command.env.items() if value is None and name.endswith("*"))
    inherited = {name: value for name, value in without_outer_job(os.environ).items() if not name.startswith(dropped)}
    changed = {**inherited, **command.env}
    return {name: value for name, value in changed.items() if value is not None}


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    text = file.read().decode(errors="replace")
    file.close()
    return text
