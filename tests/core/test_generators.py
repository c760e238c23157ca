"""ParameterGenerator and ZippedParameterGenerator."""

from __future__ import annotations

from typing import Any

import pytest

import b2luigi
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.generators import combinations


def test_all_combinations() -> None:
    """Generators are crossed with each other; zipped values stay together, and their key means nothing."""
    config = {
        "n": b2luigi.ParameterGenerator([1, 2]),
        "any": b2luigi.ZippedParameterGenerator(alpha=[3, 4], mode=["p", "q"]),
        "fixed": "x",
    }
    assert list(combinations(config)) == [
        {"n": n, "alpha": alpha, "mode": mode, "fixed": "x"} for n in (1, 2) for alpha, mode in ((3, "p"), (4, "q"))
    ]


def test_without_generators_there_is_one() -> None:
    """A plain dict, or an empty one, describes one task."""
    assert list(combinations({"n": [1, 2]})) == [{"n": [1, 2]}]
    assert list(combinations({})) == [{}]


@pytest.mark.parametrize("values", [[], (), "abc"])
def test_no_values(values: Any) -> None:
    """An empty list, or a text in place of a list, would make no task, or many."""
    with pytest.raises(BadInputError, match="needs a list of at least one value"):
        b2luigi.ParameterGenerator(values)


@pytest.mark.parametrize("values", [{}, {"a": []}, {"a": [1], "b": [1, 2]}])
def test_values_that_do_not_belong_together(values: Any) -> None:
    """No lists, empty lists, and lists of different lengths are refused, with their lengths."""
    with pytest.raises(BadInputError, match="lists of one length"):
        b2luigi.ZippedParameterGenerator(**values)
