"""Sizes, moments and durations as people read them."""

from __future__ import annotations

import time

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(value: float | None) -> str:
    """Bytes, with three digits: 1.53 GB; empty if unknown."""
    if value is None:
        return ""
    for unit in _UNITS[:-1]:
        if abs(value) < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} {_UNITS[-1]}"


def moment(value: float | None) -> str:
    """A time of day; with the date if that was not today; empty if unknown."""
    if value is None:
        return ""
    then, today = time.localtime(value), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", then)


def duration(seconds: float | None) -> str:
    """A duration with its two largest units: 1 min 15 s; empty if unknown."""
    if seconds is None:
        return ""
    whole = int(seconds + 0.5)
    for length, name, smaller, its_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= length:
            rest = whole % length // smaller
            return f"{whole // length} {name} {rest} {its_name}" if rest else f"{whole // length} {name}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
