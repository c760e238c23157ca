"""IBM Spectrum LSF: bsub, bjobs, bkill.

Facts from IBM's LSF 10.1 command reference and from published reports of users; texts were compared with the
family's open engine (OpenLava 2.2). It was never run on a real LSF by us.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import parse

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

ENVIRONMENT: Mapping[str, str | None] = {
    "LSB_NTRIES": "1",
    "BSUB_QUIET": None,
    "BSUB_QUIET2": None,
    "BSUB_STDERR": None,
}
"""LSB_NTRIES: without it all commands wait for a daemon that is down, and a bsub that was stopped while it waits
leaves nobody sure. With BSUB_* set, bsub hides the line with the job id or sends it elsewhere."""

LIMIT = 250
"""Elements of an array; LSF's own limit is 1000 unless the site says otherwise (MAX_JOB_ARRAY_SIZE)."""
ARRAYS = Arrays("LSB_JOBINDEX", first=1, separator="[", end="]")

FIELDS = "jobid jobindex stat exit_code exit_reason exec_host job_name"
OURS = "b2luigi sets this option itself"
NO_JOB = "with this option bsub submits no job"
OTHER_JOB = "with this option bsub submits what a file describes instead of the task"
WAITS = "bsub would wait for the job; b2luigi waits itself"
FORBIDDEN = {
    **dict.fromkeys(("J", "o", "oo", "e", "eo", "env", "i", "is", "cwd"), OURS),
    **dict.fromkeys(("h", "V"), NO_JOB),
    **dict.fromkeys(("pack", "json", "yaml", "jsdl", "jsdl_strict"), OTHER_JOB),
    **dict.fromkeys(("I", "Ip", "Is", "IS", "ISp", "ISs", "IX", "K", "tty", "XF"), WAITS),
    "H": "the job would wait until somebody runs bresume",
}
"""Options of bsub that would break the job, or the reading of the answer, and why. Their case matters, and none may be
shortened (LSF 10.1 command reference)."""

STATES = {
    "PEND": JobStatus.idle,
    "PSUSP": JobStatus.idle,
    "WAIT": JobStatus.idle,
    "PROV": JobStatus.idle,
    "DONE": JobStatus.successful,
    "EXIT": JobStatus.aborted,
}
"""All other words, known (RUN, SSUSP, USUSP, UNKWN, ZOMBI) and unknown, read as running."""

HELD = {
    "PSUSP": "suspended while it was pending; resume it with bresume",
    "USUSP": "suspended while it was running; resume it with bresume",
}
"""States that only a person ends."""

CAUSES = {
    "OWNER": Cause.cancelled,
    "ADMIN": Cause.cancelled,
    "FORCE_OWNER": Cause.cancelled,
    "FORCE_ADMIN": Cause.cancelled,
    "BUCKET_KILL": Cause.cancelled,
    "MEMLIMIT": Cause.memory,
    "SWAP": Cause.memory,
    "RUNLIMIT": Cause.time,
    "CPULIMIT": Cause.time,
    "DEADLINE": Cause.time,
    "WINDOW": Cause.time,
    "PREEMPT": Cause.infrastructure,
    "LOAD": Cause.infrastructure,
    "ZOMBIE": Cause.infrastructure,
    "REQUEUE_OWNER": Cause.infrastructure,
    "REQUEUE_ADMIN": Cause.infrastructure,
    "REMOVE_HUNG_JOB": Cause.infrastructure,
}
"""What follows TERM_ in EXIT_REASON (IBM: LSF termination reasons)."""

DOWN = (
    "Connection refused by server",
    "LSF is down",
    "Cannot connect to LSF",
    "LSF is processing your request",
    "not responding",
    "query limit exceeded",
    "Pending job threshold reached",
)
LOST = ("Connection reset by peer", "Communication timeout", "Failed in an LSF library call")
REFUSED = "not submitted"
ENDED = (
    *("Job has already finished", "No matching job found", "is being terminated", "is being signaled"),
    "Operation is in progress",
)
"""What bkill prints for jobs that ended or are about to (the last one: an earlier bkill is not done yet)."""
UNKNOWN = r"Job <\d+(\[\d+\])?> is not found|No (\S+ )?job found"
"""What bjobs prints to stderr for jobs that it does not know."""

_submitted = parse.compile("Job <{job_id}> is submitted to {queue}")
_reported = parse.compile("Job <{job_id}>{words}")


class LSF(BatchSystem):
    """The language of LSF >= 10.1.0.2 (the first whose bjobs speaks JSON)."""

    name: ClassVar[str] = "lsf"
    probe: ClassVar[str] = "bsub"
    bulk: ClassVar[int] = LIMIT

    def options(self, setting: Setting) -> Mapping[str, Any]:
        return {
            "job_name": str(setting("job_name") or ""),
            "argv": [
                *_option("-q", setting("queue"), "queue"),
                *_option("-n", setting("job_slots"), "job_slots"),
                *_extra(setting("lsf_settings") or {}),
            ],
        }

    def check(self, job: JobSpec) -> None:
        # bsub reads its options from lines of the script, within quotes, too.
        if re.search(r"[\n\r]", str(job.script)):
            raise ValueError(
                f"LSF cannot work with the folder {str(job.folder)!r}: its name holds a line break. "
                "Please set task_file_dir to another folder, or define the parameter with hashed=True."
            )

    def labels(self, jobs: Sequence[JobSpec]) -> Sequence[str]:
        return ARRAYS.elements(jobs[0].token, len(jobs))

    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        array = f"[{ARRAYS.indexes(len(jobs))}]" if len(jobs) > 1 else ""
        # LSF's own output file is written after the job ended, when we have long tidied up; its report contains
        # nothing that bjobs does not know.
        ours = ("bsub", "-env", "all", "-J", _name(jobs[0]) + array, "-oo", "/dev/null")
        # By stdin, because bsub joins the words of a command and quotes them in its own way.
        return Command((*ours, *jobs[0].options["argv"]), stdin=ARRAYS.script(jobs), env=ENVIRONMENT)

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        accepted = _accepted(answer, jobs)
        if accepted:
            return accepted
        result = _not_accepted(answer)
        # The site allows fewer elements (MAX_JOB_ARRAY_SIZE).
        too_large = len(jobs) > 1 and isinstance(result, Refused) and re.search("array", result.text, re.IGNORECASE)
        return [TooMany(answer.words) if too_large else result] * len(jobs)

    def parse_stopped_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        return _accepted(answer, jobs) or super().parse_stopped_submit(answer, jobs)

    def query(self, job_ids: Sequence[str]) -> Command:
        arrays = dict.fromkeys(job_id.partition("[")[0] for job_id in job_ids)
        return Command(("bjobs", "-a", "-json", "-o", FIELDS, *arrays), env=ENVIRONMENT)

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        # bjobs ends with 255 if any of the ids is unknown, and still lists the others.
        records = _records(answer)
        return {_job_id(record): _info(record) for record in records if "STAT" in record}

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return Command(("bkill", *ARRAYS.grouped(job_ids)), env=ENVIRONMENT)

    def parse_cancel(self, answer: Answer) -> str:
        if answer.rc == 0:
            return ""
        reports = [line for line in _lines(answer) if _reported.parse(line)]
        left = [line for line in reports if not any(text in line for text in ENDED)]
        return "" if reports and not left else "\n".join(left) or answer.words

    def find(self, jobs: Sequence[JobSpec]) -> Command:
        return Command(("bjobs", "-a", "-json", "-o", FIELDS), env=ENVIRONMENT)


def _option(flag: str, value: Any, setting: str) -> list[str]:
    """A flag with its value; nothing where the value is unset (None, False or empty)."""
    if value is None or value is False or value == "":
        return []
    if isinstance(value, (str, int)) and value is not True and not re.search(r"[\n\r\0]", str(value)):
        return [flag, str(value)]
    raise ValueError(f"{setting} has to be one line of text or a number, but it is {value!r}.")


def _extra(settings: Mapping[str, Any]) -> list[str]:
    if not isinstance(settings, Mapping):
        raise ValueError(f"lsf_settings has to be a dictionary of bsub options, but it is {settings!r}.")
    return [word for key, value in settings.items() for word in _extra_option(key, value)]


def _extra_option(key: str, value: Any) -> list[str]:
    flag = str(key).lstrip("-")
    if not re.fullmatch(r"[A-Za-z_]+", flag):
        raise ValueError(f"lsf_settings has the key {key!r}, which is no option of bsub.")
    if flag in FORBIDDEN:
        raise ValueError(f"lsf_settings has the option {key!r}: {FORBIDDEN[flag]}; please remove it.")
    if value is True:
        return [f"-{flag}"]
    values = value if isinstance(value, (list, tuple)) else [value]
    return [word for one in values for word in _option(f"-{flag}", one, f"lsf_settings[{key!r}]")]


def _name(job: JobSpec) -> str:
    """bsub reads square brackets in a name as an array of jobs."""
    return job.name.replace("[", "(").replace("]", ")")


def _lines(answer: Answer) -> list[str]:
    """The lines of both streams, in which output of site hooks (esub) and busy notices may precede the answer."""
    return [line.strip() for line in f"{answer.stdout}\n{answer.stderr}".splitlines() if line.strip()]


def _accepted(answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
    """All jobs with their ids, if the id of the submission was printed, else none."""
    for line in _lines(answer):
        found = _submitted.parse(line)
        if found and re.fullmatch(r"[0-9]+", found["job_id"]):
            return [Accepted(job_id) for job_id in ARRAYS.elements(found["job_id"], len(jobs))]
    return []


def _not_accepted(answer: Answer) -> Submitted:
    # The line with "not submitted" counts, if there is one: busy notices may precede it.
    text = "\n".join(line for line in _lines(answer) if REFUSED in line) or answer.words
    if any(word in text for word in LOST):
        return Unsure(answer.words)
    if any(word in text for word in DOWN):
        return TryLater(answer.words)
    if REFUSED in text or answer.rc in (126, 127) or "illegal option" in text:
        return Refused(answer.words)
    return Unsure(answer.words)


def _records(answer: Answer) -> list[dict[str, str]]:
    text = answer.stdout[answer.stdout.find("{") : answer.stdout.rfind("}") + 1]
    try:
        # Not strict, because a name of a job may hold a line break.
        found = json.loads(text, strict=False)["RECORDS"] if text else _nothing(answer)
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise AnswerError(answer.words)
    return found


def _nothing(answer: Answer) -> list[dict[str, str]] | None:
    """No records, if bjobs states that it knows none of the jobs; printing nothing at all is no answer."""
    lines = _lines(answer)
    return [] if lines and all(re.fullmatch(UNKNOWN, line) for line in lines) else None


def _job_id(record: Mapping[str, str]) -> str:
    job_id = str(record.get("JOBID", ""))
    return job_id if "[" in job_id else job_id + _index(record)


def _index(record: Mapping[str, str]) -> str:
    """Which element of an array, as in `[3]`; empty for a plain job."""
    index = str(record.get("JOBINDEX", "0"))
    return "" if index in ("", "-", "0") else f"[{index}]"


def _info(record: Mapping[str, str]) -> JobInfo:
    native, reason = str(record["STAT"]), str(record.get("EXIT_REASON", "")).strip("- ")
    reason = HELD.get(native, reason)
    status = STATES.get(native, JobStatus.running)
    keyword = re.match(r"TERM_(\w+)", reason) if status.is_final else None
    return JobInfo(
        status=status,
        native=f"{native}: {reason}" if reason else native,
        exit_code=_exit_code(status, str(record.get("EXIT_CODE", ""))),
        cause=CAUSES.get(keyword[1]) if keyword else None,
        token=_token(str(record.get("JOB_NAME", "")), _index(record)),
        node=str(record.get("EXEC_HOST", "")).strip("- ").partition(":")[0] or None,
        held=native in HELD,
    )


def _exit_code(status: JobStatus, text: str) -> int | None:
    """bjobs has none for a job that ended well, and the last one for a job that was requeued."""
    if status is JobStatus.successful:
        return 0
    return int(text) if status.is_final and re.fullmatch(r"[0-9]{1,3}", text) else None


def _token(name: str, index: str) -> str | None:
    # Where bjobs cuts names, it marks that by a star in front.
    token = name.rpartition("-")[2].partition("[")[0]
    return None if name.startswith("*") or not token else token + index
