from __future__ import annotations

from collections import OrderedDict
from typing import Any

import luigi
import pytest

from b2luigi.core.structures import (
    copy_containers,
    fill_kwargs_with_lists,
    flatten_to_dict,
    flatten_to_dict_of_lists,
    flatten_to_file_paths,
    flatten_to_list_of_dicts,
    product_dict,
)


def test_product_dict_gives_all_combinations() -> None:
    """Every combination occurs once; the last name varies fastest."""
    assert list(product_dict(a=[1, 2], b=["x", "y"])) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_product_dict_of_nothing() -> None:
    """No names give one combination; a name without values gives none."""
    assert list(product_dict()) == [{}]
    assert list(product_dict(a=[1], b=[])) == []


def test_fill_kwargs_with_lists() -> None:
    """Single values, strings and dicts become lists of one; series become lists."""
    filled = fill_kwargs_with_lists(a=1, b="xy", c=[1, 2], d=range(2), e=None, f={"k": 1}, g=b"xy")
    assert filled == {
        "a": [1],
        "b": ["xy"],
        "c": [1, 2],
        "d": [0, 1],
        "e": [None],
        "f": [{"k": 1}],
        "g": [b"xy"],
    }


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"a": 1}, {"a": 1}),
        ([{"a": 1}, {"b": 2}], {"a": 1, "b": 2}),
        ([{"a": 1}, {"a": 2}], {"a": 2}),
        ([[{"a": [1, 2]}], ({"b": 2},)], {"a": [1, 2], "b": 2}),
        ("text", {"text": "text"}),
        (["x", {"a": 1}], {"x": "x", "a": 1}),
        ([], {}),
        (None, {}),
    ],
)
def test_flatten_to_dict(inputs: Any, expected: dict[Any, Any]) -> None:
    """Nested dicts are merged into one, values unchanged; for duplicate keys the later value wins."""
    assert flatten_to_dict(inputs) == expected


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([{"a": 1}, {"a": 2}, {"b": 3}], {"a": [1, 2], "b": [3]}),
        ({"a": [1, 2]}, {"a": [1, 2]}),
        ({"requirement": [{"a": 1}, {"a": 2}]}, {"a": [1, 2]}),
        (["x", None, [["x"]]], {"x": ["x", "x"]}),
        (({"a": number} for number in range(3)), {"a": [0, 1, 2]}),
        (None, {}),
    ],
)
def test_flatten_to_dict_of_lists(inputs: Any, expected: dict[Any, list[Any]]) -> None:
    """Single values, however nested, are grouped by their innermost key."""
    assert flatten_to_dict_of_lists(inputs) == expected


def test_the_former_name_of_flatten_to_dict_of_lists() -> None:
    """It still works, and warns with the new name."""
    with pytest.warns(DeprecationWarning, match="is now called flatten_to_dict_of_lists"):
        assert flatten_to_list_of_dicts([{"a": 1}, {"a": 2}]) == {"a": [1, 2]}


def test_flatten_to_file_paths() -> None:
    """Targets are replaced by their paths, alone, in lists and in dicts; values without a path are kept."""
    target = luigi.LocalTarget("/x/y")
    inputs = {"a": target, "b": [target, [target]], "c": {"d": target}, "e": "text", "f": 5}
    expected = {"a": "/x/y", "b": ["/x/y", ["/x/y"]], "c": {"d": "/x/y"}, "e": "text", "f": 5}
    assert flatten_to_file_paths(inputs) == expected


def test_containers_are_copied_and_their_objects_are_shared() -> None:
    """The copies are new containers of the same types that hold the same objects."""
    thing = object()
    value = OrderedDict(a=[thing, {1}], b=(1, [2]))
    twin = copy_containers(value)
    assert twin == value
    assert type(twin) is OrderedDict
    assert twin is not value
    assert twin["a"] is not value["a"]
    assert twin["a"][1] is not value["a"][1]
    assert twin["b"][1] is not value["b"][1]
    assert twin["a"][0] is thing
