"""HTCondor: condor_submit, condor_q, condor_history, condor_rm.

Facts from the HTCondor manual (submit description, job ClassAd attributes) and measured on HTCondor 23.9.6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import parse

from b2luigi.batch.systems import htcondor_description as describe
from b2luigi.batch.systems.base import BatchSystem, Setting
from b2luigi.batch.systems.htcondor_description import TOKEN
from b2luigi.batch.systems.model import (
    Accepted,
    Answer,
    AnswerError,
    Cause,
    Command,
    JobInfo,
    JobSpec,
    JobStatus,
    Refused,
    Submitted,
    TooMany,
    TryLater,
    Unsure,
)

ATTRIBUTES = (
    "ClusterId,ProcId,JobStatus,ExitCode,ExitBySignal,ExitSignal,HoldReason,HoldReasonCode,RemoveReason,"
    f"RemoteHost,LastRemoteHost,{TOKEN}"
)
OURS = f"{TOKEN} isnt undefined"

STATES = {
    1: (JobStatus.idle, "idle"),
    2: (JobStatus.running, "running"),
    3: (JobStatus.aborted, "removed"),
    4: (JobStatus.aborted, "completed"),
    5: (JobStatus.aborted, "held"),
    6: (JobStatus.running, "transferring output"),
    7: (JobStatus.running, "suspended"),
}
"""JobStatus of the job ClassAd. Completed needs a look at the exit code, held at the reason."""

HELD_BY_PERSON = (1, 15)
"""HoldReasonCode: 1 condor_hold, 15 submitted on hold."""
HELD = {
    6: Cause.refused,
    12: Cause.refused,
    13: Cause.refused,
    34: Cause.memory,
    46: Cause.time,
    47: Cause.time,
}
"""HoldReasonCode (manual: job ClassAd attributes): 6 exec failed, 12, 13 file transfer, 34 memory, 46, 47 time."""

TRY_LATER = (
    "Failed to connect to",
    "Can't find address of",
    "Unable to connect",
    "MAX_JOBS_",
    "ERROR: Can't connect",
)
UNSURE = ("Failed to queue job", "communication error", "Failed to end transaction")
NOT_COMMITTED = "Failed to commit job submission into the queue."
"""Followed by a reason (SUBMIT_REQUIREMENT_..._REASON of the site), or by what became of the connection."""
CONNECTION = re.compile(r"CEDAR|SECMAN|AUTHENTICATE|DCSchedd|connect|timed out|timeout|communication", re.IGNORECASE)
TOO_MANY = "MAX_JOBS_PER_SUBMISSION"
TAKEN = r"Job [\d.]+ (not found|(already )?marked for removal)|Couldn't find/remove all jobs in cluster"
"""What condor_rm prints for jobs that are being removed, or are gone."""
DENIED = ("Permission denied", "No result found")

_range = parse.compile("{cluster}.{first} - {same}.{last}")


class HTCondor(BatchSystem):
    """The language of HTCondor."""

    name: ClassVar[str] = "htcondor"
    probe: ClassVar[str] = "condor_submit"
    bulk: ClassVar[int] = 5000
    carries_files: ClassVar[bool] = True

    def options(self, setting: Setting) -> Mapping[str, Any]:
        return describe.options(setting)

    def check(self, job: JobSpec) -> None:
        describe.check(job)

    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        return Command(("condor_submit", "-terse", "-"), stdin=describe.description(jobs))

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        too_many = len(jobs) > 1 and TOO_MANY in answer.words
        return _accepted(answer, jobs) or [TooMany(answer.words) if too_many else _not_accepted(answer)] * len(jobs)

    def parse_stopped_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        return _accepted(answer, jobs) or super().parse_stopped_submit(answer, jobs)

    def query(self, job_ids: Sequence[str]) -> Command:
        return Command(("condor_q", "-json", "-attributes", ATTRIBUTES, "-constraint", OURS))

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        return {f"{ad['ClusterId']}.{ad['ProcId']}": _info(ad) for ad in _ads(answer)}

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return Command(("condor_rm", *job_ids))

    def parse_cancel(self, answer: Answer) -> str:
        lines = [line for line in answer.words.splitlines() if line.strip()]
        if answer.rc == 0:  # it ends so, too, when only some jobs could be removed
            return "\n".join(line for line in lines if any(text in line for text in DENIED))
        return "" if all(re.match(TAKEN, line) for line in lines) else answer.words

    def find(self, jobs: Sequence[JobSpec]) -> Command:
        return self.query([])

    def history(self, job_ids: Sequence[str]) -> Command | None:
        # Without a limit it reads the whole history of the pool (measured: 3,161 ads, 9 MB).
        limits = ("-limit", str(len(job_ids)), "-scanlimit", "20000")
        return Command(("condor_history", "-json", *limits, "-attributes", ATTRIBUTES, *job_ids))


def _accepted(answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
    """All jobs with their ids, if these were printed, else none."""
    found = (ids for line in answer.stdout.splitlines() if len(ids := _ids(line)) == len(jobs))
    return [Accepted(job_id) for job_id in next(found, [])]


def _ids(line: str) -> list[str]:
    """The ids of a line `7.0 - 7.4`, else none."""
    found = _range.parse(line.strip())
    words = found.named if found else {}
    if not words or not all(re.fullmatch(r"[0-9]{1,18}", word) for word in words.values()):
        return []
    first, last = int(words["first"]), int(words["last"])
    whole = words["cluster"] == words["same"] and last - first < HTCondor.bulk
    return [f"{words['cluster']}.{n}" for n in range(first, last + 1)] if whole else []


def _not_accepted(answer: Answer) -> Submitted:
    text = answer.words
    if answer.rc <= 0 or any(word in text for word in UNSURE):
        return Unsure(text)
    if TOO_MANY not in text and any(word in text for word in TRY_LATER):
        return TryLater(text)
    if NOT_COMMITTED in text and not _commit_reason(text):
        return Unsure(text)
    return Refused(text)


def _commit_reason(text: str) -> str:
    """Why the schedd did not take the jobs: a requirement of the site, say; empty if the connection was to blame."""
    said = text.partition(NOT_COMMITTED)[2].strip()
    return "" if CONNECTION.search(said) else said


def _ads(answer: Answer) -> list[dict[str, Any]]:
    # With nothing to show condor_q prints nothing at all, and ends with 0.
    try:
        ads = json.loads(answer.stdout) if answer.stdout.strip() else []
    except (ValueError, RecursionError):
        ads = None
    if answer.rc != 0 or not isinstance(ads, list) or not all(map(_whole, ads)):
        raise AnswerError(answer.words)
    return ads


def _whole(ad: Any) -> bool:
    return isinstance(ad, dict) and isinstance(ad.get("ClusterId"), int) and isinstance(ad.get("ProcId"), int)


def _info(ad: Mapping[str, Any]) -> JobInfo:
    state = ad.get("JobStatus")
    status, native = STATES.get(state if isinstance(state, int) else 0, (JobStatus.running, f"state {state}"))
    read = {"held": _held, "removed": _removed, "completed": _completed}.get(native, _other)
    return read(
        JobInfo(
            status=status,
            native=native,
            # An evicted job that waits or runs again still has what its last run ended with.
            exit_code=_exit_code(ad) if status.is_final else None,
            token=_text(ad, TOKEN),
            node=_text(ad, "RemoteHost") or _text(ad, "LastRemoteHost"),
        ),
        ad,
    )


def _text(ad: Mapping[str, Any], name: str) -> str | None:
    return str(ad[name]) if ad.get(name) else None


def _exit_code(ad: Mapping[str, Any]) -> int | None:
    """ExitStatus is always 0, and ExitBySignal is set before the job ends: only these two are reliable."""
    if ad.get("ExitBySignal") and isinstance(ad.get("ExitSignal"), int):
        return 128 + int(ad["ExitSignal"])
    return ad["ExitCode"] if isinstance(ad.get("ExitCode"), int) else None


def _held(info: JobInfo, ad: Mapping[str, Any]) -> JobInfo:
    reason, code = ad.get("HoldReason") or "no reason given", ad.get("HoldReasonCode")
    native = f"held (code {code}): {reason}"
    if code in HELD_BY_PERSON:
        return JobInfo(JobStatus.idle, native, token=info.token, node=info.node, held=True)
    cause = HELD.get(code, Cause.infrastructure) if isinstance(code, int) else Cause.infrastructure
    return JobInfo(info.status, native, info.exit_code, cause, info.token, info.node, lingers=True)


def _removed(info: JobInfo, ad: Mapping[str, Any]) -> JobInfo:
    native = f"removed: {ad.get('RemoveReason') or 'no reason given'}"
    return JobInfo(info.status, native, info.exit_code, Cause.cancelled, info.token, info.node)


def _completed(info: JobInfo, ad: Mapping[str, Any]) -> JobInfo:
    status = JobStatus.successful if info.exit_code == 0 else JobStatus.aborted
    return JobInfo(status, info.native, info.exit_code, None, info.token, info.node)


def _other(info: JobInfo, ad: Mapping[str, Any]) -> JobInfo:
    return info
