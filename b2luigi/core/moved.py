"""Names of b2luigi 1.x that are in another module now, some of them in one that this package must not import."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

MOVED_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "b2luigi.core.dispatchable_task.DispatchableTask": "b2luigi.batch.dispatch",
        "b2luigi.core.dispatchable_task.dispatch": "b2luigi.batch.dispatch",
        "b2luigi.core.executable.run_task_remote": "b2luigi.batch.dispatch",
    }
)
"""Former address to the module that has the name now."""


def moved(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module that had such names: they are imported on first access."""

    def getattr_(name: str) -> Any:
        now = MOVED_NAMES.get(f"{module}.{name}")
        if now is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(importlib.import_module(now), name)

    return getattr_
