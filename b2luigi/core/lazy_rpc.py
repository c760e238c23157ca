"""On a node: imports luigi without the client of its central scheduler, which would double the modules to load.

A job never talks to the scheduler. Code in a task that still uses the client finds it in its usual place: it is
imported on first access.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

CLIENT = "luigi.rpc"
NAMES = ("RemoteScheduler", "RPCError")
"""What luigi itself imports from the client."""


def import_luigi() -> None:
    """Import luigi without its client; does nothing if luigi is already imported."""
    if "luigi" in sys.modules:
        return
    stub = _stub()
    sys.modules[CLIENT] = stub
    try:
        luigi = importlib.import_module("luigi")
    finally:
        if sys.modules.get(CLIENT) is stub:
            del sys.modules[CLIENT]
        for name in NAMES:
            vars(stub).pop(name, None)
    _forget(luigi, stub)


def _stub() -> ModuleType:
    """Stands in for the client while luigi is imported, and afterwards in luigi's modules that keep a reference."""
    stub = ModuleType(CLIENT)
    vars(stub).update(dict.fromkeys(NAMES))

    def lazy(name: str) -> Any:
        if name.startswith("__"):  # the import system reads `__path__`
            raise AttributeError(f"module {CLIENT!r} has no attribute {name!r}")
        if sys.modules.get(CLIENT) is stub:  # another version of luigi needs more names while it is imported
            del sys.modules[CLIENT]
        return getattr(importlib.import_module(CLIENT), name)

    vars(stub)["__getattr__"] = lazy
    return stub


def _forget(luigi: ModuleType, stub: ModuleType) -> None:
    """Remove the stub's names from luigi, so that they are imported from the client on first access."""
    for name in ("rpc", *NAMES):
        if vars(luigi).get(name) in (None, stub):
            vars(luigi).pop(name, None)

    def lazy(name: str) -> Any:
        if name not in ("rpc", *NAMES):
            raise AttributeError(f"module 'luigi' has no attribute {name!r}")
        client = importlib.import_module(CLIENT)
        found = vars(luigi)[name] = client if name == "rpc" else getattr(client, name)
        return found

    vars(luigi)["__getattr__"] = lazy
    vars(luigi)["__dir__"] = lambda: sorted({*vars(luigi), "rpc", *NAMES})
