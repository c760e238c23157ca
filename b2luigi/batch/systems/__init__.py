"""The available batch systems: ours, those of entry points, and detection of the one this machine submits to."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points

from b2luigi.batch.systems.base import BatchSystem

GROUP = "b2luigi.batch_systems"

OURS = {
    "lsf": "b2luigi.batch.systems.lsf:LSF",
    "htcondor": "b2luigi.batch.systems.htcondor:HTCondor",
    "slurm": "b2luigi.batch.systems.slurm:Slurm",
}
"""Name to class, in the order of detection. A table instead of entry points, so that a checkout works uninstalled."""


FORMER = {
    "gbasf2": " The Belle II grid is not supported.",
}
"""Hints for names of b2luigi 1.x."""


def names() -> list[str]:
    """Names of all batch systems with a language, ours first, in the order of detection."""
    return list(dict.fromkeys([*OURS, *_others()]))


def load(name: str) -> BatchSystem:
    """The language of a batch system by its name.

    Raises ValueError, listing the known names, for an unknown one.
    """
    if name in OURS:
        module, _, attribute = OURS[name].partition(":")
        return _create(getattr(importlib.import_module(module), attribute))
    others = _others()
    if name in others:
        return _create(others[name].load())
    known = ", ".join(["auto", *names(), "local", "custom"])
    raise ValueError(f"batch_system is {name!r}, which is none of: {known}.{FORMER.get(name, '')}")


def detect(which: Callable[[str], str | None] = shutil.which) -> str | None:
    """Name of the first batch system whose probe is on PATH, None on a machine without one.

    Whether there is a cluster behind it, only the program itself can say.
    """
    return next((system.name for system in installed(which)), None)


def installed(which: Callable[[str], str | None] = shutil.which) -> Iterator[BatchSystem]:
    """The languages of all batch systems whose probe is on PATH, in the order in which they are looked for."""
    return (system for system in map(load, names()) if which(system.probe))


def _others() -> dict[str, EntryPoint]:
    return {found.name: found for found in sorted(entry_points(group=GROUP), key=lambda found: found.name)}


def _create(cls: Callable[[], BatchSystem]) -> BatchSystem:
    return cls()
