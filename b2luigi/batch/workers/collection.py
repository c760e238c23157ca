"""When Python searches for garbage: not through the whole task graph again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

NEVER = 1_000_000_000
"""A threshold that is not reached."""


@contextmanager
def only_young_garbage() -> Iterator[None]:
    """While a graph grows, nearly all that is old is in use: only objects made lately are searched for garbage."""
    youngest, younger, oldest = gc.get_threshold()
    gc.set_threshold(youngest, younger, NEVER)
    try:
        yield
    finally:
        if gc.get_threshold() == (youngest, younger, NEVER):  # or else code of the user has changed it
            gc.set_threshold(youngest, younger, oldest)


@contextmanager
def graph_set_aside() -> Iterator[None]:
    """Collects garbage once; meanwhile what is left is not searched: with 100,000 tasks each search takes 0.1 s."""
    if not gc.isenabled() or gc.get_freeze_count():  # the user knows better
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
