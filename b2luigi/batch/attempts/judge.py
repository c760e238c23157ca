"""judge(): the policy that weighs all evidence on one attempt. Pure; docs/explanation/how-it-works.md has its table."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

from b2luigi.batch.attempts.outcome import DONE, FAILED, INTERRUPTED, Marker, Outcome
from b2luigi.batch.interrupts import SIGNALLED
from b2luigi.batch.systems.model import Cause, JobInfo, JobStatus
from b2luigi.core.job_script import CUT_SHORT, DONE_UNRECORDED, UNRECORDED

CRASHES = {signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV}
"""Signals that a program brings upon itself."""


@dataclass(frozen=True)
class Evidence:
    """All that is known of one attempt at one moment. Times in seconds."""

    outcome: Outcome | None = None
    marker: Marker | None = None
    info: JobInfo | None = None
    """The last that the batch system reported, None if it never did."""
    gone: bool = False
    """The batch system was asked, more than once, and no longer knows the job."""
    started: bool = False
    """Its job script wrote something."""
    ended_for: float = 0.0
    """How long ago the first sign of the end was seen."""
    outcome_for: float = 0.0
    """How long ago the outcome was seen first."""
    grace: float = 60.0
    """How late an outcome may be after the end of its job."""
    refusal: str = ""
    """The words with which the batch system refused the job, if it did."""
    not_found: str = ""
    """Why it is not known whether the batch system accepted the job, if a search for it found nothing."""
    task_id: str = ""
    """The task whose attempt it is."""
    earlier: bool = False
    """An earlier run has submitted the job."""
    lived: bool = True
    """This run has seen the job alive."""
    not_begun: bool = False
    """The job that the task shared with others is over, and has begun with others only."""


@dataclass(frozen=True)
class Wait:
    """There is no verdict yet."""


@dataclass(frozen=True)
class Deliver:
    """The outcome stands."""

    outcome: Outcome


@dataclass(frozen=True)
class Fail:
    """The attempt is over and its work is not done."""

    cause: Cause
    what: str
    """What happened, one sentence."""
    advice: str
    """What the user can do about it."""


@dataclass(frozen=True)
class Anew:
    """The job of an earlier run is over, and nobody was there to hear of it: one of ours takes its place."""

    why: str


@dataclass(frozen=True)
class Refused:
    """There is no job: the batch system did not accept it, or, `in_doubt`, was searched for it in vain."""

    reason: str
    in_doubt: bool = False


@dataclass(frozen=True)
class Another:
    """The job ran another task: two tasks share one folder."""

    outcome: Outcome


@dataclass(frozen=True)
class NotBegun:
    """The job that the task shared with others is over, and had not come to this one: it counts for nothing."""


Verdict = Wait | Deliver | Fail | Anew | Refused | Another | NotBegun
NO_JOB = "an earlier run was interrupted during submission; no such job exists"

ADVICE = {
    Cause.cancelled: "If you did not cancel it, ask your site; run the script again to resubmit the task.",
    Cause.vanished: "If you did not cancel it, ask your site; run the script again to resubmit the task.",
    Cause.infrastructure: "Run the script again.",
    Cause.memory: "Ask the batch system for more memory in the settings of this task.",
    Cause.time: "Ask the batch system for more time, or another queue, in the settings of this task.",
    Cause.policy: "Read the reason, and ask the batch system for something that the policy allows.",
    Cause.refused: "Correct the setting that the message names.",
    Cause.ended: "Look into the log folder; running the job script by hand runs this task here and now.",
}


ALWAYS, CHANGED, NEVER = "resubmitted", "resubmitted if the next attempt requests something else", "reported"
AGAIN = {
    Cause.cancelled: NEVER,
    Cause.vanished: NEVER,
    Cause.infrastructure: ALWAYS,
    Cause.memory: CHANGED,
    Cause.time: CHANGED,
    Cause.policy: CHANGED,
    Cause.refused: NEVER,
    Cause.ended: NEVER,
}
"""What is done about a death, at most `job_retries` times; docs/explanation/how-it-works.md has the same table."""


@dataclass(frozen=True)
class Questions:
    """What can be asked of the task itself; each is called only where its answer decides."""

    complete: Callable[[], bool]
    missing: Callable[[Outcome], list[str]] = lambda outcome: []
    """The outputs that do not exist here, and should according to the outcome of a node that is done."""
    inputs_complete: Callable[[], bool] = lambda: False
    """Whether all requirements are complete here."""


def judge(evidence: Evidence, questions: Questions) -> Verdict:
    """The verdict on one attempt: the first rule that applies decides."""
    for rule in RULES:
        verdict = rule(evidence, questions)
        if verdict is not None:
            return _anew_if_unseen(verdict, evidence)
    return Wait()


def _anew_if_unseen(verdict: Verdict, evidence: Evidence) -> Verdict:
    """The user runs the script again to have the task done: what failed before we came is no answer to that."""
    match verdict:
        case Deliver(outcome) if evidence.earlier and not evidence.lived and outcome.status == FAILED:
            return Anew(f"its job in an earlier run failed: {outcome.headline or outcome.explanation}")
        case Fail() if evidence.earlier and not evidence.lived:
            return Anew(f"its job in an earlier run is over: {verdict.what}")
    return verdict


def _refused(evidence: Evidence, questions: Questions) -> Verdict | None:
    return Refused(evidence.refusal) if evidence.refusal else None


def _nowhere(evidence: Evidence, questions: Questions) -> Verdict | None:
    """A job that is nowhere to be found was there all the same if it left something."""
    if not evidence.not_found or evidence.marker is not None or evidence.outcome is not None:
        return None
    return Anew(NO_JOB) if evidence.earlier else Refused(evidence.not_found, in_doubt=True)


def _another_task(evidence: Evidence, questions: Questions) -> Verdict | None:
    ran = evidence.outcome.task_id if evidence.outcome is not None else ""
    return Another(evidence.outcome) if evidence.outcome is not None and ran not in ("", evidence.task_id) else None


def _by_outcome(evidence: Evidence, questions: Questions) -> Verdict | None:
    outcome = evidence.outcome
    if outcome is None or outcome.status == INTERRUPTED:
        return None
    if outcome.status == FAILED and outcome.missing and questions.inputs_complete():
        what = "its node did not see inputs that are complete here: " + ", ".join(outcome.missing)
        return Fail(Cause.infrastructure, what, ADVICE[Cause.infrastructure])
    missing = questions.missing(outcome) if outcome.status == DONE else []
    if not missing:
        return Deliver(outcome)
    if max(evidence.ended_for, evidence.outcome_for) < evidence.grace:
        return Wait()
    what = "its node reported that it is done, but these outputs do not exist: " + ", ".join(missing)
    return Fail(Cause.ended, what, "Check that node and submit host see the same folder under the same path.")


def _alive(evidence: Evidence, questions: Questions) -> Verdict | None:
    """An outcome alone is not the end: what the job script does after it may still fail, and be run again."""
    final = evidence.info is not None and evidence.info.status.is_final
    reported = evidence.outcome is not None and evidence.outcome.status != INTERRUPTED
    waited = reported and evidence.outcome_for >= evidence.grace
    return None if final or evidence.gone or evidence.marker is not None or waited else Wait()


def _outcome_on_its_way(evidence: Evidence, questions: Questions) -> Verdict | None:
    if evidence.outcome is not None or evidence.ended_for >= evidence.grace:
        return None
    promised = evidence.marker is not None and evidence.marker.has_outcome
    return Wait() if promised or not _explained(evidence) else None


def _ask_first(evidence: Evidence, questions: Questions) -> Verdict | None:
    """A job killed by a signal: the batch system knows who did it, why, and whether the job will run again.

    A job that was held, evicted or requeued leaves such a marker, too, and lives on.
    """
    known = evidence.gone or (evidence.info is not None and evidence.info.status.is_final)
    return None if known or not wants_reason(evidence.marker) else Wait()


def _not_begun(evidence: Evidence, questions: Questions) -> Verdict | None:
    return NotBegun() if evidence.not_begun and evidence.outcome is None else None


def _done_unrecorded(evidence: Evidence, questions: Questions) -> Verdict | None:
    """The exit code itself says that the work is done; the disk of the outcome was full."""
    if _exit_code(evidence) != DONE_UNRECORDED:
        return None
    if questions.complete():
        return Deliver(Outcome(DONE))
    if evidence.ended_for < evidence.grace:
        return Wait()
    what = "its node says that it is done, but could not write the outcome, and the task is not complete"
    return Fail(Cause.ended, what, ADVICE[Cause.ended])


def _by_batch_system(evidence: Evidence, questions: Questions) -> Verdict | None:
    info = evidence.info
    if info is None or info.cause is None or _is_alone(evidence):
        return None
    return Fail(info.cause, f"the batch system reports: {info.native}", ADVICE[info.cause])


def _exit_zero(evidence: Evidence, questions: Questions) -> Verdict | None:
    if _exit_code(evidence) != 0:
        return None
    if questions.complete():
        return Deliver(Outcome(DONE, version=""))
    if evidence.ended_for < evidence.grace:
        return Wait()
    what = "the job ended with exit code 0, but left no outcome, and the task is not complete"
    return Fail(Cause.ended, what, ADVICE[Cause.ended])


def _vanished(evidence: Evidence, questions: Questions) -> Verdict | None:
    """A job cancelled while it waits may leave no trace (Slurm: one element of an array), so its end stays unknown."""
    waited = evidence.info is None or evidence.info.status is JobStatus.idle
    started = evidence.started or evidence.marker is not None or evidence.outcome is not None
    if not evidence.gone or started or not waited:
        return None
    what = "the batch system no longer lists the job, which had not started when it was last seen: cancelled, or lost"
    return Fail(Cause.vanished, what, ADVICE[Cause.vanished])


def _ended(evidence: Evidence, questions: Questions) -> Verdict | None:
    code = _exit_code(evidence)
    if code is None:
        last = f" (last status from the batch system: {evidence.info.native})" if evidence.info else ""
        what = f"the job ended without an outcome and without an exit code{last}"
        return Fail(Cause.infrastructure, what, ADVICE[Cause.infrastructure])
    if code == CUT_SHORT:
        what = "the program ended with exit code 0 in the middle of the task (an exit() in a library, or os._exit)"
        return Fail(Cause.ended, what, ADVICE[Cause.ended])
    if code == UNRECORDED:
        return Fail(Cause.infrastructure, "its node could not write the outcome", ADVICE[Cause.infrastructure])
    if code - SIGNALLED in CRASHES:
        name = signal.Signals(code - SIGNALLED).name
        what = f"the program crashed: {name} (exit code {code})"
        return Fail(Cause.ended, what, ADVICE[Cause.ended])
    if code > SIGNALLED:
        what = f"the job was killed by signal {code - SIGNALLED} (exit code {code}) and left no outcome"
        return Fail(Cause.infrastructure, what, ADVICE[Cause.infrastructure])
    return Fail(Cause.ended, f"the job ended with exit code {code} and left no outcome", ADVICE[Cause.ended])


RULES = (
    _refused,
    _nowhere,
    _another_task,
    _alive,
    _by_outcome,
    _outcome_on_its_way,
    _ask_first,
    _not_begun,
    _done_unrecorded,
    _by_batch_system,
    _exit_zero,
    _vanished,
    _ended,
)


def wants_reason(marker: Marker | None) -> bool:
    """True for a job that ended in a way that its exit code does not explain.

    It may have left an outcome that says no more than that the task was interrupted. Of the end of one task of a pack
    whose job works on, the batch system knows nothing.
    """
    unexplained = marker is not None and (marker.exit_code is None or marker.exit_code > SIGNALLED)
    return unexplained and not (marker is not None and marker.alone)


def _is_alone(evidence: Evidence) -> bool:
    return evidence.marker is not None and evidence.marker.alone


def _exit_code(evidence: Evidence) -> int | None:
    if evidence.marker is not None and evidence.marker.exit_code is not None:
        return evidence.marker.exit_code
    return evidence.info.exit_code if evidence.info is not None else None


def _explained(evidence: Evidence) -> bool:
    """Nothing more to wait for: the script reports no outcome, or the system a cause or a signal."""
    marker = evidence.marker
    by_script = marker is not None and not marker.has_outcome and marker.exit_code is not None
    info = evidence.info
    killed = info is not None and info.exit_code is not None and info.exit_code > SIGNALLED
    by_system = info is not None and info.status.is_final and (info.cause is not None or killed)
    return bool(by_script or by_system)
