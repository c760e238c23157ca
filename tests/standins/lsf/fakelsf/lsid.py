"""`lsid`: which LSF, which cluster, which master host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .command import Answer

if TYPE_CHECKING:
    from .command import Call


def run(call: Call) -> Answer:
    """Version, cluster name and master, in LSF's form."""
    return Answer(
        0,
        f"IBM Spectrum LSF Standard {call.conf['version']}, stand-in for tests\n\n"
        f"My cluster name is {call.conf['cluster']}\n"
        f"My master name is {call.conf['hosts'][0]}\n",
    )
