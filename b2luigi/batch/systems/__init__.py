"""The available batch systems: ours, those of entry points, and detection of the one this machine submits to."""

from __future__ import annotations

import difflib
import importlib
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint

from b2luigi.batch.systems import plugins
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.plugins import GROUP, PluginError

__all__ = ["FORMER", "GROUP", "OURS", "OWN_WAYS", "PluginError", "detect", "installed", "load", "names", "process_of"]

OURS = {
    "lsf": "b2luigi.batch.systems.lsf:LSF",
    "htcondor": "b2luigi.batch.systems.htcondor:HTCondor",
    "slurm": "b2luigi.batch.systems.slurm:Slurm",
}
"""Name to class, in the order of detection. A table instead of entry points, so that a checkout works uninstalled."""


OWN_WAYS = ("auto", "local", "custom")
"""Names that need no language."""
FORMER = {
    "gbasf2": " The Belle II grid is not supported.",
}
"""Hints for names of b2luigi 1.x."""


def names() -> list[str]:
    """Names of all batch systems of their own, ours first, in the order of detection."""
    return [*OURS, *_others()]


def load(name: str) -> BatchSystem:
    """The language of a batch system by its name.

    Raises ValueError for a name that is unknown, listing the known ones, or whose class cannot be used.
    """
    if name in OURS:
        return _ours(name)
    others = _others()
    if name not in others:
        raise ValueError(_unknown(name))
    system = plugins.create(others[name])
    if system is None:
        raise ValueError(f"batch_system {name!r} is a subclass of BatchProcess, and has no language.")
    return system


def process_of(name: str) -> type | None:
    """The class that another package has for this name, if it has the hooks of a `BatchProcess` and no language.

    Raises ValueError if the class cannot be used.
    """
    if name in OURS or name in OWN_WAYS:
        return None
    point = _others().get(name)
    cls = plugins.load(point) if point is not None else BatchSystem
    return None if issubclass(cls, BatchSystem) else cls


def detect(which: Callable[[str], str | None] = shutil.which) -> str | None:
    """Name of the first batch system whose probe is on PATH, None on a machine without one.

    Whether there is a cluster behind it, only the program itself can say.
    """
    return next((system.name for system in installed(which)), None)


def installed(which: Callable[[str], str | None] = shutil.which) -> Iterator[BatchSystem]:
    """The languages of all batch systems whose probe is on PATH, in the order in which they are looked for.

    Those of other packages are loaded only if none of ours was taken; one that cannot be loaded is disabled.
    """
    yield from (system for system in map(_ours, OURS) if which(system.probe))
    for point in _others().values():
        try:
            system = plugins.create(point)
        except PluginError as error:
            plugins.warn_once(f"{error} It is disabled.")
            continue
        if system is not None and which(system.probe):
            yield system


def _ours(name: str) -> BatchSystem:
    module, _, attribute = OURS[name].partition(":")
    cls: Callable[[], BatchSystem] = getattr(importlib.import_module(module), attribute)
    return cls()


def _others() -> dict[str, EntryPoint]:
    return plugins.found(reserved=(*OURS, *OWN_WAYS))


def _unknown(name: str) -> str:
    known = ["auto", *names(), "local", "custom"]
    similar = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f" Did you mean {similar[0]!r}?" if similar else ""
    return f"batch_system is {name!r}, which is none of: {', '.join(known)}.{FORMER.get(name, hint)}"
