"""The live block in a notebook: an output of the cell that runs, drawn over and over again."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Sequence
from typing import Any

COLUMNS, ROOM = 100, 30
"""A cell scrolls and wraps, so that this is a matter of taste."""


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process, whose cells can show such an output."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class Cell:
    """Takes the place of the last lines of a terminal (see `region`). A display that fails fails no run."""

    columns, room, is_usable = COLUMNS, ROOM, True

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, lines: Sequence[str]) -> None:
        """Shows these lines instead of those before."""
        self._show("\n".join(lines))

    def close(self) -> None:
        """Empties the output: the last words of the run follow it."""
        if self._handle is not None:
            self._show("")

    def _show(self, text: str) -> None:
        with contextlib.suppress(Exception):
            if self._handle is None:
                ipython: Any = importlib.import_module("IPython.display")  # there, if this is a notebook
                self._handle = ipython.display({"text/plain": text}, raw=True, display_id=True)
            else:
                self._handle.update({"text/plain": text}, raw=True)
