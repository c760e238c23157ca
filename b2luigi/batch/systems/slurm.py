"""Slurm: sbatch, squeue, sacct, scancel.

Facts from Slurm's manual pages and measured on Slurm 22.05.8, with accounting and without.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from b2luigi.batch.systems import slurm_options
from b2luigi.batch.systems.arrays import Arrays
from b2luigi.batch.systems.base import BatchSystem, Setting
from b2luigi.batch.systems.environment import SLURM
from b2luigi.batch.systems.listings import Listing, refuse_failure
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
    Requested,
    Submitted,
    TooMany,
    TryLater,
    Unsure,
)
from b2luigi.batch.systems.requests import clock, size

CLUSTER_VARIABLES = ("SBATCH_CLUSTERS", "SLURM_CLUSTERS")
"""Where a user names the cluster for submissions. Other commands name theirs themselves."""
SUBMIT_ENVIRONMENT = SLURM.changes()
ENVIRONMENT = SLURM.changes(*CLUSTER_VARIABLES)
"""For commands that submit nothing."""

LIMIT = 1000
"""Maximum size of an array; Slurm's default limit is 1001, including index 0 (MaxArraySize)."""
ARRAYS = Arrays("SLURM_ARRAY_TASK_ID", first=0, separator="_")

FIELDS = ("JobArrayID", "State", "exit_code", "NodeList", "Name", "Comment", "Reason")
"""The last one may hold anything."""
PAST_FIELDS = ("JobID", "State", "ExitCode", "NodeList", "JobName")
USED_FIELDS = ("ElapsedRaw", "TotalCPU", "MaxRSS")
"""What a job used; the last one has a value only in the rows of its steps."""
CLUSTER_NAME = re.compile(r"^ClusterName\s*=\s*(\S+)", re.MULTILINE)

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
"""All other states, known (RUNNING, COMPLETING, STAGE_OUT, SIGNALING, RESIZING, STOPPED, REVOKED) and unknown,
count as running."""

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
SHARED_LIMIT = re.compile(r"^(Assoc|QOS)\w*(Grp|Limit)")
"""Reasons that last as long as others of the same account or QOS use what they share."""
LAUNCH_FAILED = re.compile(r"launch failed|JobHoldMaxRequeue|max requeue", re.IGNORECASE)
"""Reasons for which Slurm itself holds a job after its node, or the launch there, failed: no person releases it."""
NOT_LAUNCHED = 53
"""The signal that Slurm reports for a job whose output file or folder cannot be created."""

UNCONFIGURED = re.compile(r"DNS SRV lookup failed.*(Could not establish a configuration source)", re.DOTALL)
"""What every program prints if no file and no variable names a controller, and no DNS record, either."""
NO_NAME_SERVER = ("Host name lookup failure", "Unknown server error")
"""Then there may be such a DNS record all the same."""
LATER = (
    "Unable to contact slurm controller",
    "Resource temporarily unavailable",
    "in standby mode",
    *NO_NAME_SERVER,
)
LIMIT_REASON = re.compile(r"\b(?:QOS|Assoc)[A-Z]\w*")
"""The name of a limit, on a separate line before a sentence that is the same for all limits."""
SOME_LIMIT = "violates accounting/QOS policy"
OPEN_TRIES = 5
"""How often to submit a job over a limit that may or may not be temporary."""
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
    """The language of Slurm >= 20.11 (the first whose squeue knows --me).

    `cluster`: the one that all its commands name (`-M`, which takes accounting); without it they speak to the one of
    this machine. Several, with commas between them, can be searched for jobs only. `environment`: that of the user.
    """

    name: ClassVar[str] = "slurm"
    probe: ClassVar[str] = "sbatch"
    bulk: ClassVar[int] = LIMIT

    def __init__(self, cluster: str = "", environment: Mapping[str, str] = os.environ) -> None:
        self._cluster = cluster
        self._chosen = next((environment[name] for name in CLUSTER_VARIABLES if environment.get(name)), "")

    def options(self, setting: Setting) -> Mapping[str, Any]:
        argv = slurm_options.options(setting("slurm_settings") or {})
        chosen = [f"--clusters={self._chosen}"] if self._chosen and not slurm_options.clusters(argv) else []
        return {"job_name": str(setting("job_name") or ""), "argv": [*argv, *chosen]}

    def requested(self, options: Mapping[str, Any]) -> Requested:
        return slurm_options.requested(options.get("argv", ()))

    def ask_server(self, answers: Sequence[Answer]) -> Command | None:
        return None if answers or self._is_several else self._command("scontrol", "show", "config")

    def parse_server(self, answers: Sequence[Answer]) -> str:
        found = CLUSTER_NAME.search(answers[0].stdout)
        if answers[0].rc != 0 or found is None:
            raise AnswerError(answers[0].words)
        return found[1]

    def at(self, server: str) -> BatchSystem | None:
        return Slurm(server)

    def aim(self, job: JobSpec) -> str:
        return slurm_options.clusters(job.options.get("argv", ()))

    @property
    def _is_several(self) -> bool:
        return "," in self._cluster or self._cluster == "all"

    def _command(self, program: str, *words: str) -> Command:
        cluster = ("-M", self._cluster) if self._cluster else ()
        return Command((program, *cluster, *words), env=ENVIRONMENT)

    def check(self, job: JobSpec) -> None:
        if "\0" in str(job.script):
            raise ValueError(f"Slurm cannot work with the folder {str(job.folder)!r}: its name contains a null byte.")

    def labels(self, jobs: Sequence[JobSpec]) -> Sequence[str]:
        return ARRAYS.elements(jobs[0].token, len(jobs))

    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        array = [f"--array={ARRAYS.indexes(len(jobs))}"] if len(jobs) > 1 else []
        ours = [
            "--parsable",
            f"--job-name={ARRAYS.name(jobs)}",
            f"--comment={jobs[0].token}",
            "--output=/dev/null",
            *array,
        ]
        return Command(("sbatch", *ours, *jobs[0].options["argv"]), stdin=ARRAYS.script(jobs), env=SUBMIT_ENVIRONMENT)

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        for line in answer.stdout.splitlines():
            # The name of the cluster follows if one was named.
            found = re.fullmatch(r"([0-9]{1,18})(?:;(\S+))?", line.strip())
            if found and answer.rc == 0:
                return [Accepted(job_id, found[2] or "") for job_id in ARRAYS.elements(found[1], len(jobs))]
        # The site allows fewer elements (MaxArraySize).
        too_large = len(jobs) > 1 and TOO_LARGE in answer.words
        return [TooMany(answer.words) if too_large else _not_accepted(answer)] * len(jobs)

    def parse_stopped_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        return [_not_accepted(answer)] * len(jobs) if _is_full(answer) else super().parse_stopped_submit(answer, jobs)

    def query(self, job_ids: Sequence[str]) -> Command:
        # Without ids: one of a job that squeue has forgotten, asked for alone, is an error.
        fields = ",".join(f"{field}:|" for field in self._fields)
        return self._command("squeue", "--me", "-h", "-r", "-t", "all", "-O", fields)

    @property
    def _fields(self) -> tuple[str, ...]:
        """With several clusters the name of the cluster belongs to the number of a job."""
        return (FIELDS[0], "Cluster", *FIELDS[1:]) if self._is_several else FIELDS

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        rows, torn = _rows(answer, len(self._fields))
        if self._is_several:
            return Listing({f"{row[0]};{row[1]}": _info(row[0], *row[2:]) for row in rows}, torn)
        return Listing({row[0]: _info(*row) for row in rows}, torn, of=[line.partition("|")[0] for line in torn])

    def unconfigured(self, answer: Answer) -> str:
        found = UNCONFIGURED.search(answer.stderr)
        return found[1] if found and not any(text in answer.stderr for text in NO_NAME_SERVER) else ""

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return self._command("scancel", *ARRAYS.grouped(job_ids))

    def parse_cancel(self, answer: Answer) -> str:
        if answer.rc == 0:
            return ""
        lines = [line for line in answer.stderr.splitlines() if line.strip()]
        failed = [line for line in lines if not any(text in line for text in ENDED)]
        return "" if lines and not failed else "\n".join(failed) or answer.words

    def find(self, jobs: Sequence[JobSpec]) -> Command:
        return self.query([])

    def history(self, job_ids: Sequence[str]) -> Command | None:
        fields = ",".join((*PAST_FIELDS, *USED_FIELDS))
        return self._command("sacct", "-n", "-P", "-o", fields, "-j", ",".join(job_ids))

    def parse_history(self, answer: Answer) -> Mapping[str, JobInfo]:
        if NO_PAST in answer.words:
            return {}
        rows, torn = _rows(answer, len((*PAST_FIELDS, *USED_FIELDS)), end="")
        peaks = _peaks(answer)
        found = ((row[0], _past(*row[: len(PAST_FIELDS)]), row[len(PAST_FIELDS) :]) for row in rows)
        return Listing({job: replace(info, usage=_usage(used, peaks.get(job))) for job, info, used in found}, torn)


def _is_full(answer: Answer) -> bool:
    """Slurm accepts no more jobs for now; sbatch itself waits and retries for minutes."""
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
    """The result for a job over a limit of an account or a QOS: it depends on the name of the limit."""
    limits = LIMIT_REASON.findall(text)
    if limits and all("Submit" in limit for limit in limits):  # as many jobs as allowed are in the queue
        return TryLater(text)
    if any("Grp" in limit for limit in limits) or (SOME_LIMIT in text and not limits):
        return TryLater(text, OPEN_TRIES)
    return Refused(text) if limits else None


def _rows(answer: Answer, fields: int, end: str = "|") -> tuple[list[list[str]], list[str]]:
    """The rows of a listing, and the lines that begin as rows and are none: torn, or cut by a line break.

    `end`: what follows the last field. Comments of the user's other jobs may hold line breaks. All other lines are
    notices.
    """
    *lines, cut = answer.stdout.split("\n")
    # An array that waits as a whole is a row of sacct, too: `7_[0-9]`, which has no information on its elements.
    begun = [line for line in lines if re.match(r"[0-9]+(_[0-9]+)?\|", line)]
    split = {line: line.removesuffix(end).split("|", fields - 1) for line in begun}
    rows = [row for row in split.values() if len(row) == fields]
    if answer.rc != 0 or cut:
        raise AnswerError(answer.words)
    if not rows:
        refuse_failure(answer.stdout, answer.words)
    return rows, [line for line, row in split.items() if len(row) != fields]


def _info(job_id: str, state: str, exit_code: str, node: str, name: str, comment: str, reason: str) -> JobInfo:
    past = _past(job_id, state, exit_code, node, name)
    native = f"{state}: {reason}" if reason not in ("", "None") else state
    token = _of_element(comment, job_id)
    info = replace(past, native=native, token=token, alias=past.token if past.token != token else None)
    if info.status is not JobStatus.idle:
        return info
    if LAUNCH_FAILED.search(reason):
        return replace(info, status=JobStatus.aborted, cause=Cause.infrastructure, lingers=True)
    notice = native if SHARED_LIMIT.search(reason) else ""
    return replace(info, held=bool(STUCK.search(reason)), notice=notice)


def _of_element(token: str, job_id: str) -> str:
    """The label of an element of an array, all of which have the name and the comment of the first one."""
    index = job_id.partition("_")[2]
    return f"{token}_{index}" if index else token


def _past(job_id: str, state: str, exit_code: str, node: str, name: str) -> JobInfo:
    word = state.split()[0] if state.split() else ""  # "CANCELLED by 0"
    status = STATES.get(word, JobStatus.running)
    code = _exit_code(exit_code) if status.is_final else None
    cause = Cause.refused if code == 128 + NOT_LAUNCHED else CAUSES.get(word)
    return JobInfo(status, state, code, cause, _of_element(name.rpartition("-")[2], job_id), _node(node))


def _usage(used: Sequence[str], peak: int | None) -> Mapping[str, Any]:
    """`used`: the `USED_FIELDS` of a job. TotalCPU is `[days-][hours:]minutes:seconds.milliseconds`."""
    wall, cpu = used[0], clock(used[1].partition(".")[0], 1)
    known = {"wall": float(wall) if wall.isdigit() else None, "cpu": cpu, "memory": peak}
    found = {name: value for name, value in known.items() if value is not None}
    return {**found, "memory_from": "batch system"} if "memory" in found else found


def _peaks(answer: Answer) -> dict[str, int]:
    """The most memory of a task of any step of a job, in bytes, by the id of the job (sacct: MaxRSS)."""
    peaks: dict[str, int] = {}
    for line in answer.stdout.splitlines():
        step = re.match(r"([0-9]+(?:_[0-9]+)?)\.\w+\|", line)
        peak = size(line.rpartition("|")[2], "") if step else None
        if step and peak:
            peaks[step[1]] = max(peak, peaks.get(step[1], 0))
    return peaks


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
