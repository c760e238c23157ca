"""The last lines of a terminal, reserved for the display: all other output scrolls above them.

The terminal itself keeps them apart (DECSTBM, the scroll region of the VT100 and its successors, which apt uses, too).
So whoever writes to the terminal, a child process, `pdb` or the prompt of `input()`, needs to know nothing of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, TextIO

LEAST_ROWS, LEAST_COLUMNS = 10, 20
"""A smaller terminal has no room for a display."""
SAVE, RESTORE, SCROLL_ALL, CLEAR_BELOW, CLEAR_LINE = "\x1b7", "\x1b8", "\x1b[r", "\x1b[J", "\x1b[2K"
INDEX = "\x1bD"
"""A line down in the same column; at the bottom, all scrolls."""


class Region:
    """Up to a third of the terminal that `stream` writes to. Only as many lines are reserved as `draw` needs.

    `in_foreground`: whether this process may write to the terminal; tests replace it.
    """

    def __init__(self, stream: TextIO, in_foreground: Callable[[int], bool] | None = None) -> None:
        self._stream, self._in_foreground = stream, in_foreground or _in_foreground
        self._size = (0, 0)
        self._height = 0
        """Lines reserved now."""
        self._former_stop: Any = None

    @property
    def size(self) -> os.terminal_size:
        """Columns and rows of the terminal; (0, 0) if that is unknown."""
        try:
            return os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return os.terminal_size((0, 0))

    @property
    def columns(self) -> int:
        """How long a line may be: in the last column, some terminals begin another one."""
        return self.size.columns - 1

    @property
    def is_usable(self) -> bool:
        """The terminal is large enough, and this process does not run in the background."""
        columns, rows = self.size
        if rows < LEAST_ROWS or columns < LEAST_COLUMNS:
            return False
        return self._in_foreground(self._stream.fileno())

    @property
    def room(self) -> int:
        """How many lines may be drawn."""
        return max(1, self.size.lines // 3)

    def draw(self, lines: Sequence[str]) -> None:
        """Shows these lines, which fit into the columns of the terminal, at its bottom."""
        if not self.is_usable:
            self._height = 0  # the shell, or whoever has the terminal now, sees to its lines
            return
        size = self.size
        shown = list(lines)[: self.room]
        text = self._reset() if size != self._size else ""
        self._size = size
        text += self._reserve(len(shown))
        top = size.lines - self._height + 1
        padded = [*[""] * (self._height - len(shown)), *shown]
        drawn = "".join(f"\x1b[{top + number};1H{CLEAR_LINE}{line}" for number, line in enumerate(padded))
        self._write(f"{text}{SAVE}{drawn}{RESTORE}")
        self._catch_stop()

    def close(self) -> None:
        """Gives the lines back, empty."""
        self._write(self._reset())
        if self._former_stop is not None:
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGTSTP, self._former_stop)
            self._former_stop = None

    def _reset(self) -> str:
        """All of the terminal scrolls again. Below the cursor there are only our lines, wherever they are now."""
        had_lines, self._height = bool(self._height), 0
        return f"{SAVE}{SCROLL_ALL}{RESTORE}{CLEAR_BELOW}" if had_lines else ""

    def _reserve(self, height: int) -> str:
        """Makes room below the cursor, which stays on its line of text and in its column."""
        more = height - self._height
        if more <= 0:
            return ""
        self._height = height
        # Setting the scroll region sends the cursor home, so it is saved.
        return f"{INDEX * more}\x1b[{more}A{SAVE}\x1b[1;{self._size[1] - height}r{RESTORE}"

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()

    def _catch_stop(self) -> None:
        """Ctrl-Z gives the terminal back first."""
        is_main = threading.current_thread() is threading.main_thread()
        if self._former_stop is None and is_main and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            self._former_stop = signal.signal(signal.SIGTSTP, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.close()
        os.kill(os.getpid(), signal.SIGTSTP)  # as it was before: the default, which stops this process


def _in_foreground(descriptor: int) -> bool:
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
