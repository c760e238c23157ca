"""The description of a task in its job script, and how the node rebuilds the task from it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import luigi


def describe(task: luigi.Task) -> dict[str, Any]:
    """Everything `rebuild` needs, as plain data. `parameters` is None if the task must be found in the task graph.

    The task id is not enough to verify a rebuilt task: it contains serialised values, so a 3 in a plain `Parameter`
    comes back as "3" with the same id. Therefore each value is serialised, parsed and compared, including its type.
    """
    cls = type(task)
    faithful = _find_class(cls.__module__, cls.__qualname__) is cls
    return {
        "task_id": task.task_id,
        "module": cls.__module__,
        "class": cls.__qualname__,
        "parameters": _parameters(task) if faithful else None,
    }


def rebuild(description: Mapping[str, Any]) -> luigi.Task | None:
    """The task of a description; None if it cannot be rebuilt and must be found in the graph."""
    texts = description.get("parameters")
    cls = _find_class(description["module"], description["class"]) if texts is not None else None
    if cls is None or texts is None:
        return None
    task = cls(**{name: parameter.parse(texts[name]) for name, parameter in cls.get_params() if name in texts})
    return task if task.task_id == description["task_id"] else None


def _parameters(task: luigi.Task) -> dict[str, str] | None:
    texts: dict[str, str] = {}
    for name, parameter in task.get_params():
        value = task.param_kwargs[name]
        try:
            texts[name] = parameter.serialize(value)
            same = _same(parameter.normalize(parameter.parse(texts[name])), value)
        except Exception:  # a parameter of the user's own may fail in any way
            same = False
        if not same or not isinstance(texts[name], str):
            return None
    return texts


def _same(rebuilt: Any, value: Any) -> bool:
    """Whether values and types are equal at all levels: the member 1 of an IntEnum in a list comes back as an int."""
    if type(rebuilt) is not type(value):
        return False
    if isinstance(value, Mapping):
        return _same(tuple(rebuilt.items()), tuple(value.items()))
    if isinstance(value, (tuple, list)):
        return len(rebuilt) == len(value) and all(map(_same, rebuilt, value))
    return bool(rebuilt == value)


def _find_class(module: str, qualname: str) -> type[luigi.Task] | None:
    try:
        found: Any = sys.modules[module] if module in sys.modules else importlib.import_module(module)
        for name in qualname.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError):
        return None
    return found if isinstance(found, type) and issubclass(found, luigi.Task) else None
