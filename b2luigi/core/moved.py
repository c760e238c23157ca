"""Names of b2luigi 1.x that are in another module now, some of them in one that this package must not import."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from b2luigi.core.dropped import dropped

MOVED_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "b2luigi.core.dispatchable_task.DispatchableTask": "b2luigi.batch.dispatch",
        "b2luigi.core.dispatchable_task.dispatch": "b2luigi.batch.dispatch",
        "b2luigi.core.executable.run_task_remote": "b2luigi.batch.dispatch",
        "b2luigi.core.utils.create_apptainer_command": "b2luigi.core.container_settings",  # few scripts need it
        "b2luigi.core.utils.get_apptainer_or_singularity": "b2luigi.core.container_settings",
    }
)
"""Former address to the module that has the name now."""


def moved(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module that had such names, or dropped ones: they are imported on first access."""

    def getattr_(name: str) -> Any:
        now = MOVED_NAMES.get(f"{module}.{name}")
        return dropped(module)(name) if now is None else getattr(importlib.import_module(now), name)

    return getattr_
