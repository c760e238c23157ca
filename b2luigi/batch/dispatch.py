"""dispatch: a task that runs in a process of its own, on this machine, by means of its job script."""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import luigi

from b2luigi.batch.interrupts import SIGNALLED, Interrupts, Terminated
from b2luigi.batch.messages.failure import tail
from b2luigi.batch.queue.process_groups import KILL_AFTER
from b2luigi.core.executable import create_executable_wrapper
from b2luigi.core.paths import get_log_file_dir
from b2luigi.core.settings import get_setting
from b2luigi.core.task import Task

_IN_PLACE = ("--batch-runner", "--test")
"""Flags of a process in which tasks run where they are: a node, and a test."""


def dispatch(run: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Decorator of a task's `run`: it is executed in a process of its own, by the job script of the task.

    So it has the environment that `env_script`, `env`, `executable` and their kin say, and its output goes to `stdout`
    and `stderr` in the log folder of the task. A process that crashes does not take the script with it.
    In a job of a batch system, and with `--test`, `run` is called where it is.

    Raises RuntimeError, with the last lines of stderr, if the process fails. A `run` that yields requirements is
    refused with a TypeError: they could not be handed over from the other process.
    """
    if inspect.isgeneratorfunction(inspect.unwrap(run)):
        raise TypeError(_no_generator(run.__qualname__))

    @functools.wraps(run)
    def dispatched(self: luigi.Task) -> None:
        if not _runs_here(self):
            run_task_remote(self)
        elif isinstance(run(self), Generator):
            raise TypeError(_no_generator(f"{self.get_task_family()}.run"))

    return dispatched


class DispatchableTask(Task):
    """A task that runs in a process of its own, see `dispatch`. Define `process` in place of `run`."""

    def process(self) -> None:
        """What the task does."""
        raise NotImplementedError(f"{type(self).__name__} is a DispatchableTask: define its method process.")

    @dispatch
    def run(self) -> Any:
        """Calls `process` in a process of its own."""
        return self.process()


def run_task_remote(task: luigi.Task) -> None:
    """Runs a task by its job script, in a process of its own, and waits for its end.

    Ctrl-C and SIGTERM stop that process, too, with all it started. Raises RuntimeError if it fails.
    """
    logs = Path(get_log_file_dir(task))
    logs.mkdir(parents=True, exist_ok=True)
    code = _run(create_executable_wrapper(task), logs)
    if code != 0:
        raise RuntimeError(_failure(task, code, logs))


def _runs_here(task: luigi.Task) -> bool:
    ours = itertools.takewhile(lambda word: word != "--", sys.argv[1:])
    return any(word in _IN_PLACE for word in ours) or bool(
        get_setting("_dispatch_local_execution", default=False, task=task, deprecated_keys=["local_execution"])
    )


def _run(script: str, logs: Path) -> int:
    try:
        with Interrupts() as interrupts:
            return _to_the_end(script, logs, interrupts)
    except Terminated as error:
        # What such a signal does to the script is not for us to say: it comes again, now that the process is gone.
        os.kill(os.getpid(), int(error.code or 0) - SIGNALLED)
        raise


def _to_the_end(script: str, logs: Path, interrupts: Interrupts) -> int:
    process = None
    try:
        with interrupts.deferred():
            process = _start(script, logs)
        return process.wait()
    finally:
        if process is not None and process.returncode is None:
            with interrupts.ignored():
                _stop(process)


def _start(script: str, logs: Path) -> subprocess.Popen[bytes]:
    with open(logs / "stdout", "wb") as stdout, open(logs / "stderr", "wb") as stderr:
        try:
            # A session of its own: a Ctrl-C at the terminal comes to us, and we see to its end.
            return subprocess.Popen(
                [script], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
            )
        except OSError as error:
            raise RuntimeError(f"The job script {script} cannot be started (setting shell): {error}") from error


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the job script and all it started to stop, and makes them stop when their time is over."""
    end = time.monotonic() + KILL_AFTER
    lives = _signal(process.pid, signal.SIGTERM)
    while lives and time.monotonic() < end:
        time.sleep(0.02)
        process.poll()  # reaped, or it would count as one that lives; its id stays theirs as long as one of them does
        lives = _signal(process.pid, 0)
    if lives:
        _signal(process.pid, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Whether there was anybody to hear it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _failure(task: luigi.Task, code: int, logs: Path) -> str:
    words = tail([logs / "stderr"])
    lines = [
        f"Execution failed with return code {code}.",
        f"  task id: {task.task_id}",
        f"  logs:    {logs}{os.sep} (stdout, stderr)",
        *(["  last words:"] if words else []),
        *(f"    | {line}" for line in words.splitlines()),
    ]
    return "\n".join(lines)


def _no_generator(name: str) -> str:
    return (
        f"{name} cannot be dispatched, since it yields requirements, which cannot be handed over from another "
        "process. Name them in requires(), or run the task as a job (--batch), or without dispatch."
    )
