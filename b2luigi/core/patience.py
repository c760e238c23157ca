"""Steps that a full or read-only disk prevents for a while are repeated, since what they finish took hours."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Collection
from typing import TypeVar

logger = logging.getLogger("luigi-interface.b2luigi")

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds between two tries; they double from the one to the other."""
FOR_GOOD = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP})
"""Errors that no waiting ends."""
PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
"""Errors of a disk that is full, read-only or away."""
OF_THE_KERNEL = ("/proc/", "/sys/")
"""Where nobody can make a file, whatever the error (mkdir says that there is no such folder)."""
_T = TypeVar("_T")


def patiently(action: Callable[[], _T], grace: Callable[[], float], passing: Collection[int] | None = None) -> _T:
    """Returns what `action` returns, which is called again as long as it raises OSError, and there is time.

    `grace`: gives the seconds that there are; called after the first error only.
    `passing`: error numbers that are waited for; None: all but those that no waiting ends. Raises the last OSError.
    """
    try:
        return action()
    except OSError as error:
        if not _may_pass(error, passing):
            raise
        seconds = grace()
        if seconds > 0:
            logger.warning("b2luigi: a file operation failed; retrying for %g s: %s", seconds, error)
    return _repeated(action, seconds, passing)


def _repeated(action: Callable[[], _T], seconds: float, passing: Collection[int] | None) -> _T:
    end, pause = time.monotonic() + seconds, FIRST_PAUSE
    while True:
        left = end - time.monotonic()
        time.sleep(max(0.0, min(pause, left)))
        try:
            return action()
        except OSError as error:
            if not _may_pass(error, passing) or left <= pause:
                raise
        pause = min(2 * pause, LONGEST_PAUSE)


def _may_pass(error: OSError, passing: Collection[int] | None) -> bool:
    if str(error.filename).startswith(OF_THE_KERNEL):
        return False
    return error.errno not in FOR_GOOD if passing is None else error.errno in passing
