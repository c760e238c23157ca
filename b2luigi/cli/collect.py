"""The tasks of a script, without running them: what it passes to `process`, for commands that look at the graph."""

from __future__ import annotations

import contextlib
import contextvars
import os
import sys
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

import luigi

_collected: ContextVar[list[luigi.Task] | None] = contextvars.ContextVar("b2luigi_collected", default=None)
"""Where `process` puts its tasks instead of running them; None: it runs them."""


def collect(tasks: Sequence[luigi.Task]) -> bool:
    """Called by `process`. True if the tasks are only looked at, and nothing may run."""
    found = _collected.get()
    if found is None:
        return False
    found.extend(tasks)
    return True


@contextlib.contextmanager
def collecting() -> Iterator[list[luigi.Task]]:
    """While entered, `process` runs nothing, and puts its tasks into this list."""
    found: list[luigi.Task] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def tasks_of_script(script: Path, arguments: Sequence[str] = ()) -> list[luigi.Task]:
    """Runs a script up to its end, in this process and as `__main__`, with `process` only noting its tasks.

    Raises OSError if it cannot be read, and whatever the script raises.
    """
    script = script.absolute()
    code = compile(script.read_bytes(), str(script), "exec")
    main = sys.modules["__main__"]
    sys.argv[:] = [str(script), *arguments]
    sys.path.insert(0, os.path.dirname(script))
    vars(main).update(__file__=str(script), __name__="__main__", __spec__=None)
    with collecting() as found:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what it prints is no part of our own output
                exec(code, vars(main))
        except SystemExit as error:
            if error.code not in (None, 0):
                raise
    return found
