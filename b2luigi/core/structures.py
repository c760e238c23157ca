"""Pure helpers for nested values: lists in dicts in generators, as `output()` and `input()` return them."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

_UNNAMED: Any = object()


def product_dict(**lists: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """All combinations of the given values; the last name varies fastest.

    `product_dict(a=[1, 2], b=["x"])` yields `{"a": 1, "b": "x"}`, `{"a": 2, "b": "x"}`.
    """
    for values in itertools.product(*lists.values()):
        yield dict(zip(lists, values, strict=True))


def fill_kwargs_with_lists(**kwargs: Any) -> dict[str, list[Any]]:
    """The keyword arguments with each value as a list: strings, dicts and single values become lists of one."""
    return {name: list(value) if _is_series(value) else [value] for name, value in kwargs.items()}


def flatten_to_dict(inputs: Any) -> dict[Any, Any]:
    """Merges dicts nested in lists and generators into one dict; a value outside a dict is its own key.

    The values of the dicts are left unchanged; if a key occurs twice, the later value wins.
    """
    if isinstance(inputs, Mapping):
        return dict(inputs)
    if not _is_series(inputs):
        return {} if inputs is None else {inputs: inputs}
    return {key: value for item in inputs for key, value in flatten_to_dict(item).items()}


def flatten_to_dict_of_lists(inputs: Any) -> dict[Any, list[Any]]:
    """Collects all single values, however nested, in lists keyed by the innermost dict key, in order.

    A value outside a dict is its own key; None is skipped.
    """
    lists: dict[Any, list[Any]] = {}
    for key, value in _leaves(inputs, _UNNAMED):
        lists.setdefault(key, []).append(value)
    return lists


def flatten_to_list_of_dicts(inputs: Any) -> dict[Any, list[Any]]:
    """Former name of `flatten_to_dict_of_lists`; warns."""
    text = "flatten_to_list_of_dicts is now called flatten_to_dict_of_lists; please use the new name."
    warnings.warn(text, DeprecationWarning, stacklevel=2)
    return flatten_to_dict_of_lists(inputs)


def flatten_to_file_paths(inputs: Mapping[Any, Any]) -> dict[Any, Any]:
    """The same dict with each target replaced by its path, also inside lists; values without a path are kept."""
    return {key: _to_paths(value) for key, value in inputs.items()}


_PLAIN = frozenset({str, int, float, bool, type(None)})
"""Types of most settings: there is nothing to copy. This is called several times for each task."""
_COPIED = (dict, list, set)


def copy_containers(value: Any) -> Any:
    """Copies the lists, dicts, sets and tuples in a value, at every level, but not the objects in them."""
    if type(value) in _PLAIN:
        return value
    if type(value) is tuple:
        return tuple(map(copy_containers, value))
    if not isinstance(value, _COPIED):
        return value
    twin = copy.copy(value)
    if not twin:
        return twin
    if isinstance(twin, dict):
        twin.update({key: copy_containers(item) for key, item in twin.items()})
    elif isinstance(twin, list):
        twin[:] = map(copy_containers, twin)
    return twin


def _leaves(value: Any, key: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, name)
    elif _is_series(value):
        for item in value:
            yield from _leaves(item, key)
    elif value is not None:
        yield (value if key is _UNNAMED else key), value


def _to_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return flatten_to_file_paths(value)
    if _is_series(value):
        return [_to_paths(item) for item in value]
    return getattr(value, "path", value)


def _is_series(value: Any) -> TypeGuard[Iterable[Any]]:
    """Whether the value is a series of values: list, tuple, set or generator, but not a string or a dict."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
