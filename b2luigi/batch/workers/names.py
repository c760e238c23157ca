"""The names of batch systems, as the setting `batch_system` has them and as an enumeration."""

from __future__ import annotations

import enum
import importlib
from typing import Any

import luigi

from b2luigi.core.settings import get_setting

FORMER = {"test": "local"}
"""Names of b2luigi 1.x that still work."""
_PROCESSES = {
    "lsf": "b2luigi.batch.processes.lsf:LSFProcess",
    "htcondor": "b2luigi.batch.processes.htcondor:HTCondorProcess",
    "slurm": "b2luigi.batch.processes.slurm:SlurmProcess",
    "test": "b2luigi.batch.processes.test:TestProcess",
}


class _Names(enum.EnumMeta):
    """Says what became of a name that is gone."""

    def __getattr__(cls, name: str) -> Any:
        if not name.startswith("_") and name in cls.__members__:  # before Python 3.12, members come this way
            return cls.__members__[name]
        gone = " The Belle II grid is not supported." if name == "gbasf2" else ""
        raise AttributeError(f"{cls.__name__} has no member {name!r}.{gone}")


class BatchSystems(str, enum.Enum, metaclass=_Names):
    """The names that the setting `batch_system` can have here, for scripts that like them as an enumeration."""

    auto = "auto"
    lsf = "lsf"
    htcondor = "htcondor"
    slurm = "slurm"
    test = "test"
    local = "local"
    custom = "custom"

    def __str__(self) -> str:
        return str(self.value)

    def load_process_class(self) -> Any:
        """The class that runs a task as a job there, for a subclass of one's own; None for auto, local and custom."""
        module, _, name = _PROCESSES.get(self.value, "").partition(":")
        return getattr(importlib.import_module(module), name) if module else None


def batch_system_of(task: luigi.Task) -> str:
    """The setting `batch_system` of a task, by its current name."""
    name = str(get_setting("batch_system", task=task))
    return FORMER.get(name, name)
