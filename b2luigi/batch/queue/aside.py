"""Work that takes its time, such as reading a listing of ten thousand jobs, on a thread beside the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

LARGE = 50_000
"""Characters of an answer, of some hundred jobs, from which on reading it takes longer than a moment."""
_T = TypeVar("_T")


class Aside(Generic[_T]):
    """The result of some work, as soon as there is one. `at_once`: it takes a moment only, and needs no thread."""

    def __init__(self, work: Callable[[], _T], at_once: bool) -> None:
        self._work = work
        self._found: list[_T] = []
        self._error: Exception | None = None
        if at_once or not self._has_thread():
            self._run()

    @property
    def is_over(self) -> bool:
        """There is a result, or an error."""
        return bool(self._found) or self._error is not None

    def result(self) -> _T:
        """What the work returned, once it is over; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._found[0]

    def _has_thread(self) -> bool:
        try:
            threading.Thread(target=self._run, name="b2luigi-aside", daemon=True).start()
        except RuntimeError:  # no room for a thread for now
            return False
        return True

    def _run(self) -> None:
        try:
            self._found.append(self._work())
        except Exception as error:
            self._error = error
        except SystemExit as error:  # it would end this thread only, and nobody would hear of it
            self._error = RuntimeError(f"SystemExit: {error}")
