"""What jobs ask for: memory and time, as the options of batch systems spell them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest

UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4, "P": 1024**5}
"""What batch systems mean by these letters."""


def size(text: object, default: str) -> int | None:
    """Bytes of "4G", "100 MB" or "2000"; `default`: the unit of a plain number. None for anything else, and for 0."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGTP]?)(?:i?B)?\s*", str(text), re.IGNORECASE)
    return round(float(found[1]) * UNITS[found[2].upper() or default]) or None if found else None


def clock(text: str, last: int) -> float | None:
    """Seconds of "1-12:30:00", "90:30" or "45"; `last`: seconds of the last part. None for anything else."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+(?::\d+){0,2})", text.strip())
    if found is None:
        return None
    parts = [int(part) for part in found[2].split(":")]
    value = 0
    for part in parts:
        value = 60 * value + part
    return float(86400 * int(found[1] or 0) + value * last)


def values(argv: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """The values of options, by what `names` calls them: of `--mem=4G`, `-c4` and of `-M 4G` as two words.

    The last one counts, as for the commands.
    """
    found: dict[str, str] = {}
    for word, following in zip_longest(argv, argv[1:], fillvalue=""):
        for option, name in names.items():
            if word == option:
                found[name] = following
            elif option.startswith("--") and word.startswith(f"{option}="):
                found[name] = word.partition("=")[2]
            elif not option.startswith("--") and len(option) == 2 and word.startswith(option):
                found[name] = word.removeprefix(option)
    return found
