"""The kinds of values that settings take."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType


@dataclass(frozen=True)
class Kind:
    """The kind of value a setting takes: in words, to follow "must be", as types, and the range of a number.

    `texts`: the only strings there are, if there are only some.
    """

    words: str
    types: tuple[type, ...]
    least: float = -math.inf
    most: float = math.inf
    texts: frozenset[str] = frozenset()

    def fits(self, value: object) -> bool:
        """Whether a value is of this kind. Unlike in Python, a bool is not a number."""
        kind: type = type(value)
        if not _fits(self.types, kind):
            return False
        if isinstance(value, str):
            return not self.texts or value in self.texts
        return not isinstance(value, (int, float)) or self.least <= value <= self.most


@functools.lru_cache(maxsize=1024)
def _fits(types: tuple[type, ...], kind: type) -> bool:
    return issubclass(kind, types) and (bool in types or not issubclass(kind, bool))


TEXT = Kind("a string", (str,))
PATH = Kind("a path", (str, os.PathLike))
MAYBE_PATH = Kind("a path", (str, os.PathLike, NoneType))
NAME = Kind("a string or a number", (str, int, float, NoneType))
SWITCH = Kind("true or false", (bool, int))
COUNT = Kind("an integer that is not negative", (int,), least=0)
MAYBE_COUNT = Kind("a positive integer, or null (None in Python)", (int, NoneType), least=1)
EXIT_CODE = Kind("an integer from 0 to 255", (int,), least=0, most=255)
SECONDS = Kind("a number of seconds", (int, float), least=0, most=sys.float_info.max)
WORDS = Kind('a list of strings, such as ["python3"]', (list, tuple, NoneType))
PATHS = Kind("a list of paths", (list, tuple, NoneType))
OPTIONS = Kind("a string, or a list of strings", (str, list, tuple, NoneType))
ENTRIES = Kind("a dictionary", (Mapping, NoneType))
QUEUE = Kind("the name of a queue, or null (None in Python)", (str, int, bool, NoneType))
SLOTS = Kind("a number of slots, or null (None in Python)", (int, str, NoneType))
POSITIVE = Kind("a positive integer", (int,), least=1)
TASKS = Kind('a positive integer, or "auto"', (int, str), least=1, texts=frozenset({"auto"}))
PACK_MODE = Kind('"fork" or "process"', (str,), texts=frozenset({"fork", "process"}))
MAKER = Kind("a class (can be set only in Python)", (Callable, NoneType))  # type: ignore[arg-type]
