"""The policy, row by row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from b2luigi.batch.attempts.judge import (
    ADVICE,
    NO_JOB,
    Anew,
    Another,
    Deliver,
    Evidence,
    Fail,
    NotBegun,
    Questions,
    Refused,
    Verdict,
    Wait,
    judge,
    wants_reason,
)
from b2luigi.batch.attempts.outcome import DONE, FAILED, INTERRUPTED, PENDING, Marker, Outcome
from b2luigi.batch.systems.model import Cause, JobInfo, JobStatus
from b2luigi.core.job_script import CUT_SHORT, DONE_UNRECORDED, UNRECORDED

IDLE = JobInfo(JobStatus.idle, "PEND")
RUNNING = JobInfo(JobStatus.running, "RUN")
ENDED = JobInfo(JobStatus.successful, "DONE", 0)
EXITED = JobInfo(JobStatus.aborted, "EXIT", 1)
SHOT = JobInfo(JobStatus.aborted, "EXIT", 137)
KILLED = JobInfo(JobStatus.aborted, "TERM_OWNER", 143, Cause.cancelled)
MUTE = JobInfo(JobStatus.aborted, "EXIT")


def never_asked() -> bool:
    raise AssertionError("the outputs of the task are no evidence here")


def decide(*, complete: bool | None = None, **evidence: Any) -> Verdict:
    """The verdict; `complete` None: the task must not be asked."""
    return judge(Evidence(**evidence), Questions(never_asked if complete is None else lambda: complete))


def test_a_done_without_its_outputs_is_none() -> None:
    """Outputs may be late on a shared file system; when they do not come, the task has failed, with their names."""
    done, outputs = Outcome(DONE), Questions(never_asked, lambda outcome: ["/a/b", "/c"])
    early = Evidence(outcome=done, marker=Marker(0, True), ended_for=59)
    assert judge(early, outputs) == Wait()
    verdict = judge(replace(early, ended_for=60), outputs)
    assert isinstance(verdict, Fail)
    assert "these outputs do not exist: /a/b, /c" in verdict.what


def test_a_crash_of_the_program_is_not_blamed_on_the_cluster() -> None:
    """A segmentation fault will come again: who reads that is to look into the log."""
    verdict = decide(marker=Marker(139, False), gone=True)
    assert isinstance(verdict, Fail)
    assert (verdict.cause, "SIGSEGV" in verdict.what) == (Cause.ended, True)


# -- the table


@pytest.mark.parametrize("status", [DONE, FAILED, PENDING])
@pytest.mark.parametrize(
    "other",
    [
        {"marker": Marker(0, True)},
        {"marker": Marker(139, True)},
        {"marker": Marker(1, True), "info": RUNNING},
        {"info": KILLED},
        {"gone": True, "ended_for": 999},
    ],
    ids=str,
)
def test_an_outcome_is_the_strongest_evidence(status: str, other: dict[str, Any]) -> None:
    """The outcome of the attempt stands, whatever else is reported of its job."""
    outcome = Outcome(status, "why")
    assert decide(outcome=outcome, **other) == Deliver(outcome)


@pytest.mark.parametrize(
    "evidence",
    [
        {},
        {"info": IDLE},
        {"info": RUNNING},
        {"info": RUNNING, "ended_for": 999},
        {"outcome": Outcome(INTERRUPTED)},
        {"outcome": Outcome(INTERRUPTED), "info": RUNNING},
        {"outcome": Outcome(DONE)},
        {"outcome": Outcome(FAILED), "info": RUNNING},
    ],
    ids=str,
)
def test_a_job_that_lives_is_waited_for(evidence: dict[str, Any]) -> None:
    """While nothing says that the job ended, there is no verdict."""
    assert decide(**evidence) == Wait()


@pytest.mark.parametrize(
    "evidence",
    [
        {"marker": Marker(0, True)},
        {"marker": Marker(1, True)},
        {"marker": Marker(0, True), "info": KILLED},
        {"marker": Marker(None, False)},
        {"info": ENDED},
        {"info": EXITED},
        {"info": MUTE},
        {"gone": True},
        {"gone": True, "info": RUNNING},
    ],
    ids=str,
)
def test_an_outcome_may_come_late(evidence: dict[str, Any]) -> None:
    """An outcome that was promised, or that may be, is waited for, for the grace and not longer."""
    assert decide(ended_for=59.9, **evidence) == Wait()
    assert decide(ended_for=0, grace=0, info=EXITED) != Wait()


@pytest.mark.parametrize("code", [1, 2, 126, 127, 128])
def test_a_script_that_ended_without_an_outcome_has_failed(code: int) -> None:
    """The script itself says that there is no outcome: nothing to wait for, nobody to ask."""
    verdict = decide(marker=Marker(code, False))
    assert isinstance(verdict, Fail)
    assert (verdict.cause, f"exit code {code} " in verdict.what) == (Cause.ended, True)


@pytest.mark.parametrize("marker", [Marker(137, False), Marker(143, False), Marker(130, True)])
@pytest.mark.parametrize("info", [None, RUNNING])
def test_the_batch_system_is_asked_about_a_signal(marker: Marker, info: JobInfo | None) -> None:
    """A job that was shot may be requeued, evicted or cancelled: only the batch system knows."""
    outcome = Outcome(INTERRUPTED) if marker.has_outcome else None
    assert wants_reason(marker)
    assert decide(marker=marker, info=info, outcome=outcome) == Wait()
    verdict = decide(marker=marker, info=KILLED, outcome=outcome)
    assert isinstance(verdict, Fail)
    assert (verdict.cause, verdict.what) == (Cause.cancelled, "the batch system reports: TERM_OWNER")


@pytest.mark.parametrize("marker", [None, Marker(0, False), Marker(0, True), Marker(1, False), Marker(1, True)])
def test_other_ends_need_no_reason(marker: Marker | None) -> None:
    """A job that lives, or ended by itself, is nothing to ask the batch system about."""
    assert not wants_reason(marker)


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("marker", [None, Marker(137, False)])
def test_the_cause_of_the_batch_system_is_reported(cause: Cause, marker: Marker | None) -> None:
    """What the batch system says is the reason, in its own words, with the advice for this cause."""
    verdict = decide(info=JobInfo(JobStatus.aborted, "its words", 137, cause), marker=marker)
    assert verdict == Fail(cause, "the batch system reports: its words", ADVICE[cause])


@pytest.mark.parametrize("evidence", [{"marker": Marker(0, False)}, {"info": ENDED, "ended_for": 60}], ids=str)
def test_exit_code_zero_and_a_complete_task(evidence: dict[str, Any]) -> None:
    """A program that knows nothing of outcomes has done its work if its outputs are there, for some time or at last."""
    assert decide(**evidence, complete=True) == Deliver(Outcome(DONE))
    late = decide(**{**evidence, "ended_for": 60}, complete=False)
    assert isinstance(late, Fail)
    assert (late.cause, "exit code 0" in late.what, "not complete" in late.what) == (Cause.ended, True, True)


def test_outputs_may_come_late() -> None:
    """The outputs of a job that ended with 0 may be on their way, too."""
    assert decide(marker=Marker(0, False), ended_for=59, complete=False) == Wait()


@pytest.mark.parametrize("evidence", [{"marker": Marker(143, False)}, {"marker": Marker(1, False)}, {"info": SHOT}])
def test_outputs_do_not_excuse_a_bad_end(evidence: dict[str, Any]) -> None:
    """The outputs of a job that did not end well may be half written: they are not even looked at."""
    verdict = decide(**evidence, gone=True, ended_for=999, complete=None)
    assert isinstance(verdict, Fail)


@pytest.mark.parametrize(
    ("evidence", "cause", "words"),
    [
        ({"info": EXITED}, Cause.ended, "exit code 1 "),
        ({"info": SHOT}, Cause.infrastructure, "signal 9 (exit code 137)"),
        ({"info": MUTE}, Cause.infrastructure, "without an exit code (last status from the batch system: EXIT)"),
        ({"gone": True}, Cause.vanished, "cancelled, or lost"),
        ({"gone": True, "info": IDLE}, Cause.vanished, "had not started"),
        ({"gone": True, "info": IDLE, "started": True}, Cause.infrastructure, "without an exit code"),
        ({"gone": True, "outcome": Outcome(INTERRUPTED)}, Cause.infrastructure, "without an exit code"),
        ({"gone": True, "info": RUNNING}, Cause.infrastructure, "last status from the batch system: RUN"),
        ({"gone": True, "marker": Marker(None, False)}, Cause.infrastructure, "without an exit code"),
        ({"gone": True, "marker": Marker(137, False)}, Cause.infrastructure, "signal 9"),
        ({"gone": True, "marker": Marker(1, True)}, Cause.ended, "exit code 1 "),
        ({"info": MUTE, "marker": Marker(2, False)}, Cause.ended, "exit code 2 "),
        ({"info": ENDED, "marker": Marker(2, False)}, Cause.ended, "exit code 2 "),
        ({"info": MUTE, "outcome": Outcome(INTERRUPTED)}, Cause.infrastructure, "without an exit code"),
    ],
)
def test_an_end_without_an_outcome(evidence: dict[str, Any], cause: Cause, words: str) -> None:
    """After the grace the end is reported with all that is known of it; the job script knows best."""
    verdict = decide(**evidence, ended_for=60)
    assert isinstance(verdict, Fail)
    assert (verdict.cause, verdict.advice) == (cause, ADVICE[cause])
    assert words in verdict.what


@pytest.mark.parametrize(
    "evidence",
    [{"marker": Marker(CUT_SHORT, False)}, {"info": JobInfo(JobStatus.aborted, "EXIT", CUT_SHORT), "ended_for": 60}],
    ids=["marker", "batch system"],
)
def test_an_exit_in_the_middle_of_the_task_is_no_success(evidence: dict[str, Any]) -> None:
    """Outputs that are there may be half written: they are not even looked at."""
    verdict = decide(**evidence)
    assert isinstance(verdict, Fail)
    assert (verdict.cause, "in the middle of the task" in verdict.what) == (Cause.ended, True)


@pytest.mark.parametrize(
    "evidence",
    [
        {"marker": Marker(DONE_UNRECORDED, False)},
        {"info": JobInfo(JobStatus.aborted, "EXIT", DONE_UNRECORDED), "ended_for": 60},
        {"info": JobInfo(JobStatus.aborted, "held", DONE_UNRECORDED, Cause.infrastructure), "ended_for": 60},
    ],
    ids=["marker", "batch system", "held for its exit code"],
)
def test_work_whose_outcome_could_not_be_written_is_done_if_the_task_is_complete(evidence: dict[str, Any]) -> None:
    """The exit code says so, which nothing else ends with; the outputs may come late, as always."""
    assert decide(**evidence, complete=True) == Deliver(Outcome(DONE))
    assert decide(**{**evidence, "ended_for": 59}, complete=False) == Wait()
    late = decide(**{**evidence, "ended_for": 60}, complete=False)
    assert isinstance(late, Fail)
    assert (late.cause, "could not write the outcome" in late.what) == (Cause.ended, True)


def test_an_outcome_that_could_not_be_written_is_no_failure_of_the_task() -> None:
    """It had yielded requirements, which another job yields as well."""
    verdict = decide(marker=Marker(UNRECORDED, False))
    assert isinstance(verdict, Fail)
    assert verdict.cause is Cause.infrastructure


def test_every_cause_has_advice() -> None:
    """No failure is reported without what can be done about it."""
    assert set(ADVICE) == set(Cause)
    assert all(ADVICE.values())


def test_a_refusal_is_all_there_is_to_say() -> None:
    """Whatever an old outcome in the folder says."""
    assert decide(refusal="no such queue", outcome=Outcome(DONE)) == Refused("no such queue")


@pytest.mark.parametrize(
    ("earlier", "verdict"),
    [(True, Anew(NO_JOB)), (False, Refused("no answer", in_doubt=True))],
    ids=["earlier", "ours"],
)
def test_a_job_that_was_searched_for_in_vain_and_left_nothing_never_was(earlier: bool, verdict: Verdict) -> None:
    """Nothing is waited for."""
    assert decide(not_found="no answer", gone=True, earlier=earlier) == verdict


@pytest.mark.parametrize("earlier", [True, False])
def test_a_job_that_was_searched_for_in_vain_and_left_something_is_over(earlier: bool) -> None:
    """It came and went before anybody asked."""
    left: dict[str, Any] = {"outcome": Outcome(DONE), "marker": Marker(0, True)}
    assert decide(not_found="no answer", gone=True, earlier=earlier, **left) == Deliver(Outcome(DONE))


def test_the_outcome_of_another_task_counts_for_nothing() -> None:
    """Even while the job still runs: two tasks share one folder."""
    other = Outcome(DONE, task_id="Other_1")
    assert decide(outcome=other, task_id="Mine_1", info=RUNNING) == Another(other)
    assert decide(outcome=other, task_id="Other_1", marker=Marker(0, True)) == Deliver(other)


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        ({"outcome": Outcome(FAILED, headline="no luck"), "marker": Marker(1, True)}, "failed: no luck"),
        ({"info": KILLED, "marker": Marker(143, False)}, "is over: the batch system reports: TERM_OWNER"),
    ],
    ids=["failed", "died"],
)
def test_a_bad_end_that_nobody_watched_is_no_answer(evidence: dict[str, Any], why: str) -> None:
    """The user runs the script again to have the task done; a good end counts, whoever saw it."""
    assert decide(earlier=True, lived=False, **evidence) == Anew(f"its job in an earlier run {why}")
    assert not isinstance(decide(earlier=True, lived=True, **evidence), Anew)
    assert not isinstance(decide(earlier=False, lived=False, **evidence), Anew)
    assert isinstance(decide(earlier=True, lived=False, outcome=Outcome(DONE), marker=Marker(0, True)), Deliver)


@pytest.mark.parametrize("complete", [True, False])
def test_inputs_that_only_the_node_misses_are_no_fault_of_the_task(complete: bool) -> None:
    """If they are complete on the submit host, the file system of the node was late."""
    outcome = Outcome(FAILED, "missing", missing=("Input_1",))
    questions = Questions(never_asked, inputs_complete=lambda: complete)
    verdict = judge(Evidence(outcome=outcome, marker=Marker(1, True)), questions)
    if complete:
        assert isinstance(verdict, Fail)
        assert (verdict.cause, "Input_1" in verdict.what) == (Cause.infrastructure, True)
    else:
        assert verdict == Deliver(outcome)


# -- tasks that share a job


@pytest.mark.parametrize(
    "evidence",
    [
        {"marker": Marker(0, False)},
        {"marker": Marker(1, False)},
        {"marker": Marker(143, False), "info": KILLED},
        {"marker": Marker(137, False), "gone": True},
        {"info": KILLED},
        {"info": replace(EXITED, cause=Cause.memory)},
        {"gone": True, "ended_for": 999},
    ],
    ids=str,
)
def test_a_task_to_which_its_job_had_not_come_counts_for_nothing(evidence: dict[str, Any]) -> None:
    """Whatever became of the job, and of the tasks at work in it."""
    assert decide(not_begun=True, **evidence) == NotBegun()


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        ({}, Wait()),
        ({"info": RUNNING}, Wait()),
        ({"marker": Marker(143, False), "info": RUNNING}, Wait()),
        ({"marker": Marker(0, False), "outcome": Outcome(DONE)}, Deliver(Outcome(DONE))),
        ({"refusal": "no such queue"}, Refused("no such queue")),
        ({"not_found": "in vain"}, Refused("in vain", in_doubt=True)),
        ({"gone": True, "ended_for": 1}, Wait()),
    ],
    ids=str,
)
def test_that_a_task_had_not_begun_is_no_word_on_a_job_that_may_live(
    evidence: dict[str, Any], verdict: Verdict
) -> None:
    """Or on one that never was; an outcome proves that it had."""
    assert decide(not_begun=True, **evidence) == verdict


def test_an_outcome_that_says_that_a_signal_came_proves_that_the_task_had_begun() -> None:
    """The ledger is behind."""
    verdict = decide(not_begun=True, outcome=Outcome(INTERRUPTED), marker=Marker(143, True), info=KILLED)
    assert isinstance(verdict, Fail)


@pytest.mark.parametrize(("code", "cause"), [(139, Cause.ended), (137, Cause.infrastructure), (3, Cause.ended)])
@pytest.mark.parametrize("info", [RUNNING, KILLED, None], ids=["works on", "killed later", "unknown"])
def test_the_end_of_one_task_is_judged_without_its_job(code: int, cause: Cause, info: JobInfo | None) -> None:
    """Which works on, or ends later for reasons of its own: the batch system knows nothing of the task."""
    verdict = decide(marker=Marker(code, False, alone=True), info=info)
    assert isinstance(verdict, Fail)
    assert verdict.cause is cause


def test_the_batch_system_is_not_asked_about_the_end_of_one_task() -> None:
    """It would say that the job runs."""
    assert wants_reason(Marker(137, False))
    assert not wants_reason(Marker(137, False, alone=True))


def test_a_task_that_ends_with_its_job_is_judged_by_what_the_batch_system_says() -> None:
    """All processes of the job were stopped: it ran out of time, say."""
    verdict = decide(marker=Marker(143, False), info=replace(EXITED, cause=Cause.time))
    assert isinstance(verdict, Fail)
    assert verdict.cause is Cause.time
