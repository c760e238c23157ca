"""The Worker's result queue: the place where luigi's loop waits, and so the place from which jobs are looked after."""

from __future__ import annotations

import collections
import contextlib
import queue
import time
from collections.abc import Callable
from typing import Any, Protocol

from b2luigi.batch.attempts.outcome import plain
from b2luigi.batch.queue.backoff import Backoff

SHORTEST, LONGEST, GROWTH = 0.02, 0.15, 1.5
"""Seconds between two looks: short after anything happened, then longer and longer."""


class RealQueue(Protocol):
    """luigi's own queue, which tasks in other processes of this machine need."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Waits for a result; raises queue.Empty."""

    def close(self) -> None:
        """No more results."""


class Results:
    """One queue over both: results of this process, first come first served, and luigi's own for other processes.

    `look` is called at each turn of the wait, `naps` says how long a turn is; tests replace them.
    """

    def __init__(self, real: RealQueue, look: Callable[[], None], naps: Backoff | None = None) -> None:
        self.real = real
        self._look = look
        self._results: collections.deque[Any] = collections.deque()
        self._naps = naps or Backoff(time.monotonic, first=SHORTEST, most=LONGEST, growth=GROWTH)

    def __len__(self) -> int:
        return len(self._results)

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Takes a result."""
        self._results.append(obj)

    def get(self, block: bool = True, timeout: float | None = 1.0) -> Any:
        """The next result; raises queue.Empty after `timeout` seconds."""
        end = time.monotonic() + (timeout or 0.0)
        while not self._results:
            self._look()
            if self._results:
                break
            left = end - time.monotonic()
            self._wait(max(left, 0.001))  # at least once: a result of another process may be there
            if left <= 0 and not self._results:
                raise queue.Empty
        self._naps.reset()
        return _as_json(self._results.popleft())

    def gather(self) -> None:
        """Takes in what tasks in other processes have left so far; waits for none."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._results.append(self.real.get(timeout=0))

    def stir(self) -> None:
        """Something happened: look again soon."""
        self._naps.reset()

    def close(self) -> None:
        """No more results."""
        self.real.close()

    def _wait(self, left: float) -> None:
        """Sleeps on luigi's own queue, so that a task in another process wakes us at once."""
        with contextlib.suppress(queue.Empty):
            self._results.append(self.real.get(timeout=min(left, self._naps.put_off())))


def _as_json(result: Any) -> Any:
    """luigi's worker takes an explanation only if JSON does."""
    if not isinstance(result, tuple) or len(result) != 5:
        return result
    task_id, status, explanation, missing, new_requirements = result
    return task_id, status, plain(explanation), missing, new_requirements
