"""Slurm: sbatch, squeue, sacct, scancel.

Facts from Slurm's manual pages and measured on Slurm 22.05.8, with accounting and without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from b2luigi.batch.systems import slurm_options
from b2luigi.batch.systems.arrays import Arrays
from b2luigi.batch.systems.base import BatchSystem, Setting
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

OWN_VARIABLES = (
    *("SBATCH_ARRAY_INX", "SBATCH_WAIT", "SBATCH_OUTPUT", "SBATCH_ERROR", "SBATCH_CLUSTERS", "SLURM_CLUSTERS"),
    *("SQUEUE_ARRAY", "SQUEUE_FORMAT", "SQUEUE_FORMAT2", "SQUEUE_LICENSES", "SQUEUE_NAMES", "SQUEUE_PARTITION"),
    *("SQUEUE_QOS", "SQUEUE_SORT", "SQUEUE_STATES", "SQUEUE_USERS", "SQUEUE_ALL", "SQUEUE_PRIORITY"),
    *("SCANCEL_ACCOUNT", "SCANCEL_BATCH", "SCANCEL_CTLD", "SCANCEL_FULL", "SCANCEL_HURRY", "SCANCEL_INTERACTIVE"),
    *("SCANCEL_NAME", "SCANCEL_PARTITION", "SCANCEL_QOS", "SCANCEL_STATE", "SCANCEL_USER", "SCANCEL_VERBOSE"),
    *("SCANCEL_WCKEY", "SACCT_FEDERATION", "SACCT_LOCAL"),
)
ENVIRONMENT: Mapping[str, str | None] = dict.fromkeys(OWN_VARIABLES)
"""With these a user changes what the commands do or show (section INPUT ENVIRONMENT VARIABLES of their pages)."""

LIMIT = 1000
"""Elements of an array: Slurm's own limit is 1001, counted from 0, unless the site says otherwise (MaxArraySize)."""
ARRAYS = Arrays("SLURM_ARRAY_TASK_ID", first=0, separator="_")

FIELDS = ("JobArrayID", "State", "exit_code", "NodeList", "Comment", "Reason")
"""The last one may hold anything."""
PAST_FIELDS = ("JobID", "State", "ExitCode", "NodeList")

STATES = {
    "PENDING": JobStatus.idle,
    "REQUEUED": JobStatus.idle,
    "REQUEUE_HOLD": JobStatus.idle,
    "REQUEUE_FED": JobStatus.idle,
    "SPECIAL_EXIT": JobStatus.idle,
    "CONFIGURING": JobStatus.idle,
    "SUSPENDED": JobStatus.idle,
    "COMPLETED": JobStatus.successful,
    "BOOT_FAIL": JobStatus.aborted,
    "CANCELLED": JobStatus.aborted,
    "DEADLINE": JobStatus.aborted,
    "FAILED": JobStatus.aborted,
    "NODE_FAIL": JobStatus.aborted,
    "OUT_OF_MEMORY": JobStatus.aborted,
    "PREEMPTED": JobStatus.aborted,
    "TIMEOUT": JobStatus.aborted,
}
"""All other words, known (RUNNING, COMPLETING, STAGE_OUT, SIGNALING, RESIZING, STOPPED, REVOKED) and unknown,
read as running."""

CAUSES = {
    "BOOT_FAIL": Cause.infrastructure,
    "CANCELLED": Cause.cancelled,
    "DEADLINE": Cause.time,
    "NODE_FAIL": Cause.infrastructure,
    "OUT_OF_MEMORY": Cause.memory,
    "PREEMPTED": Cause.infrastructure,
    "TIMEOUT": Cause.time,
}
STUCK = re.compile(
    r"JobHeld|requeued? (in )?held|DependencyNeverSatisfied|^Partition(Config|NodeLimit|TimeLimit|Inactive)"
    r"|^Bad|^Invalid|NotAllowed$|PerJob$|PerJobLimit$|^JobHoldMaxRequeue"
)
"""Reasons for which a pending job waits for ever, unless a person does something."""
NOT_LAUNCHED = 53
"""The signal that Slurm reports for a job whose output file or folder cannot be created."""

LATER = ("Unable to contact slurm controller", "Resource temporarily unavailable", "in standby mode")
LIMIT_REASON = re.compile(r"\b(?:QOS|Assoc)[A-Z]\w*")
"""The name of a limit, on a line of its own before the sentence that is the same for all of them."""
SOME_LIMIT = "violates accounting/QOS policy"
OPEN_TRIES = 5
"""How often a job is tried whose limit may or may not pass."""
FULL = "temporarily unable to accept job"
TOO_LARGE = "Invalid job array specification"
UNSURE = (
    "Socket timed out",
    "Zero Bytes were transmitted",
    "Message receive failure",
    "Message send failure",
    "Insane message length",
    "Unexpected message received",
    "I/O error",
)
ENDED = ("Invalid job id specified", "already completing or completed")
"""What newer versions of scancel print for jobs that are gone; 22.05 prints nothing."""
NO_PAST = "accounting storage is disabled"


class Slurm(BatchSystem):
    """The language of Slurm >= 20.11 (the first whose squeue knows --me)."""

    name: ClassVar[str] = "slurm"
    probe: ClassVar[str] = "sbatch"
    bulk: ClassVar[int] = LIMIT

    def options(self, setting: Setting) -> Mapping[str, Any]:
        return {
            "job_name": str(setting("job_name") or ""),
            "argv": slurm_options.options(setting("slurm_settings") or {}),
        }

    def check(self, job: JobSpec) -> None:
        if "\0" in str(job.script):
            raise ValueError(f"Slurm cannot work with the folder {str(job.folder)!r}: its name holds a zero byte.")

    def labels(self, jobs: Sequence[JobSpec]) -> Sequence[str]:
        return ARRAYS.elements(jobs[0].token, len(jobs))

    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        array = [f"--array={ARRAYS.indexes(len(jobs))}"] if len(jobs) > 1 else []
        ours = ["--parsable", f"--job-name={jobs[0].name}", f"--comment={jobs[0].token}", "--output=/dev/null", *array]
        return Command(("sbatch", *ours, *jobs[0].options["argv"]), stdin=ARRAYS.script(jobs), env=ENVIRONMENT)

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        for line in answer.stdout.splitlines():
            found = re.fullmatch(r"([0-9]{1,18})(;\S+)?", line.strip())  # a cluster's name may follow
            if found and answer.rc == 0:
                return [Accepted(job_id) for job_id in ARRAYS.elements(found[1], len(jobs))]
        # The site allows fewer elements (MaxArraySize).
        too_large = len(jobs) > 1 and TOO_LARGE in answer.words
        return [TooMany(answer.words) if too_large else _not_accepted(answer)] * len(jobs)

    def parse_stopped_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        return [_not_accepted(answer)] * len(jobs) if _is_full(answer) else super().parse_stopped_submit(answer, jobs)

    def query(self, job_ids: Sequence[str]) -> Command:
        # Without ids: one of a job that squeue has forgotten, asked for alone, is an error.
        fields = ",".join(f"{field}:|" for field in FIELDS)
        return Command(("squeue", "--me", "-h", "-r", "-t", "all", "-O", fields), env=ENVIRONMENT)

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        rows = _rows(answer, len(FIELDS))
        return {row[0]: _info(*row) for row in rows}

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return Command(("scancel", *ARRAYS.grouped(job_ids)), env=ENVIRONMENT)

    def parse_cancel(self, answer: Answer) -> str:
        if answer.rc == 0:
            return ""
        lines = [line for line in answer.stderr.splitlines() if line.strip()]
        left = [line for line in lines if not any(text in line for text in ENDED)]
        return "" if lines and not left else "\n".join(left) or answer.words

    def find(self, jobs: Sequence[JobSpec]) -> Command:
        return self.query([])

    def history(self, job_ids: Sequence[str]) -> Command | None:
        words = ("sacct", "-X", "-n", "-P", "-o", ",".join(PAST_FIELDS), "-j", ",".join(job_ids))
        return Command(words, env=ENVIRONMENT)

    def parse_history(self, answer: Answer) -> Mapping[str, JobInfo]:
        if NO_PAST in answer.words:
            return {}
        return {row[0]: _past(*row) for row in _rows(answer, len(PAST_FIELDS))}


def _is_full(answer: Answer) -> bool:
    """Slurm accepts no more jobs for now: sbatch waits, and retries by itself, for minutes."""
    return FULL in answer.stderr


def _not_accepted(answer: Answer) -> Submitted:
    text = answer.words
    if _is_full(answer):
        return TryLater(answer.stderr.strip())
    if answer.rc <= 0 or any(word in text for word in UNSURE):
        return Unsure(text)
    if any(word in text for word in LATER):
        return TryLater(text)
    return _over_limit(text) or Refused(text)


def _over_limit(text: str) -> Submitted | None:
    """What becomes of a job that is over a limit of an account or a QOS: the name of the limit decides."""
    limits = LIMIT_REASON.findall(text)
    if limits and all("Submit" in limit for limit in limits):  # as many jobs as allowed are in the queue
        return TryLater(text)
    if any("Grp" in limit for limit in limits) or (SOME_LIMIT in text and not limits):
        return TryLater(text, OPEN_TRIES)
    return Refused(text) if limits else None


def _rows(answer: Answer, fields: int) -> list[list[str]]:
    """The rows of a listing. Comments of the user's other jobs may hold line breaks: such lines are no rows."""
    *lines, cut = answer.stdout.split("\n")
    split = (line.removesuffix("|").split("|", fields - 1) for line in lines)
    rows = [row for row in split if len(row) == fields and re.fullmatch(r"[0-9]+(_[0-9]+)?", row[0])]
    # An array that waits as a whole is a row of sacct, too: `7_[0-9]`, which has no information on its elements.
    none_at_all = not rows and any("|" not in line for line in lines)
    if answer.rc != 0 or cut or none_at_all:
        raise AnswerError(answer.words)
    return rows


def _info(job_id: str, state: str, exit_code: str, node: str, comment: str, reason: str) -> JobInfo:
    index = job_id.partition("_")[2]
    info = _past(job_id, state, exit_code, node)
    return JobInfo(
        status=info.status,
        native=f"{state}: {reason}" if reason not in ("", "None") else state,
        exit_code=info.exit_code,
        cause=info.cause,
        token=f"{comment}_{index}" if index else comment,
        node=info.node,
        held=info.status is JobStatus.idle and bool(STUCK.search(reason)),
    )


def _past(job_id: str, state: str, exit_code: str, node: str) -> JobInfo:
    word = state.split()[0] if state.split() else ""  # "CANCELLED by 0"
    status = STATES.get(word, JobStatus.running)
    code = _exit_code(exit_code) if status.is_final else None
    cause = Cause.refused if code == 128 + NOT_LAUNCHED else CAUSES.get(word)
    return JobInfo(status, state, code, cause, node=_node(node))


def _node(node: str) -> str | None:
    return None if node in ("", "(null)", "None assigned") else node


def _exit_code(text: str) -> int | None:
    """squeue prints the raw status of wait(2) (768), sacct exit code and signal (3:0)."""
    if re.fullmatch(r"[0-9]{1,3}:[0-9]{1,3}", text):
        code, number = map(int, text.split(":"))
    elif re.fullmatch(r"[0-9]{1,5}", text):
        code, number = int(text) >> 8, int(text) & 0x7F
    else:
        return None
    return 128 + number if number else code
