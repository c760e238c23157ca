"""Modules as attributes of their package, imported on first access, as `b2luigi.core.utils` after `import b2luigi`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def importing(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package. In b2luigi 1.x, `import b2luigi` imported all of its modules."""

    def getattr_(name: str) -> Any:
        module = f"{package}.{name}"
        if not name.startswith("_"):
            try:
                return importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name != module:
                    raise
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return getattr_
