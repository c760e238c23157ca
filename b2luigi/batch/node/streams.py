"""The streams of the process on the node: lines appear when they are printed, and a crash leaves a traceback."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import signal
import sys
from pathlib import Path

FATAL = (signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL)
"""The signals that `faulthandler` handles."""


def prepare_streams(status: Path = Path("/proc/self/status")) -> None:
    """Called once, before the task runs. `status`: of this process, as in proc(5)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(line_buffering=True)
    if not (faulthandler.is_enabled() or _somebody_else_handles(status)):
        with contextlib.suppress(OSError, ValueError, AttributeError, io.UnsupportedOperation):  # no stderr, or no file
            faulthandler.enable(all_threads=False)


def _somebody_else_handles(status: Path) -> bool:
    """Libraries such as ROOT handle crashes, too, and print more; Python does not know of their handlers."""
    try:
        lines = status.read_text(errors="replace").splitlines()
        caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return True
    return any(caught >> (number - 1) & 1 for number in FATAL)
