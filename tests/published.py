"""Prints the public names of the b2luigi that is installed, with the names of their arguments, as JSON.

To be run in an environment of its own with a published release. With `RELEASE=FILE ...`, it merges what it printed
for several of them to the rows of `published.json`.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import pkgutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

WITHOUT = ("basf2", "contrib", ".apps", ".tui", ".utils", ".errors", ".options", ".templates", "__main__")
"""Modules of the grid, and those behind the command `b2luigi` of 1.3.0."""


def names() -> dict[str, list[str] | None]:
    """Address to the names of its arguments; None for what cannot be called."""
    import b2luigi

    found: dict[str, list[str] | None] = {}
    for module in _modules(b2luigi):
        for name, value in vars(module).items():
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__:
                found[f"{module.__name__}.{name}"] = _arguments(value)
                found.update(_members(f"{module.__name__}.{name}", value))
    for name in filter(lambda name: not name.startswith("_"), dir(b2luigi)):
        value = getattr(b2luigi, name)
        home = str(getattr(value, "__module__", "")).partition(".")[0]
        if home in ("b2luigi", "luigi"):
            found[f"b2luigi.{name}"] = _arguments(value) if home == "b2luigi" else None  # luigi answers for its own
    return found


def _modules(package: Any) -> Iterator[Any]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda name: None):
        if found.name == "b2luigi.core.utils" or not any(part in found.name for part in WITHOUT):
            yield importlib.import_module(found.name)


def _members(address: str, cls: Any) -> Iterator[tuple[str, list[str] | None]]:
    for name, value in vars(cls).items() if inspect.isclass(cls) else ():
        if not name.startswith("_") and name != "max_batch_size":
            yield f"{address}.{name}", _arguments(getattr(value, "__func__", value))


def _arguments(value: Any) -> list[str] | None:
    if isinstance(value, enum.EnumMeta):  # those of Python
        return None
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return None
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.name not in ("self", "cls", "_") and one.kind not in variadic]


def merged(answers: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `published.json`. `answers`: what this file printed, by release."""
    rows: dict[tuple[str, str], list[str]] = {}
    for release, found in answers.items():
        for address, arguments in found.items():
            rows.setdefault((address, json.dumps(arguments)), []).append(release)
    return [
        {"address": address, "releases": releases, "arguments": json.loads(arguments)}
        for (address, arguments), releases in sorted(rows.items())
    ]


def _lines(rows: list[dict[str, Any]]) -> str:
    return "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n]"


if __name__ == "__main__":  # python published.py [RELEASE=FILE ...]
    warnings.simplefilter("ignore")
    given = dict(word.split("=") for word in sys.argv[1:])
    answers = {release: json.loads(Path(file).read_text()) for release, file in given.items()}
    print(_lines(merged(answers)) if given else json.dumps(names()))
