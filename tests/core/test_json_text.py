"""Values as JSON, in less time."""

from __future__ import annotations

import enum
import json
from typing import Any

import pytest

from b2luigi.core.json_text import text_of


class Number(enum.IntEnum):
    """Is an int, and is written as one."""

    one = 1


class Word(str):
    """Is a text, and is written as one."""


@pytest.mark.parametrize(
    "value",
    [
        *("", 'a "b" \\ c\n', "ü€😀", "\udcff", Word("w"), None, True, False),
        *(0, -7, 10**30, Number.one, 0.1, 1e300, -0.0, float("nan"), float("inf"), float("-inf")),
        *([], {}, (1, "a"), {"a": [1, None, {"b": 0.5}]}),
    ],
)
def test_a_value_is_written_as_json_does_it(value: Any) -> None:
    """The text is that of `json.dumps`."""
    assert text_of(value) == json.dumps(value)


def test_what_json_cannot_hold_is_refused() -> None:
    """As by `json.dumps`."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        text_of(object())
