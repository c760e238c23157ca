"""Names of b2luigi 1.x that no longer exist; importing one raises an error that says what to use instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

_REMOTE = "remote targets are not supported; set default_task_target_class to a target class of your own"
_GRID = "the Belle II grid is not supported"
_BASF2 = "helpers for basf2 are not part of b2luigi"
_CACHE = (
    "no cache is needed: one query returns the states of all jobs. For a batch system of your own, see "
    "b2luigi.batch.system.BatchSystem, or keep the states yourself and return them in get_job_status"
)
_ONE_TASK = "each job runs one task, and reports its own failure"

DROPPED_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "b2luigi.RemoteTarget": _REMOTE,
        "b2luigi.XRootDSystem": _REMOTE,
        "b2luigi.XRootDTarget": _REMOTE,
        "b2luigi.WebDAVSystem": _REMOTE,
        "b2luigi.WebDAVTarget": _REMOTE,
        "b2luigi.core.remote_target": _REMOTE,
        "b2luigi.core.xrootd_targets": _REMOTE,
        "b2luigi.core.utils.filter_from_params": "compare get_filled_params(task) with the values you look for",
        "b2luigi.core.utils.get_task_from_file": "import the file, for example with runpy.run_path",
        "b2luigi.core.utils.remember_cwd": "use contextlib.chdir of Python 3.11",
        "b2luigi.batch.cache": _CACHE,
        "b2luigi.batch.processes.aggregate_job_status": _ONE_TASK,
        "b2luigi.batch.processes.expand_grouped_task": _ONE_TASK,
        "b2luigi.batch.processes.write_failed_jobs_log": _ONE_TASK,
        "b2luigi.batch.processes.lsf.LSFJobStatusCache": _CACHE,
        "b2luigi.batch.processes.htcondor.HTCondorJobStatus": _CACHE,
        "b2luigi.batch.processes.htcondor.HTCondorJobStatusCache": _CACHE,
        "b2luigi.batch.processes.slurm.SlurmJobStatus": _CACHE,
        "b2luigi.batch.processes.slurm.SlurmJobStatusCache": _CACHE,
        "b2luigi.batch.processes.gbasf2": _GRID,
        "b2luigi.basf2_helper": _BASF2,
        "b2luigi.contrib": f"{_BASF2}, {_GRID}, and targets for polars are not part of it, either",
    }
)
"""Maps a name, or a module for all names in it, to what to use instead."""


def dropped(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module that had such names.

    It raises ImportError for them: in `from b2luigi import name`, Python would hide the message of an AttributeError.
    """

    def getattr_(name: str) -> Any:
        if f"{module}.{name}" in DROPPED_NAMES:
            refuse_import(f"{module}.{name}")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return getattr_


def refuse_import(address: str) -> NoReturn:
    """Raises ImportError for an address that is gone, also called by modules of which everything is gone."""
    raise ImportError(f"{address} of b2luigi 1.x is not here: {DROPPED_NAMES[address]}.", name=address)
