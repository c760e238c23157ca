"""Recorded answers, and what they mean: one row each."""

from __future__ import annotations

from typing import Any

import pytest

from b2luigi.batch import systems
from b2luigi.batch.model import Accepted, AnswerError, Cause, JobInfo, JobStatus, Refused, TryLater, Unsure
from tests.batch.systems.recorded import a_job, names, recorded

IDLE, RUNNING, SUCCESSFUL, ABORTED = JobStatus
HELD = "held (code {}): {}"
MISSING = (
    "Transfer input files failure at access point 127-0-0-1 while sending files to execution point "
    "slot3@127-0-0-1.localdomain. Details: reading from file /nonexistent/x: (errno 2) No such file or directory"
)


def slot(number: int) -> dict[str, Any]:
    return {"token": "abc", "node": f"slot{number}@127-0-0-1.localdomain"}


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
    ("htcondor", "history-done"): {"19.0": JobInfo(SUCCESSFUL, "completed", 0, **slot(2))},
    ("htcondor", "history-exited"): {"18.0": JobInfo(ABORTED, "completed", 3, **slot(1))},
    ("htcondor", "history-killed"): {"20.0": JobInfo(ABORTED, "completed", 137, **slot(3))},
    ("htcondor", "history-removed"): {
        "21.0": JobInfo(ABORTED, "removed: via condor_rm (by user daemon)", 143, Cause.cancelled, **slot(4))
    },
    ("htcondor", "history-removed-idle"): {
        "22.0": JobInfo(ABORTED, "removed: via condor_rm (by user daemon)", None, Cause.cancelled, "abc")
    },
    ("htcondor", "history-unknown-id"): {},
    ("lsf", "query-json"): {"22005": JobInfo(SUCCESSFUL, "DONE", 0, node="hostA")},
    ("lsf", "query-none"): {},
    ("lsf", "query-none-at-all"): {},
    ("lsf", "query-unknown-id"): {},
}
TOKENS = ("query-all", "query-by-token")
SILENT = {
    "htcondor": {"query-no-schedd", "query-schedd-killed"},
    "lsf": {
        *("query-connection-reset", "query-daemon-down", "query-no-daemon", "query-not-responding"),
        *("query-empty", "query-table", "query-delimiter"),
    },
}
SUBMITTED = {
    ("htcondor", "submit-terse-one"): [Accepted("3.0")],
    ("htcondor", "submit-terse-several"): [Accepted("4.0"), Accepted("4.1"), Accepted("4.2")],
    ("htcondor", "submit-unused-line"): [Accepted("8.0")],
    ("lsf", "submit-queue"): [Accepted("182")],
    ("lsf", "submit-default-queue"): [Accepted("183")],
    ("lsf", "submit-chatter"): [Accepted("184")],
}
NOT_SUBMITTED = {
    "htcondor": {
        TryLater: {
            *("submit-no-schedd", "submit-limit-owner", "submit-limit-submission", "submit-limit-total"),
            *("submit-schedd-killed", "submit-schedd-killed-midway", "submit-not-authenticated"),
        },
        Unsure: {"submit-not-committed", "submit-one", "submit-several"},
    },
    "lsf": {TryLater: {"submit-no-daemon"}, Unsure: {"submit-connection-reset", "submit-pending-limit"}},
}
CANCELLED = {
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
        assert {info.token for info in parse(recorded(system, name)).values()} == {"abc"}
    else:
        assert parse(recorded(system, name)) == JOBS[system, name]


@pytest.mark.parametrize(("system", "name"), of("submit"))
def test_submissions(system: str, name: str) -> None:
    """Each recorded answer to a submission is read as its row says; all others refuse in the system's own words."""
    language, answer = systems.load(system), recorded(system, name)
    expected = SUBMITTED.get((system, name))
    jobs = [a_job(str(n)) for n in range(len(expected or [None]))]
    results = list(language.parse_submit(answer, jobs))
    if expected is None:
        kinds = NOT_SUBMITTED[system]
        (kind,) = [kind for kind in kinds if name in kinds[kind]] or [Refused]
        expected = [kind(answer.words)]
    assert results == expected


@pytest.mark.parametrize(("system", "name"), [*of("remove"), *of("kill")])
def test_cancellations(system: str, name: str) -> None:
    """Jobs that are going, ended or unknown are as good as cancelled; anything else is told."""
    answer = recorded(system, name)
    left = systems.load(system).parse_cancel(answer)
    assert name in CANCELLED[system] | NOT_CANCELLED[system]
    assert (left == "") is (name in CANCELLED[system])
    assert left in answer.words
