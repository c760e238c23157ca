"""Values that may be missing, in tests that say they are there."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def present(value: T | None) -> T:
    """The value; fails the test if there is none."""
    assert value is not None
    return value
