"""The call of `process` that is running: what code called by luigi needs to know, as luigi passes on no arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

DISPATCHED = "is_dispatched"
"""Attribute of a `run` that goes through the job script of its task."""


@dataclass(frozen=True)
class ProcessCall:
    """One call of `process` in a script."""

    number: int = 1
    """Counted from 1 in each script; a node finds the task through the same call."""
    in_process: bool = False
    """Whether dispatched tasks run in the process of the script (`--test`)."""
    failure_exit_code: int = 0
    """The exit code of a run that fails, unless a setting has another one (`--failure-exit-code`)."""
    of_project: bool = False
    """Whether the tasks are those of a project: nodes import their modules, and run no script."""


_RUNNING: ContextVar[ProcessCall | None] = ContextVar("_RUNNING", default=None)


def running_call() -> ProcessCall:
    """The call of `process` that is running; outside of one, it is like a first call."""
    return _RUNNING.get() or ProcessCall()


@contextmanager
def running(call: ProcessCall) -> Iterator[None]:
    """While entered, this is the call that is running."""
    token = _RUNNING.set(call)
    try:
        yield
    finally:
        _RUNNING.reset(token)
