"""dispatch: runs a task through its job script, in a process of its own on this machine."""

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
from b2luigi.core.process_call import DISPATCHED, running_call
from b2luigi.core.settings import get_setting
from b2luigi.core.task import Task

_IN_PROCESS_FLAGS = ("--batch-runner", "--test")
"""Flags with which tasks run in the current process: on a node, and in a test."""


def dispatch(run_function: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Decorator of a task's `run`: runs it through the task's job script, in a process of its own.

    That gives it the environment set by `env_script`, `env`, `executable` and related settings, and writes its output
    to `stdout` and `stderr` in the log folder of the task. If the process crashes, the script survives.
    In a job of a batch system, and with `--test`, `run` is called directly.

    Raises RuntimeError, with the last lines of stderr, if the process fails. Raises TypeError for a `run` that yields
    requirements, since these cannot be passed on from the other process.
    """
    if inspect.isgeneratorfunction(inspect.unwrap(run_function)):
        raise TypeError(_yields_message(run_function.__qualname__))

    @functools.wraps(run_function)
    def dispatched(self: luigi.Task) -> None:
        if not _runs_in_process(self):
            run_task_remote(self)
        elif isinstance(run_function(self), Generator):
            raise TypeError(_yields_message(f"{self.get_task_family()}.run"))

    setattr(dispatched, DISPATCHED, True)
    return dispatched


class DispatchableTask(Task):
    """A task that runs in a process of its own, see `dispatch`. Define `process` instead of `run`."""

    def process(self) -> None:
        """The work of the task."""
        raise NotImplementedError(f"{type(self).__name__} is a DispatchableTask: define its method process.")

    @dispatch
    def run(self) -> Any:
        """Calls `process` in a process of its own."""
        return self.process()


def run_task_remote(task: luigi.Task) -> None:
    """Runs a task through its job script, in a process of its own, and waits for its end.

    Ctrl-C and SIGTERM also stop that process and its children. Raises RuntimeError if it fails, ValueError for a
    setting that cannot work.
    """
    _refuse_container(task)
    logs = Path(get_log_file_dir(task))
    logs.mkdir(parents=True, exist_ok=True)
    code = _run(create_executable_wrapper(task), logs)
    if code != 0:
        raise RuntimeError(_failure(task, code, logs))


def _refuse_container(task: luigi.Task) -> None:
    """Raises ValueError, naming the setting, if this machine lacks something that the task's container needs."""
    if get_setting("apptainer_image", task=task):
        from b2luigi.core.container_settings import refuse_if_missing_here  # few tasks need it

        refuse_if_missing_here(task)


def _runs_in_process(task: luigi.Task) -> bool:
    ours = itertools.takewhile(lambda word: word != "--", sys.argv[1:])
    if running_call().in_process or any(word in _IN_PROCESS_FLAGS for word in ours):
        return True
    return bool(get_setting("_dispatch_local_execution", default=False, task=task, deprecated_keys=["local_execution"]))


def _run(script: str, logs: Path) -> int:
    try:
        with Interrupts() as interrupts:
            return _run_to_end(script, logs, interrupts)
    except Terminated as error:
        # How the script handles the signal is up to the script: raise it again, now that the process has ended.
        os.kill(os.getpid(), int(error.code or 0) - SIGNALLED)
        raise


def _run_to_end(script: str, logs: Path, interrupts: Interrupts) -> int:
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
            # In a new session, so that a Ctrl-C at the terminal reaches only us, and we stop the process.
            return subprocess.Popen(
                [script], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
            )
        except OSError as error:
            raise RuntimeError(f"The job script {script} cannot be started (setting shell): {error}") from error


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the job script and its children to stop, and kills them after the timeout."""
    end = time.monotonic() + KILL_AFTER
    alive = _signal(process.pid, signal.SIGTERM)
    while alive and time.monotonic() < end:
        time.sleep(0.02)
        process.poll()  # reap it, or it would count as alive; the group keeps its id as long as a child is alive
        alive = _signal(process.pid, 0)
    if alive:
        _signal(process.pid, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Sends a signal to a process group; returns whether the group exists."""
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


def _yields_message(name: str) -> str:
    return (
        f"{name} cannot be dispatched: it yields requirements, which cannot be passed on from another process. "
        "Return them from requires(), or run the task as a job (--batch), or without dispatch."
    )
