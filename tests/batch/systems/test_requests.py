"""What a job asks for, read from the options with which it is submitted; and what it used, from answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from b2luigi.batch import systems
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.htcondor import HTCondor
from b2luigi.batch.systems.lsf import LSF
from b2luigi.batch.systems.model import Answer, Requested
from b2luigi.batch.systems.slurm import Slurm

MB, GB = 1024**2, 1024**3


def setting(**values: Any) -> Callable[[str], Any]:
    """The settings of a task."""
    return lambda name: values.get(name, "." if name in ("result_dir", "working_dir") else None)


@pytest.mark.parametrize(
    ("options", "memory", "seconds"),
    [
        ({}, None, None),
        ({"mem": 2000}, 2000 * MB, None),
        ({"mem": "4G", "time": "1-12"}, 4 * GB, 129600),
        ({"mem-per-cpu": "500M", "cpus-per-task": 4, "t": 90}, 2000 * MB, 5400),
        ({"mem_per_cpu": "1G", "c": 2, "n": 3, "time": "10:30"}, 6 * GB, 630),
        ({"time": "1:02:03"}, None, 3723),
        ({"time": "2-01:30"}, None, 178200),
        ({"time": "UNLIMITED", "mem": 0}, None, None),
    ],
)
def test_slurm(options: Mapping[str, Any], memory: int | None, seconds: float | None) -> None:
    """sbatch: megabytes and minutes, unless a unit or a colon says otherwise."""
    made = Slurm(environment={}).options(setting(slurm_settings=options))
    assert Slurm(environment={}).requested(made) == Requested(memory, seconds)


@pytest.mark.parametrize(
    ("lines", "memory", "seconds"),
    [
        ({}, None, None),
        ({"request_memory": 100}, 100 * MB, None),
        ({"Request_Memory": "4 GB", "allowed_execute_duration": 3600}, 4 * GB, 3600),
        ({"request_memory": "1.5GB", "+RequestRuntime": 7200}, 1536 * MB, 7200),
        ({"request_memory": "2 * MemoryUsage"}, None, None),
    ],
)
def test_htcondor(lines: Mapping[str, Any], memory: int | None, seconds: float | None) -> None:
    """request_memory is in megabytes; what an expression will be, nobody knows."""
    assert HTCondor().requested(HTCondor().options(setting(htcondor_settings=lines))) == Requested(memory, seconds)


@pytest.mark.parametrize(
    ("options", "memory", "seconds"),
    [
        ({}, None, None),
        ({"M": "4GB", "W": "2:30"}, 4 * GB, 9000),
        ({"M": 4000, "W": 60}, None, 3600),
        ({"R": "select[x86] rusage[mem=2GB,tmp=1]", "W": "10/hostA"}, 2 * GB, 600),
    ],
)
def test_lsf(options: Mapping[str, Any], memory: int | None, seconds: float | None) -> None:
    """bsub: minutes; a size without a unit is in that of the site, which we do not know."""
    assert LSF().requested(LSF().options(setting(lsf_settings=options))) == Requested(memory, seconds)


def test_sacct_knows_the_peak_of_the_largest_step() -> None:
    """MaxRSS stands in the rows of the steps, the rest in that of the job."""
    rows = [
        "7_1|OUT_OF_MEMORY|0:125|n1|job-abc|3700|01:01:01|",
        "7_1.batch|OUT_OF_MEMORY|0:125|n1|batch|3700|01:01:01|3900000K",
        "7_1.extern|COMPLETED|0:0|n1|extern|3700|00:00.001|1M",
    ]
    (info,) = Slurm().parse_history(Answer(0, "\n".join([*rows, ""]), "")).values()
    assert info.usage == {"wall": 3700.0, "cpu": 3661.0, "memory": 3900000 * 1024, "memory_from": "batch system"}


def test_a_language_that_does_not_say_it_asks_for_nothing_we_know() -> None:
    """Third parties' languages work as they are."""
    assert BatchSystem.requested(systems.load("slurm"), {}) == Requested()
