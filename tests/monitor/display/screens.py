"""A terminal of a test: a real pseudo-terminal, and a screen that understands what is written to it."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import tty
from typing import TextIO

import pyte


class Terminal:
    """A terminal with so many columns and rows; `stream` is for whoever writes to it."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8", newline="")
        self._screen = pyte.HistoryScreen(columns, rows, history=1000, ratio=0.1)
        self._screen.set_mode(pyte.modes.LNM)  # as a terminal driver does: a new line begins at its left edge
        self._parser = pyte.ByteStream(self._screen)
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """As a person does with a mouse."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def print(self, text: str) -> None:
        """Somebody else writes: a child process, say."""
        self.stream.write(text)
        self.stream.flush()

    @property
    def lines(self) -> list[str]:
        """What the screen shows, without trailing blanks."""
        self._read()
        return [line.rstrip() for line in self._screen.display]

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row, counted from 0."""
        self._read()
        return self._screen.cursor.x, self._screen.cursor.y

    def close(self) -> None:
        """Takes the terminal away."""
        self.stream.close()
        os.close(self._master)

    def _read(self) -> None:
        while select.select([self._master], [], [], 0)[0]:
            self._parser.feed(os.read(self._master, 65536))
