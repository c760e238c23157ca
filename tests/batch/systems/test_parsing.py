"""Recorded answers, and what they mean: one row each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pytest

from b2luigi.batch import systems
from b2luigi.batch.systems.model import (
    Accepted,
    Answer,
    AnswerError,
    Cause,
    JobInfo,
    JobStatus,
    Refused,
    Submitted,
    TryLater,
    Unsure,
)
from tests.batch.systems.recorded import a_job, names, recorded

IDLE, RUNNING, SUCCESSFUL, ABORTED = JobStatus
HELD = "held (code {}): {}"
MISSING = (
    "Transfer input files failure at access point 127-0-0-1 while sending files to execution point "
    "slot3@127-0-0-1.localdomain. Details: reading from file /nonexistent/x: (errno 2) No such file or directory"
)


def slot(number: int) -> dict[str, Any]:
    return {"token": "abc", "node": f"slot{number}@127-0-0-1.localdomain"}


N1: dict[str, Any] = {"token": "abc", "node": "n1"}


def used(kib: int, wall: float = 0.0) -> dict[str, object]:
    """What HTCondor says that a job used."""
    return {"wall": wall, "cpu": 0.0, "memory": 1024 * kib, "memory_from": "batch system"}


AT_ONCE = {"wall": 0.0, "cpu": 0.0}
"""What a job used that did nothing."""
SLURM_ARRAY = {
    "5_0": JobInfo(SUCCESSFUL, "COMPLETED", 0, token="abc_0", node="n1", usage=AT_ONCE),
    "5_1": JobInfo(ABORTED, "FAILED", 1, token="abc_1", node="n1", usage=AT_ONCE),
    "5_2": JobInfo(ABORTED, "FAILED", 2, token="abc_2", node="n1", usage=AT_ONCE),
}
JOBS = {
    ("htcondor", "query-idle"): {"9.0": JobInfo(IDLE, "idle", token="abc")},
    ("htcondor", "query-running"): {"10.0": JobInfo(RUNNING, "running", **slot(5))},
    ("htcondor", "query-done"): {"14.0": JobInfo(SUCCESSFUL, "completed", 0, **slot(5))},
    ("htcondor", "query-exited"): {"13.0": JobInfo(ABORTED, "completed", 3, **slot(4))},
    ("htcondor", "query-killed"): {"15.0": JobInfo(ABORTED, "completed", 137, **slot(6))},
    ("htcondor", "query-held"): {
        "11.0": JobInfo(IDLE, HELD.format(1, "via condor_hold (by user daemon)"), held=True, **slot(2))
    },
    ("htcondor", "query-held-at-submission"): {
        "74.0": JobInfo(IDLE, HELD.format(15, "submitted on hold at user's request"), token="ff", held=True)
    },
    ("htcondor", "query-held-input"): {
        "12.0": JobInfo(ABORTED, HELD.format(13, MISSING), None, Cause.refused, **slot(3), lingers=True)
    },
    ("htcondor", "query-held-duration"): {
        "83.0": JobInfo(
            ABORTED,
            HELD.format(46, "The job exceeded allowed job duration of 00:02"),
            None,
            Cause.time,
            "ff",
            lingers=True,
        )
    },
    ("htcondor", "query-removed"): {
        "16.0": JobInfo(ABORTED, "removed: via condor_rm (by user daemon)", 143, Cause.cancelled, **slot(7))
    },
    ("htcondor", "query-empty"): {},
    ("htcondor", "query-unknown-id"): {},
    ("htcondor", "history-done"): {"2.0": JobInfo(SUCCESSFUL, "completed", 0, **slot(1), usage=used(4604))},
    ("htcondor", "history-exited"): {"1.0": JobInfo(ABORTED, "completed", 3, **slot(1), usage=used(4592))},
    ("htcondor", "history-killed"): {"3.0": JobInfo(ABORTED, "completed", 137, **slot(1), usage=used(4592))},
    ("htcondor", "history-removed"): {
        "4.0": JobInfo(
            *(ABORTED, "removed: via condor_rm (by user daemon)", 143, Cause.cancelled),
            **slot(1),
            usage=used(4592, wall=1.0),
        )
    },
    ("htcondor", "history-removed-idle"): {
        "5.0": JobInfo(
            *(ABORTED, "removed: via condor_rm (by user daemon)", None, Cause.cancelled, "abc"), usage=AT_ONCE
        )
    },
    ("htcondor", "history-unknown-id"): {},
    ("slurm", "query-done"): {"5": JobInfo(SUCCESSFUL, "COMPLETED", 0, **N1)},
    ("slurm", "query-exited"): {"6": JobInfo(ABORTED, "FAILED: NonZeroExitCode", 3, **N1)},
    ("slurm", "query-killed"): {"7": JobInfo(ABORTED, "FAILED: JobLaunchFailure", 137, **N1)},
    ("slurm", "query-running"): {"8": JobInfo(RUNNING, "RUNNING", **N1)},
    ("slurm", "query-cancelled"): {"9": JobInfo(ABORTED, "CANCELLED", 143, Cause.cancelled, **N1)},
    ("slurm", "query-suspended"): {"10": JobInfo(IDLE, "SUSPENDED", **N1)},
    ("slurm", "query-no-output-folder"): {"11": JobInfo(ABORTED, "FAILED: JobLaunchFailure", 181, Cause.refused, **N1)},
    ("slurm", "query-node-failed"): {
        "12": JobInfo(ABORTED, "NODE_FAIL: NodeDown", 143, Cause.infrastructure, "abc", "n2")
    },
    ("slurm", "query-requeued"): {"13": JobInfo(IDLE, "PENDING: BeginTime", token="abc")},
    ("slurm", "query-requeue-held"): {
        "14": JobInfo(IDLE, "PENDING: job requeued in held state", token="abc", held=True)
    },
    ("slurm", "query-timeout"): {"15": JobInfo(ABORTED, "TIMEOUT: TimeLimit", 143, Cause.time, **N1)},
    ("slurm", "query-held"): {"16": JobInfo(IDLE, "PENDING: JobHeldUser", token="abc", held=True)},
    ("slurm", "query-cancelled-waiting"): {"17": JobInfo(ABORTED, "CANCELLED: JobHeldUser", 0, Cause.cancelled, "abc")},
    ("slurm", "query-too-many-processors"): {"18": JobInfo(IDLE, "PENDING: PartitionConfig", token="abc", held=True)},
    ("slurm", "query-begin"): {"19": JobInfo(IDLE, "PENDING: BeginTime", token="abc")},
    ("slurm", "query-never"): {"20": JobInfo(IDLE, "PENDING: DependencyNeverSatisfied", token="abc", held=True)},
    ("slurm", "query-array"): {
        "21_0": JobInfo(SUCCESSFUL, "COMPLETED", 0, token="abc_0", node="n1"),
        "21_1": JobInfo(ABORTED, "FAILED: NonZeroExitCode", 1, token="abc_1", node="n1"),
        "21_2": JobInfo(ABORTED, "FAILED: NonZeroExitCode", 2, token="abc_2", node="n1"),
        "21_3": JobInfo(RUNNING, "RUNNING", token="abc_3", node="n1"),
        "21_4": JobInfo(ABORTED, "FAILED: NonZeroExitCode", 4, token="abc_4", node="n2"),
        "21_5": JobInfo(ABORTED, "FAILED: NonZeroExitCode", 5, token="abc_5", node="n2"),
    },
    ("slurm", "history-done"): {"1": JobInfo(SUCCESSFUL, "COMPLETED", 0, **N1, usage=AT_ONCE)},
    ("slurm", "history-exited"): {"2": JobInfo(ABORTED, "FAILED", 3, **N1, usage=AT_ONCE)},
    ("slurm", "history-killed"): {"3": JobInfo(ABORTED, "FAILED", 137, **N1, usage=AT_ONCE)},
    ("slurm", "history-cancelled"): {"4": JobInfo(ABORTED, "CANCELLED by 0", 0, Cause.cancelled, **N1, usage=AT_ONCE)},
    ("slurm", "history-array"): SLURM_ARRAY,
    ("slurm", "history-all"): {
        "1": JobInfo(SUCCESSFUL, "COMPLETED", 0, **N1, usage=AT_ONCE),
        "2": JobInfo(ABORTED, "FAILED", 3, **N1, usage=AT_ONCE),
        "3": JobInfo(ABORTED, "FAILED", 137, **N1, usage=AT_ONCE),
        "4": JobInfo(ABORTED, "CANCELLED by 0", 0, Cause.cancelled, **N1, usage=AT_ONCE),
        **SLURM_ARRAY,
    },
    ("slurm", "history-unknown-id"): {},
    ("slurm", "history-no-accounting"): {},
    ("lsf", "query-json"): {"22005": JobInfo(SUCCESSFUL, "DONE", 0, node="hostA")},
    ("lsf", "query-none"): {},
    ("lsf", "query-none-at-all"): {},
    ("lsf", "query-unknown-id"): {},
}
TOKENS = ("query-all", "query-by-token", "query-none-of-ours")
SILENT = {
    "htcondor": {"query-no-schedd", "query-schedd-killed", "query-no-configuration"},
    "lsf": {
        *("query-connection-reset", "query-daemon-down", "query-no-daemon", "query-not-responding"),
        *("query-empty", "query-table", "query-delimiter", "query-no-configuration"),
    },
    "slurm": {
        *("query-no-controller", "query-unknown-id"),
        *("query-no-configuration", "query-no-remote-configuration", "query-no-name-server"),
    },
}
SUBMITTED: Mapping[tuple[str, str], Sequence[Submitted]] = {
    ("htcondor", "submit-terse-one"): [Accepted("3.0")],
    ("htcondor", "submit-terse-several"): [Accepted("4.0"), Accepted("4.1"), Accepted("4.2")],
    ("htcondor", "submit-unused-line"): [Accepted("8.0")],
    ("slurm", "submit-one"): [Accepted("1")],
    ("slurm", "submit-array"): [Accepted("2_0"), Accepted("2_1"), Accepted("2_2")],
    ("slurm", "submit-bad-account"): [Accepted("3")],
    ("slurm", "submit-too-much"): [Accepted("4")],
    ("lsf", "submit-queue"): [Accepted("182")],
    ("lsf", "submit-default-queue"): [Accepted("183")],
    ("lsf", "submit-chatter"): [Accepted("184")],
}
NOT_SUBMITTED: Mapping[str, Mapping[Callable[[str], Submitted], Collection[str]]] = {
    "htcondor": {
        TryLater: {
            *("submit-no-schedd", "submit-limit-owner", "submit-limit-total"),
            *("submit-schedd-killed", "submit-schedd-killed-midway", "submit-not-authenticated"),
        },
        Unsure: {"submit-one", "submit-several"},
    },
    "slurm": {
        TryLater: {"submit-no-controller", "submit-full", "submit-no-remote-configuration", "submit-no-name-server"}
    },
    "lsf": {TryLater: {"submit-no-daemon"}, Unsure: {"submit-connection-reset", "submit-pending-limit"}},
}
CANCELLED = {
    "slurm": {"cancel-ok", "cancel-ended", "cancel-unknown", "cancel-mixed", "cancel-elements"},
    "htcondor": {
        *("remove-ok", "remove-several", "remove-again", "remove-gone", "remove-all-gone"),
        *("remove-mixed", "remove-unknown", "remove-unknown-cluster"),
    },
    "lsf": {
        *("kill-accepted", "kill-element", "kill-finished", "kill-in-progress"),
        *("kill-mixed", "kill-signal", "kill-unknown-id"),
    },
}
NOT_CANCELLED = {
    "slurm": {"cancel-no-controller"},
    "htcondor": {"remove-no-schedd", "remove-schedd-killed", "remove-schedd-hung"},
    "lsf": {"kill-no-daemon", "kill-not-owner"},
}
RECORDINGS = [(system, name) for system in NOT_SUBMITTED for name in names(system, "")]


def of(start: str) -> list[tuple[str, str]]:
    return [(system, name) for system, name in RECORDINGS if name.startswith(start)]


@pytest.mark.parametrize(("system", "name"), [*of("query"), *of("history")])
def test_states(system: str, name: str) -> None:
    """Each recorded answer says of each job what its row says, or nothing of any job."""
    language = systems.load(system)
    parse = language.parse_history if name.startswith("history") else language.parse_query
    if name in SILENT[system]:
        with pytest.raises(AnswerError):
            parse(recorded(system, name))
    elif name in TOKENS:
        tokens = {str(info.token).partition("_")[0] for info in parse(recorded(system, name)).values()}
        assert tokens == {"abc"}
    else:
        assert parse(recorded(system, name)) == JOBS[system, name]


@pytest.mark.parametrize(("system", "name"), of("submit"))
def test_submissions(system: str, name: str) -> None:
    """Each recorded answer to a submission is read as its row says; all others refuse in the system's own words."""
    language, answer = systems.load(system), recorded(system, name)
    expected = SUBMITTED.get((system, name))
    jobs = [a_job(str(n)) for n in range(len(expected or [None]))]
    read = language.parse_submit if answer.is_complete else language.parse_stopped_submit
    results = list(read(answer, jobs))
    assert results == (expected or [_not_accepted(system, name)(_words(name, answer))])


def _not_accepted(system: str, name: str) -> Callable[[str], Submitted]:
    kinds = NOT_SUBMITTED[system]
    (kind,) = [kind for kind in kinds if name in kinds[kind]] or [Refused]
    return kind


def _words(name: str, answer: Answer) -> str:
    return answer.stderr.strip() if name == "submit-full" else answer.words


@pytest.mark.parametrize(("system", "name"), [*of("remove"), *of("kill"), *of("cancel")])
def test_cancellations(system: str, name: str) -> None:
    """Jobs that are ending, ended or unknown count as cancelled; anything else is reported."""
    answer = recorded(system, name)
    left = systems.load(system).parse_cancel(answer)
    assert name in CANCELLED[system] | NOT_CANCELLED[system]
    assert (left == "") is (name in CANCELLED[system])
    assert left in answer.words
