"""On a node: imports luigi without what a job hardly ever needs, which would take as long as luigi itself.

That is the client of its central scheduler, with which a job never talks, and `jsonschema`, which comes with Jupyter.
Code in a task that still uses one of them finds it in its usual place: it is imported on first access.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

CLIENT, SCHEMAS = "luigi.rpc", "jsonschema"
NAMES = ("RemoteScheduler", "RPCError")
"""What luigi itself imports from the client."""


def import_luigi() -> None:
    """Import luigi without these modules; does nothing if luigi is already imported."""
    if "luigi" in sys.modules:
        return
    client = _stub(CLIENT, *NAMES)
    stubs = [client, *([_stub(SCHEMAS)] if _is_to_come(SCHEMAS) else [])]
    sys.modules.update({stub.__name__: stub for stub in stubs})
    try:
        luigi = importlib.import_module("luigi")
    finally:
        for stub in stubs:
            if sys.modules.get(stub.__name__) is stub:
                del sys.modules[stub.__name__]
        for name in NAMES:
            vars(client).pop(name, None)
    _forget(luigi, client)


def _is_to_come(module: str) -> bool:
    """Whether luigi would import a module now; without it, luigi does without."""
    return module not in sys.modules and importlib.util.find_spec(module) is not None


def _stub(module: str, *names: str) -> ModuleType:
    """Stands in for a module while luigi is imported, and afterwards in luigi's modules that keep a reference."""
    stub = ModuleType(module)
    vars(stub).update(dict.fromkeys(names))

    def lazy(name: str) -> Any:
        if name.startswith("__"):  # the import system reads `__path__`
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if sys.modules.get(module) is stub:  # another version of luigi needs more names while it is imported
            del sys.modules[module]
        return getattr(importlib.import_module(module), name)

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
