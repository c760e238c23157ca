"""Waiting for something to become true, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 100.0
"""Seconds after which something that normally takes moments is taken to never happen."""


def until(condition: Callable[[], object], what: str, every: float = 0.02) -> None:
    """Waits until something is true; after `PATIENCE` it is an error, which says what did not happen.

    `every`: seconds between two looks.
    """
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE:.0f} s in vain until {what}"
        time.sleep(every)
