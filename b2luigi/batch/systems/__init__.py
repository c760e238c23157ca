"""The batch systems there are: a table of ours, entry points of others, and which one this machine submits to."""

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
"""Name to class, in the order of detection; a table, so that a checkout works without being installed."""


FORMER = {
    "test": ' "test" of b2luigi 1.x is now called "local".',
    "gbasf2": " The Belle II grid is not supported.",
}
"""Hints for names that b2luigi 1.x knew."""


def names() -> list[str]:
    """Names of all batch systems with a language, ours first, in the order of detection."""
    return list(dict.fromkeys([*OURS, *_others()]))


def load(name: str) -> BatchSystem:
    """The language of a batch system by its name.

    Raises ValueError, listing the known names, for an unknown one.
    """
    if name in OURS:
        module, _, attribute = OURS[name].partition(":")
        return _made(getattr(importlib.import_module(module), attribute))
    others = _others()
    if name in others:
        return _made(others[name].load())
    known = ", ".join(["auto", *names(), "local", "custom"])
    raise ValueError(f"batch_system is {name!r}, which is none of: {known}.{FORMER.get(name, '')}")


def detect(which: Callable[[str], str | None] = shutil.which) -> str | None:
    """Name of the batch system whose probe is on PATH, None on a machine without one."""
    return next((system.name for system in _all() if which(system.probe)), None)


def _all() -> Iterator[BatchSystem]:
    return (load(name) for name in names())


def _others() -> dict[str, EntryPoint]:
    return {found.name: found for found in sorted(entry_points(group=GROUP), key=lambda found: found.name)}


def _made(cls: Callable[[], BatchSystem]) -> BatchSystem:
    return cls()
