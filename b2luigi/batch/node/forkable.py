"""What a script has started or opened before `process()` that a copy of its process cannot use."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

OPEN: Mapping[str, Callable[[Any], bool]] = {
    "torch": lambda torch: bool(torch.cuda.is_initialized()),
    "XRootD": lambda xrootd: True,
}
"""Modules that may hold something open, a GPU or connections, and how to find out."""
NOT_FORKABLE = (
    "the script has %s before process(), which may not work in the copies of its process that run tasks with "
    'tasks_per_job. If they hang or crash, set pack_mode to "process", or do that in run().'
)
OURS = "b2luigi-"
"""How the names of our own threads begin."""


def unforkable() -> Iterator[str]:
    """What there is of that in this process, in words that follow "the script has"."""
    others = [one.name for one in threading.enumerate() if one is not threading.main_thread()]
    theirs = [name for name in others if not name.startswith(OURS)]
    if theirs:
        number = "a thread" if len(theirs) == 1 else f"{len(theirs)} threads"
        yield f"started {number} ({', '.join(theirs[:5])})"
    for name, is_open in OPEN.items():
        module = sys.modules.get(name)
        with contextlib.suppress(Exception):
            if module is not None and is_open(module):
                yield f"used {name}"
