"""On a node: luigi without the client of its central scheduler, which loads an HTTP library and as many modules again.

A job asks no scheduler. Whoever does so from a task all the same finds the client where it always is: it is loaded
when it is first asked for.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

CLIENT = "luigi.rpc"
NAMES = ("RemoteScheduler", "RPCError")
"""What luigi itself takes from there when it is imported."""


def import_luigi() -> None:
    """Import luigi and leave its client for later; if luigi is imported already, there is nothing to gain."""
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
    """Stands for the client while luigi is imported, and for good in the modules of luigi that keep a reference."""
    stub = ModuleType(CLIENT)
    vars(stub).update(dict.fromkeys(NAMES))

    def late(name: str) -> Any:
        if name.startswith("__"):  # the import system asks for `__path__`
            raise AttributeError(f"module {CLIENT!r} has no attribute {name!r}")
        if sys.modules.get(CLIENT) is stub:  # a luigi that needs more of it than this one
            del sys.modules[CLIENT]
        return getattr(importlib.import_module(CLIENT), name)

    vars(stub)["__getattr__"] = late
    return stub


def _forget(luigi: ModuleType, stub: ModuleType) -> None:
    """Take the stub's names out of luigi, and have them looked up in the client when somebody asks."""
    for name in ("rpc", *NAMES):
        if vars(luigi).get(name) in (None, stub):
            vars(luigi).pop(name, None)

    def late(name: str) -> Any:
        if name not in ("rpc", *NAMES):
            raise AttributeError(f"module 'luigi' has no attribute {name!r}")
        client = importlib.import_module(CLIENT)
        found = vars(luigi)[name] = client if name == "rpc" else getattr(client, name)
        return found

    vars(luigi)["__getattr__"] = late
    vars(luigi)["__dir__"] = lambda: sorted({*vars(luigi), "rpc", *NAMES})
