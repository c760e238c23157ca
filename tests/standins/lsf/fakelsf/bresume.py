"""`bresume`: bkill with the signal that continues jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import bkill

if TYPE_CHECKING:
    from .command import Answer, Call


def run(call: Call) -> Answer:
    """Continue jobs."""
    call.argv[:0] = ["-s", "CONT"]
    return bkill.run(call)
