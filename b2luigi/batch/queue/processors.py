"""How many processors there are for local jobs: those of this process, or of the job in which the run was started."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Mapping

from b2luigi.core.bad_input import BadInputError


def check_slots(slots: object) -> None:
    """Raises BadInputError for a number of slots that cannot be meant; None is the number of processors."""
    if slots is not None and (isinstance(slots, bool) or not isinstance(slots, int) or slots < 1):
        raise BadInputError(f"local_slots must be a positive integer, not {slots!r}.")


def processors(environment: Mapping[str, str] = os.environ) -> int:
    """The number of processors that this process may use.

    Within a job of Slurm, LSF or HTCondor these are at most those of the job on this machine, by its `environment`:
    many sites do not enforce that.
    """
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = (_of_slurm(environment), _of_lsf(environment), _of_htcondor(environment))
    return min([here, *(number for number in found if number)])


def _of_slurm(environment: Mapping[str, str]) -> int:
    inside = "SLURM_JOB_ID" in environment or "SLURM_JOBID" in environment
    return _number(environment.get("SLURM_CPUS_ON_NODE", "")) if inside else 0


def _of_lsf(environment: Mapping[str, str]) -> int:
    """LSF lists the machines of a job, each with its number of slots: `host1 4 host2 8`."""
    if "LSB_JOBID" not in environment:
        return 0
    words = environment.get("LSB_MCPU_HOSTS", "").split()
    slots = {_short(host): _number(number) for host, number in zip(words[::2], words[1::2], strict=False)}
    return slots.get(_short(platform.node())) or _number(environment.get("LSB_DJOB_NUMPROC", ""))


def _of_htcondor(environment: Mapping[str, str]) -> int:
    """HTCondor describes the slot of a job in a file, with a line `Cpus = 4`."""
    with contextlib.suppress(OSError), open(environment.get("_CONDOR_MACHINE_AD", ""), errors="replace") as file:
        found = re.search(r"^Cpus *= *([0-9]+)", file.read(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0


def _short(host: str) -> str:
    return host.partition(".")[0].lower()
