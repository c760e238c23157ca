"""Values for several tasks in the parameters.py of a project."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from b2luigi.core.bad_input import BadInputError


class ParameterGenerator:
    """Values of one parameter: there is a task for each, combined with each value of other generators."""

    def __init__(self, values: Sequence[Any]) -> None:
        """Raises BadInputError, a ValueError, without a list of at least one value."""
        if isinstance(values, (str, bytes)) or not list(values):
            raise BadInputError(f"ParameterGenerator needs a list of at least one value, not {values!r}.")
        self.values = list(values)

    def __repr__(self) -> str:
        return f"ParameterGenerator({self.values!r})"


class ZippedParameterGenerator:
    """Values of several parameters that belong together: the first ones make one task, the second ones another, ...

    Its key in `config` has no meaning.
    """

    def __init__(self, **values: Sequence[Any]) -> None:
        """Raises BadInputError, a ValueError, without lists of the same length, of at least one value."""
        lists = {name: list(found) for name, found in values.items()}
        if len({len(found) for found in lists.values()}) != 1 or not all(lists.values()):
            sizes = ", ".join(f"{name} has {len(found)}" for name, found in lists.items()) or "it has none"
            raise BadInputError(f"ZippedParameterGenerator needs lists of one length, of at least one value: {sizes}.")
        self.values = lists

    def __repr__(self) -> str:
        return f"ZippedParameterGenerator({', '.join(f'{name}={found!r}' for name, found in self.values.items())})"


def combinations(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The values of parameters of each task that a `config` describes."""
    yield from (dict(itertools.chain(*(choice.items() for choice in row))) for row in itertools.product(*_axes(config)))


def _axes(config: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    for name, value in config.items():
        match value:
            case ZippedParameterGenerator():
                yield [dict(zip(value.values, row, strict=True)) for row in zip(*value.values.values(), strict=True)]
            case ParameterGenerator():
                yield [{name: one} for one in value.values]
            case _:
                yield [{name: value}]
