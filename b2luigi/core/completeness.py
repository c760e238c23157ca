"""Whether a task that has run is done: by luigi's strict rule, all its outputs exist; or by its own `complete()`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import luigi
from luigi.task import flatten


def has_own_complete(task: luigi.Task) -> bool:
    """Whether the class of a task, or the task itself, replaces luigi's `complete()`."""
    return getattr(task.complete, "__func__", None) is not luigi.Task.complete


def missing_outputs(task: luigi.Task, ignored: Collection[int] = ()) -> dict[int, Any]:
    """The outputs that do not exist, by their place among all outputs; those at the places `ignored` are not checked.

    Outputs that are only a name cannot be checked, and count as missing.
    """
    targets = enumerate(flatten(task.output()))
    return {place: target for place, target in targets if place not in ignored and not exists(target)}


def exists(target: Any) -> bool:
    """Whether an output exists; one that is only a name does not."""
    return can_be_checked(target) and bool(target.exists())


def can_be_checked(target: Any) -> bool:
    """False for an output that is only a name, which only a `complete()` of the task itself can judge."""
    return hasattr(target, "exists")


def name_of(target: Any) -> str:
    """The path of a target, or else its text."""
    return str(getattr(target, "path", target))
