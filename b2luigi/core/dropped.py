"""Names of b2luigi 1.x that no longer exist; importing one raises an error that says what to use instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

_REMOTE = "remote targets are not supported; set default_task_target_class to a target class of your own"
_CONTAINER = "set apptainer_image: the jobs of every batch system run in that container"
_GRID = "the Belle II grid is not supported"

DROPPED_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "b2luigi.wrap_parameter": "no call is needed; use the parameter classes of b2luigi instead of luigi's",
        "b2luigi.RemoteTarget": _REMOTE,
        "b2luigi.XRootDSystem": _REMOTE,
        "b2luigi.XRootDTarget": _REMOTE,
        "b2luigi.WebDAVSystem": _REMOTE,
        "b2luigi.WebDAVTarget": _REMOTE,
        "b2luigi.cli.runner": "call b2luigi.process with batch, test, dry_run or show_output, or luigi.build with "
        "b2luigi.batch.workers.SendJobWorkerSchedulerFactory",
        "b2luigi.batch.cache": "no cache is needed: one query returns the states of all jobs. For a batch system of "
        "your own, see b2luigi.batch.system.BatchSystem, or keep the states yourself and return them in get_job_status",
        "b2luigi.batch.processes.test": 'set batch_system = "local" to run jobs as processes on this machine',
        "b2luigi.batch.processes.apptainer": _CONTAINER,
        "b2luigi.batch.processes.gbasf2": _GRID,
        "b2luigi.basf2_helper": "helpers for basf2 are not part of b2luigi",
    }
)
"""Maps a name, or a module for all names in it, to what to use instead."""


def dropped(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module that had such names.

    It raises ImportError for them: in `from b2luigi import name`, Python would hide the message of an AttributeError.
    """

    def getattr_(name: str) -> Any:
        instead = DROPPED_NAMES.get(f"{module}.{name}", DROPPED_NAMES.get(module, ""))
        if instead and not name.startswith("_"):
            raise ImportError(f"{module}.{name} of b2luigi 1.x is not here: {instead}.", name=module)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return getattr_
