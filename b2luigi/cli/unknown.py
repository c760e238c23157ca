"""Arguments that neither `process` nor `luigi.build` has: a misspelt one must not start a run."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import luigi
import luigi.interface

from b2luigi.core.checks import GraphError


def refuse_unknown(arguments: Iterable[str], function: Callable[..., Any]) -> None:
    """Raises GraphError for an argument that neither `process` nor `luigi.build` has; it names the nearest one."""
    known = [*_names(function), *_names(luigi.build), *luigi.interface.core.get_param_names()]
    for name in arguments:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else f". It has {', '.join(sorted(known))}."
            raise GraphError(f"process() has no argument {name}{hint}")


def _names(function: Callable[..., Any]) -> Iterator[str]:
    for name, found in inspect.signature(function).parameters.items():
        if found.kind is not inspect.Parameter.VAR_KEYWORD and name not in ("task_like_elements", "tasks"):
            yield name
