"""IBM Spectrum LSF: bsub, bjobs, bkill.

Facts from IBM's LSF 10.1 command reference and from published reports of users; messages were compared with those of
the open-source relative OpenLava 2.2. We have never run it on a real LSF.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import parse

from b2luigi.batch.systems import lsf_usage
from b2luigi.batch.systems.arrays import Arrays
from b2luigi.batch.systems.base import BatchSystem, Setting
from b2luigi.batch.systems.environment import LSF as LSF_VARIABLES
from b2luigi.batch.systems.listings import Listing, begins_json, json_values, refuse_failure
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
from b2luigi.batch.systems.requests import clock, size, values

ENVIRONMENT = LSF_VARIABLES.changes()
"""LSB_NTRIES: without it all commands wait for a daemon that is down, and a bsub that was stopped while it waits
leaves nobody sure. With BSUB_* set, bsub hides the line with the job id or sends it elsewhere."""

LIMIT = 250
"""Maximum size of an array; LSF's default limit is 1000 (MAX_JOB_ARRAY_SIZE)."""
ARRAYS = Arrays("LSB_JOBINDEX", first=1, separator="[", end="]")

FIELDS = f"jobid jobindex stat exit_code exit_reason exec_host job_name job_description {lsf_usage.FIELDS}"
OURS = "b2luigi sets this option itself"
NO_JOB = "with this option bsub submits no job"
OTHER_JOB = "with this option bsub submits the job described in a file instead of the task"
WAITS = "bsub would wait for the job, but b2luigi does that itself"
FORBIDDEN = {
    **dict.fromkeys(("J", "o", "oo", "e", "eo", "env", "i", "is", "cwd"), OURS),
    **dict.fromkeys(("h", "V"), NO_JOB),
    **dict.fromkeys(("pack", "json", "yaml", "jsdl", "jsdl_strict"), OTHER_JOB),
    **dict.fromkeys(("I", "Ip", "Is", "IS", "ISp", "ISs", "IX", "K", "tty", "XF"), WAITS),
    "H": "the job would wait until somebody runs bresume",
}
"""Options of bsub that would break the job, or the parsing of the answer, and why. They are case-sensitive and cannot
be abbreviated (LSF 10.1 command reference)."""

CANNOT_START = re.compile(
    r"not satisfied|never satisfied|not specified|invalid|exceed|does not exist|closed|inactivated|unusable|cannot",
    re.IGNORECASE,
)
"""Pending reasons that last until somebody changes something; all others (limits in use, priorities) may pass."""

STATES = {
    "PEND": JobStatus.idle,
    "PSUSP": JobStatus.idle,
    "WAIT": JobStatus.idle,
    "PROV": JobStatus.idle,
    "DONE": JobStatus.successful,
    "EXIT": JobStatus.aborted,
}
"""All other states, known (RUN, SSUSP, USUSP, UNKWN, ZOMBI) and unknown, count as running."""

HELD = {
    "PSUSP": "suspended while it was pending; resume it with bresume",
    "USUSP": "suspended while it was running; resume it with bresume",
}
"""States that only a person can end."""

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
UNCONFIGURED = re.compile(r"(Failed in an LSF library call: Unable to|Cannot) open (file )?lsf\.conf")
OUT_OF_REACH = re.compile(r"fopen\((?!/etc/lsf\.conf\) failed, No such file)")
"""The file that could not be opened: but for this one, which is looked for where nothing names another, a site has
configured this machine."""
REFUSED = "not submitted"
ENDED = (
    *("Job has already finished", "No matching job found", "is being terminated", "is being signaled"),
    "Operation is in progress",
)
"""What bkill prints for jobs that have ended or are about to (the last one: an earlier bkill is still in progress)."""
UNKNOWN = r"Job <\d+(\[\d+\])?> is not found|No (\S+ )?job found"
"""What bjobs prints to stderr for jobs that it does not know."""

_submitted = parse.compile("Job <{job_id}> is submitted to {queue}")
_reported = parse.compile("Job <{job_id}>{words}")


class LSF(BatchSystem):
    """The language of LSF >= 10.1.0.2 (the first whose bjobs speaks JSON)."""

    name: ClassVar[str] = "lsf"
    probe: ClassVar[str] = "bsub"
    bulk: ClassVar[int] = LIMIT

    def ask_server(self, answers: Sequence[Answer]) -> Command | None:
        return None if answers else Command(("lsid",), env=ENVIRONMENT)

    def parse_server(self, answers: Sequence[Answer]) -> str:
        found = re.search(r"My cluster name is (\S+)", answers[0].stdout)
        if answers[0].rc != 0 or found is None:
            raise AnswerError(answers[0].words)
        return found[1]

    def options(self, setting: Setting) -> Mapping[str, Any]:
        return {
            "job_name": str(setting("job_name") or ""),
            "argv": [
                *_option("-q", setting("queue"), "queue"),
                *_option("-n", setting("job_slots"), "job_slots"),
                *_extra(setting("lsf_settings") or {}),
            ],
        }

    def requested(self, options: Mapping[str, Any]) -> Requested:
        found = values(options.get("argv", ()), {"-M": "limit", "-R": "resources", "-W": "time"})
        # Without a unit it is the one of the site (LSF_UNIT_FOR_LIMITS).
        reserved = re.search(r"rusage\[[^\]]*\bmem=([\d.]+ *[KMGTP]B?)", found.get("resources", ""), re.IGNORECASE)
        sizes = (text for text in (reserved[1] if reserved else "", found.get("limit", "")) if text[-1:].isalpha())
        return Requested(size(next(sizes, ""), ""), clock(found.get("time", "").partition("/")[0], 60))

    def check(self, job: JobSpec) -> None:
        # bsub reads options from lines of the script, even inside quotes.
        if re.search(r"[\n\r]", str(job.script)):
            raise ValueError(
                f"LSF cannot work with the folder {str(job.folder)!r}: its name contains a line break. "
                "Please set task_file_dir to another folder, or define the parameter with hashed=True."
            )

    def labels(self, jobs: Sequence[JobSpec]) -> Sequence[str]:
        return ARRAYS.elements(jobs[0].token, len(jobs))

    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        array = f"[{ARRAYS.indexes(len(jobs))}]" if len(jobs) > 1 else ""
        # LSF writes its own output file after the end of the job, when we have already cleaned up; its report contains
        # nothing that bjobs does not know.
        ours = ("bsub", "-env", "all", "-J", _name(ARRAYS.name(jobs)) + array, "-Jd", jobs[0].token, "-oo", "/dev/null")
        # By stdin, because bsub joins the words of a command and quotes them in its own way.
        return Command((*ours, *jobs[0].options["argv"]), stdin=ARRAYS.script(jobs), env=ENVIRONMENT)

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        accepted = _accepted(answer, jobs)
        if accepted:
            return accepted
        result = _not_accepted(answer)
        # The site allows only smaller arrays (MAX_JOB_ARRAY_SIZE).
        too_large = len(jobs) > 1 and isinstance(result, Refused) and re.search("array", result.text, re.IGNORECASE)
        return [TooMany(answer.words) if too_large else result] * len(jobs)

    def parse_stopped_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        return _accepted(answer, jobs) or super().parse_stopped_submit(answer, jobs)

    def query(self, job_ids: Sequence[str]) -> Command:
        arrays = dict.fromkeys(job_id.partition("[")[0] for job_id in job_ids)
        return Command(("bjobs", "-a", "-json", "-o", FIELDS, *arrays), env=ENVIRONMENT)

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        # bjobs ends with 255 if any of the ids is unknown, and still lists the others.
        records, unread = _records(answer)
        return Listing({_job_id(record): _info(record) for record in records if "STAT" in record}, unread)

    def unconfigured(self, answer: Answer) -> str:
        return _unconfigured(answer)

    def analyse(self, job_id: str) -> Command | None:
        return Command(("bjobs", "-a", "-json", "-o", "jobid stat pend_reason", job_id), env=ENVIRONMENT)

    def parse_analysis(self, answer: Answer) -> str:
        reasons = _pending_reasons(answer)
        return f"Its pending reason: {reasons[0].rstrip('.;')}." if reasons and CANNOT_START.search(reasons[0]) else ""

    def words_of_analysis(self, answer: Answer) -> Sequence[str]:
        return [reason for text in _pending_reasons(answer) for reason in text.split("; ") if reason.strip("; ")]

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return Command(("bkill", *ARRAYS.grouped(job_ids)), env=ENVIRONMENT)

    def parse_cancel(self, answer: Answer) -> str:
        if answer.rc == 0:
            return ""
        reports = [line for line in _lines(answer) if _reported.parse(line)]
        failed = [line for line in reports if not any(text in line for text in ENDED)]
        return "" if reports and not failed else "\n".join(failed) or answer.words

    def find(self, jobs: Sequence[JobSpec]) -> Command:
        return Command(("bjobs", "-a", "-json", "-o", FIELDS), env=ENVIRONMENT)


def _option(flag: str, value: Any, setting: str) -> list[str]:
    """A flag with its value; nothing if the value is unset (None, False or empty)."""
    if value is None or value is False or value == "":
        return []
    if isinstance(value, (str, int)) and value is not True and not re.search(r"[\n\r\0]", str(value)):
        return [flag, str(value)]
    raise ValueError(f"{setting} must be a single line of text or a number, not {value!r}.")


def _extra(settings: Mapping[str, Any]) -> list[str]:
    if not isinstance(settings, Mapping):
        raise ValueError(f"lsf_settings must be a dictionary of bsub options, not {settings!r}.")
    return [word for key, value in settings.items() for word in _extra_option(key, value)]


def _extra_option(key: str, value: Any) -> list[str]:
    flag = str(key).lstrip("-")
    if not re.fullmatch(r"[A-Za-z_]+", flag):
        raise ValueError(f"lsf_settings has the key {key!r}, which is not an option of bsub.")
    if flag in FORBIDDEN:
        raise ValueError(f"lsf_settings has the option {key!r}: {FORBIDDEN[flag]}; please remove it.")
    if value is True:
        return [f"-{flag}"]
    values = value if isinstance(value, (list, tuple)) else [value]
    return [word for one in values for word in _option(f"-{flag}", one, f"lsf_settings[{key!r}]")]


def _name(name: str) -> str:
    """The name of a job without square brackets, which bsub interprets as an array."""
    return name.replace("[", "(").replace("]", ")")


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
    if _unconfigured(answer):
        return Refused(answer.words)
    if any(word in text for word in LOST):
        return Unsure(answer.words)
    if any(word in text for word in DOWN):
        return TryLater(answer.words)
    if REFUSED in text or answer.rc in (126, 127) or "illegal option" in text:
        return Refused(answer.words)
    return Unsure(answer.words)


def _unconfigured(answer: Answer) -> str:
    found = UNCONFIGURED.search(answer.stderr)
    return found[0] if found and not OUT_OF_REACH.search(answer.stderr) else ""


def _records(answer: Answer) -> tuple[list[dict[str, str]], list[str]]:
    """All records of an answer, and the parts of it that cannot be read."""
    records: list[dict[str, str]] = []
    unread: list[str] = []
    is_listing = False
    for value, start, end in json_values(answer.stdout):
        found = value.get("RECORDS") if isinstance(value, dict) else None
        if isinstance(found, list) and all(isinstance(record, dict) for record in found):
            records += found
            is_listing = True
        elif isinstance(value, dict) and ("JOBID" in value or "RECORDS" in value):  # cut, or not as it should be
            records += [value] if "STAT" in value else []
            unread.append(answer.stdout[start:end])
    if not is_listing and not records and not _knows_none(answer):
        raise AnswerError(answer.words)
    return records, unread


def _knows_none(answer: Answer) -> bool:
    """bjobs states that it knows none of the jobs; printing nothing, or notices only, is no answer."""
    others = [line for line in _lines(answer) if not re.fullmatch(UNKNOWN, line)]
    refuse_failure("\n".join(others), answer.words)
    return len(others) < len(_lines(answer)) and not begins_json(answer.stdout)


def _pending_reasons(answer: Answer) -> list[str]:
    records, _ = _records(answer)
    return [str(record.get("PEND_REASON", "")).strip("- ") for record in records if record.get("STAT") == "PEND"]


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
        alias=_described(str(record.get("JOB_DESCRIPTION", "")), _index(record)),
        node=str(record.get("EXEC_HOST", "")).strip("- ").partition(":")[0] or None,
        held=native in HELD,
        usage=lsf_usage.usage(record) if status.is_final else {},
    )


def _exit_code(status: JobStatus, text: str) -> int | None:
    """bjobs shows none for a successful job, and that of the last run for a requeued job."""
    if status is JobStatus.successful:
        return 0
    return int(text) if status.is_final and re.fullmatch(r"[0-9]{1,3}", text) else None


def _described(description: str, index: str) -> str | None:
    return description + index if re.fullmatch("[0-9a-f]+", description) else None


def _token(name: str, index: str) -> str | None:
    # A star in front shows that bjobs truncated the name.
    token = name.rpartition("-")[2].partition("[")[0]
    return None if name.startswith("*") or not token else token + index
