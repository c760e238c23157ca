"""The description of a task in its job script, and how the node rebuilds the task from it."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import luigi

from b2luigi.core.job_script import read_description
from b2luigi.core.settings import set_setting

_PLAIN = (type(None), bool, int, float, str)


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
    task = cls(**{name: _value(one, texts[name]) for name, one in cls.get_params() if name in texts})
    return task if task.task_id == description["task_id"] else None


def import_module_of(description: Mapping[str, Any]) -> None:
    """Imports the module of a task, for a node without a script. Raises what that raises, and LookupError."""
    importlib.import_module(description["module"])
    raise LookupError(
        f"{description['module']}.{description['class']} does not exist on the node, or creates a different task from "
        f"{description['task_id']}: has the file changed since the job was submitted?"
    )


def adopt_settings(script: str) -> None:
    """Sets what `set_setting` had set on the submit host, as a job script says. Ignores one that cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        for key, value in read_description(Path(script)).get("settings", {}).items():
            set_setting(key, value)


def _value(parameter: luigi.Parameter, entry: Any) -> Any:
    return entry["value"] if isinstance(entry, dict) else parameter.parse(entry)


def unfaithful_parameter(task: luigi.Task) -> str:
    """The first parameter whose value would not come back from its text; empty if there is none."""
    return next((name for name, text in _texts(task) if text is None), "")


def _parameters(task: luigi.Task) -> dict[str, Any] | None:
    texts: dict[str, Any] = {}
    for name, text in _texts(task):
        if text is None:
            return None
        texts[name] = text
    return texts


def _texts(task: luigi.Task) -> Iterator[tuple[str, str | dict[str, Any] | None]]:
    """The values of all parameters as text; None for one that would come back as another.

    A number, or None, in a Parameter that reads something else comes as {"value": ...}.
    """
    for name, parameter in task.get_params():
        value = task.param_kwargs[name]
        try:
            text = parameter.serialize(value)
            same = isinstance(text, str) and _same(parameter.normalize(parameter.parse(text)), value)
        except Exception:  # a parameter of the user's own may fail in any way
            same = False
        yield name, text if same else _as_it_is(parameter, value)


def _as_it_is(parameter: luigi.Parameter, value: Any) -> dict[str, Any] | None:
    """A value that JSON returns as it is, with its type."""
    try:
        is_plain = type(value) in _PLAIN and value == value and _same(parameter.normalize(value), value)
    except Exception:
        return None
    return {"value": value} if is_plain else None


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
