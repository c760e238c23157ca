"""The fields of an event: what has the wrong type counts as missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Event = Mapping[str, Any]


def token_of(event: Event) -> str:
    """The attempt that it is about. Raises ValueError if it names none."""
    token = event.get("token")
    if not isinstance(token, str) or not token:
        raise ValueError("token")
    return token


def text(event: Event, name: str) -> str:
    """Empty if it is missing."""
    value = event.get(name)
    return value if isinstance(value, str) else ""


def number(event: Event, name: str) -> float | None:
    """None if it is missing, or not finite."""
    value = event.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return value if math.isfinite(value) else None


def whole(event: Event, name: str) -> int | None:
    """The same without decimals."""
    value = number(event, name)
    return None if value is None else int(value)


def settings(event: Event) -> tuple[tuple[str, str, str], ...]:
    """Name, value and source of each."""
    found = event.get("settings")
    rows = found if isinstance(found, list) else []
    return tuple((str(row[0]), str(row[1]), str(row[2])) for row in rows if isinstance(row, list) and len(row) == 3)
