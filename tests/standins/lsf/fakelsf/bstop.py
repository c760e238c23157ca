"""`bstop`: bkill with the signal that suspends jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import bkill

if TYPE_CHECKING:
    from .command import Answer, Call


def run(call: Call) -> Answer:
    """Suspend jobs."""
    call.argv[:0] = ["-s", "STOP"]
    return bkill.run(call)
