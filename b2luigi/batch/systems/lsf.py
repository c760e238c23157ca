"""IBM Spectrum LSF: bsub, bjobs, bkill.

Facts from IBM's LSF 10.1 command reference and from published reports of users; texts were compared with the
family's open engine (OpenLava 2.2). It was never run on a real LSF by us.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import parse

from b2luigi.batch.model import (
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
    TryLater,
    Unsure,
)
from b2luigi.batch.system import BatchSystem, Setting

ENVIRONMENT: Mapping[str, str | None] = {"BSUB_QUIET": None, "BSUB_QUIET2": None, "BSUB_STDERR": None}
"""With these set, bsub hides the line with the job id or sends it elsewhere."""

FIELDS = "jobid jobindex stat exit_code exit_reason exec_host job_name"
RESERVED = frozenset({"J", "o", "oo", "e", "eo", "env", "I", "Ip", "Is", "K", "pack", "i", "is", "cwd", "H"})
"""Options of bsub that b2luigi needs for itself, or that would break its reading of the job."""

STATES = {
    "PEND": JobStatus.idle,
    "PSUSP": JobStatus.idle,
    "WAIT": JobStatus.idle,
    "PROV": JobStatus.idle,
    "DONE": JobStatus.successful,
    "EXIT": JobStatus.aborted,
}
"""All other words, known (RUN, SSUSP, USUSP, UNKWN, ZOMBI) and unknown, read as running."""

CAUSES = {
    "OWNER": Cause.cancelled,
    "ADMIN": Cause.cancelled,
    "FORCE_OWNER": Cause.cancelled,
    "FORCE_ADMIN": Cause.cancelled,
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
    "daemon not responding",
    "query limit exceeded",
    "Pending job threshold reached",
)
LOST = ("Connection reset by peer", "Communication timeout", "Failed in an LSF library call")
REFUSED = "not submitted"
ENDED = ("Job has already finished", "No matching job found", "is being terminated", "is being signaled")

_submitted = parse.compile("Job <{job_id:d}> is submitted to {queue}")


class LSF(BatchSystem):
    """The language of LSF >= 10.1.0.2 (the first whose bjobs speaks JSON)."""

    name: ClassVar[str] = "lsf"
    probe: ClassVar[str] = "bsub"

    def options(self, setting: Setting) -> Mapping[str, Any]:
        return {
            "job_name": str(setting("job_name") or ""),
            "argv": [
                *_option("-q", setting("queue"), "queue"),
                *_option("-n", setting("job_slots"), "job_slots"),
                *_extra(setting("lsf_settings") or {}),
            ],
        }

    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        (job,) = jobs
        argv = ["bsub", "-env", "all", "-J", _name(job), "-oo", str(job.report), *job.options["argv"]]
        # By stdin, because bsub joins the words of a command and quotes them in its own way.
        script = f"#!/bin/sh\nexec {shlex.quote(str(job.script))} {shlex.quote(job.token)}\n"
        return Command(tuple(argv), stdin=script, env=ENVIRONMENT)

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        return [_submission(answer)] * len(jobs)

    def query(self, job_ids: Sequence[str]) -> Command:
        return Command(("bjobs", "-a", "-json", "-o", FIELDS, *job_ids))

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        # bjobs ends with 255 when any of the ids is unknown, and still tells about the others.
        records = _records(answer)
        return {_job_id(record): _info(record) for record in records if "STAT" in record}

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return Command(("bkill", *job_ids))

    def parse_cancel(self, answer: Answer) -> str:
        if answer.timed_out is not None:
            return answer.words
        lines = f"{answer.stdout}\n{answer.stderr}".splitlines()
        return "\n".join(line for line in lines if line.strip() and not any(text in line for text in ENDED))

    def find(self, jobs: Sequence[JobSpec]) -> Command:
        return Command(("bjobs", "-a", "-json", "-o", FIELDS))


def _option(flag: str, value: Any, setting: str) -> list[str]:
    """A flag with its value; nothing where the value is unset (None, False or empty)."""
    if value is None or value is False or value == "":
        return []
    if isinstance(value, (str, int)) and value is not True and "\n" not in str(value):
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
    if flag in RESERVED:
        raise ValueError(f"lsf_settings has the option -{flag}, which b2luigi sets itself; please take it out.")
    if value is True:
        return [f"-{flag}"]
    values = value if isinstance(value, (list, tuple)) else [value]
    return [word for one in values for word in _option(f"-{flag}", one, f"lsf_settings[{key!r}]")]


def _name(job: JobSpec) -> str:
    """bsub reads square brackets in a name as an array of jobs."""
    return job.name.replace("[", "(").replace("]", ")")


def _submission(answer: Answer) -> Submitted:
    # Site hooks (esub) and busy notices may stand before the line, on either stream.
    for line in f"{answer.stdout}\n{answer.stderr}".splitlines():
        found = _submitted.parse(line.strip())
        if found:
            return Accepted(str(found["job_id"]))
    return _not_accepted(answer)


def _not_accepted(answer: Answer) -> Submitted:
    text = answer.words
    if answer.timed_out is None:
        if any(word in text for word in LOST):
            return Unsure(text)
        if any(word in text for word in DOWN):
            return TryLater(text)
        if REFUSED in text or answer.rc == 127 or "illegal option" in text:
            return Refused(text)
    return Unsure(text)


def _records(answer: Answer) -> list[dict[str, str]]:
    text = answer.stdout[answer.stdout.find("{") : answer.stdout.rfind("}") + 1]
    try:
        found = json.loads(text)["RECORDS"] if text and answer.timed_out is None else None
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise AnswerError(answer.words)
    return found


def _job_id(record: Mapping[str, str]) -> str:
    job_id, index = str(record.get("JOBID", "")), str(record.get("JOBINDEX", "0"))
    return job_id if "[" in job_id or index in ("", "-", "0") else f"{job_id}[{index}]"


def _info(record: Mapping[str, str]) -> JobInfo:
    native, reason = str(record["STAT"]), str(record.get("EXIT_REASON", "")).strip("- ")
    code = str(record.get("EXIT_CODE", ""))
    keyword = re.match(r"TERM_(\w+)", reason)
    return JobInfo(
        status=STATES.get(native, JobStatus.running),
        native=f"{native}: {reason}" if reason else native,
        exit_code=int(code) if code.isdecimal() else None,
        cause=CAUSES.get(keyword[1]) if keyword else None,
        token=str(record.get("JOB_NAME", "")).rpartition("-")[2] or None,
        node=str(record.get("EXEC_HOST", "")).strip("- ").partition(":")[0] or None,
    )
