"""Every command of every language, word by word: a change of one is a change that users of that system notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from b2luigi.batch import systems
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.environment import HTCONDOR, LSF, SLURM, TABLES, Variables
from b2luigi.batch.systems.model import Command, JobSpec
from b2luigi.core.known_settings import KNOWN
from tests.batch.systems.recorded import a_job

ADS = (
    "ClusterId,ProcId,JobStatus,ExitCode,ExitBySignal,ExitSignal,HoldReason,HoldReasonCode,RemoveReason,"
    "PeriodicRelease,EnteredCurrentStatus,ServerTime,RemoteHost,LastRemoteHost,B2luigiToken,Args,Arguments"
)
USED = "RemoteWallClockTime,RemoteUserCpu,RemoteSysCpu,ResidentSetSize_RAW"
FIELDS_OF_LSF = "jobid jobindex stat exit_code exit_reason exec_host job_name job_description run_time cpu_used max_mem"
BJOBS = ("bjobs", "-a", "-json", "-o", FIELDS_OF_LSF)
SQUEUE = (
    *("squeue", "--me", "-h", "-r", "-t", "all", "-O"),
    "JobArrayID:|,State:|,exit_code:|,NodeList:|,Name:|,Comment:|,Reason:|",
)
LABELLED = 'B2luigiToken isnt undefined || regexp("^[0-9a-f]{16}$", Args ?: Arguments ?: "")'
CONDOR_Q = ("condor_q", "-json", "-attributes", ADS, "-constraint", LABELLED)

IDS: Mapping[str, tuple[str, ...]] = {
    "htcondor": ("7.0", "7.1", "9.0"),
    "lsf": ("7[1]", "9", "7[2]", "8[1]"),
    "slurm": ("7_0", "9", "7_1", "8_0"),
}
"""Elements of two arrays and a plain job, as each system calls them."""
COMMANDS: Mapping[tuple[str, str], tuple[str, ...] | None] = {
    ("htcondor", "submit one"): ("condor_submit", "-terse", "-"),
    ("htcondor", "submit three"): ("condor_submit", "-terse", "-"),
    ("htcondor", "query"): CONDOR_Q,
    ("htcondor", "cancel"): ("condor_rm", "7.0", "7.1", "9.0"),
    ("htcondor", "find"): CONDOR_Q,
    ("htcondor", "history"): (
        *("condor_history", "-json", "-limit", "3", "-scanlimit", "20000", "-attributes", f"{ADS},{USED}"),
        *("7.0", "7.1", "9.0"),
    ),
    ("lsf", "submit one"): (
        *("bsub", "-env", "all", "-J", "job-a0", "-Jd", "a0", "-oo", "/dev/null"),
        *("-q", "long", "-n", "2", "-W", "60"),
    ),
    ("lsf", "submit three"): (
        *("bsub", "-env", "all", "-J", "job-a0[1-3]", "-Jd", "a0", "-oo", "/dev/null"),
        *("-q", "long", "-n", "2", "-W", "60"),
    ),
    ("lsf", "query"): (*BJOBS, "7", "9", "8"),
    ("lsf", "cancel"): ("bkill", "7[1,2]", "9", "8[1]"),
    ("lsf", "find"): BJOBS,
    ("lsf", "history"): None,
    ("slurm", "submit one"): (
        *("sbatch", "--parsable", "--job-name=job-a0", "--comment=a0", "--output=/dev/null"),
        *("--partition=long", "-n2"),
    ),
    ("slurm", "submit three"): (
        *("sbatch", "--parsable", "--job-name=job-a0", "--comment=a0", "--output=/dev/null", "--array=0-2"),
        *("--partition=long", "-n2"),
    ),
    ("slurm", "query"): SQUEUE,
    ("slurm", "cancel"): ("scancel", "7_[0,1]", "9", "8_[0]"),
    ("slurm", "find"): SQUEUE,
    ("slurm", "history"): (
        *("sacct", "-n", "-P", "-o", "JobID,State,ExitCode,NodeList,JobName,ElapsedRaw,TotalCPU,MaxRSS"),
        *("-j", "7_0,9,7_1,8_0"),
    ),
}
SETTINGS: Mapping[str, Any] = {
    "queue": "long",
    "job_slots": 2,
    "lsf_settings": {"W": 60},
    "slurm_settings": {"partition": "long", "n": 2},
    "htcondor_settings": {"request_cpus": 2},
}


def jobs(system: BatchSystem, number: int) -> list[JobSpec]:
    options = system.options(lambda key: SETTINGS.get(key, KNOWN[key].default))
    return [a_job(f"a{n}", options) for n in range(number)]


MAKERS: Mapping[str, Callable[[BatchSystem, tuple[str, ...]], Command | None]] = {
    "submit one": lambda system, ids: system.submit(jobs(system, 1)),
    "submit three": lambda system, ids: system.submit(jobs(system, 3)),
    "query": lambda system, ids: system.query(ids),
    "cancel": lambda system, ids: system.cancel(ids),
    "find": lambda system, ids: system.find(jobs(system, 2)),
    "history": lambda system, ids: system.history(ids),
}


@pytest.mark.parametrize("verb", MAKERS)
@pytest.mark.parametrize("name", systems.OURS)
def test_a_command_word_by_word(name: str, verb: str) -> None:
    """What b2luigi runs, for one job, an array, and elements of arrays; no row means that nobody decided it."""
    command = MAKERS[verb](systems.load(name), IDS[name])
    assert (command.argv if command is not None else None) == COMMANDS[name, verb]


@pytest.mark.parametrize(("name", "most"), [("htcondor", 5000), ("lsf", 250), ("slurm", 1000)])
def test_the_size_of_a_submission(name: str, most: int) -> None:
    """Arrays are not larger than LSF (1000) and Slurm (1001, from 0) allow unless the site has another limit."""
    assert systems.load(name).bulk == most


@pytest.mark.parametrize("table", [SLURM, LSF, HTCONDOR], ids=["slurm", "lsf", "htcondor"])
@pytest.mark.parametrize("verb", MAKERS)
def test_the_variables_of_a_command(table: Variables, verb: str, request: pytest.FixtureRequest) -> None:
    """No command sees a variable that changes what it covers or prints: a user's SQUEUE_FORMAT, say."""
    name = str(request.node.callspec.id).split("-")[-1]
    command = MAKERS[verb](systems.load(name), IDS[name])
    assert command is None or table.changes().items() <= dict(command.env).items()


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_a_variable_is_either_ignored_or_kept(table: Variables) -> None:
    """Both lists are in the documentation; none of them contradicts the other."""
    for ignored in table.ignored:
        assert not [kept for kept in table.kept if kept.startswith(ignored.removesuffix("*")) and ignored.endswith("*")]
        assert ignored not in table.kept


@pytest.mark.parametrize("system", ["lsf", "slurm"])
def test_names_in_the_queue(system: str) -> None:
    """The parameters of a task, where a job is no element of an array; the setting job_name wins over both."""

    def name(jobs: int, **options: Any) -> str:
        specs = [
            replace(a_job(f"a{n}", {"argv": [], **options}), name=f"Make-a{n}", title=f"Make(n={n};mode=x)")
            for n in range(jobs)
        ]
        words = systems.load(system).submit(specs).argv
        return next(word for word in words if "-a0" in word).removeprefix("--job-name=").partition("[")[0]

    assert (name(1), name(2)) == ("Make_n=0_mode=x-a0", "Make-a0")
    assert name(1, job_name="mine") == "Make-a0"
