"""HTCondor: condor_submit, condor_q, condor_history, condor_rm.

Facts from the HTCondor manual (submit description, job ClassAd attributes) and measured on HTCondor 23.9.6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import parse

from b2luigi.batch.systems import htcondor_description as describe
from b2luigi.batch.systems.base import BatchSystem, Setting
from b2luigi.batch.systems.environment import HTCONDOR
from b2luigi.batch.systems.htcondor_description import TOKEN
from b2luigi.batch.systems.listings import Listing, begins_json, is_empty_list, json_values, refuse_failure
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

ATTRIBUTES = (
    "ClusterId,ProcId,JobStatus,ExitCode,ExitBySignal,ExitSignal,HoldReason,HoldReasonCode,RemoveReason,"
    "PeriodicRelease,EnteredCurrentStatus,ServerTime,"
    f"RemoteHost,LastRemoteHost,{TOKEN},Args,Arguments"
)
USED = "RemoteWallClockTime,RemoteUserCpu,RemoteSysCpu,ResidentSetSize_RAW"
"""What a job used, in seconds, and in KiB."""
OURS = f'{TOKEN} isnt undefined || regexp("^[0-9a-f]{{16}}$", Args ?: Arguments ?: "")'
"""The only argument of our job scripts is the token, too: a site's job transform may remove the attribute."""
WHICH_SCHEDD = "$(SCHEDD_HOST:$(FULL_HOSTNAME))"
"""The schedd that commands reach by default, in its configuration."""
SCHEDDS = ("condor_status", "-schedd", "-json", "-attributes", "Name,Machine,JobQueueBirthdate,CollectorHost")
ANSWERS_HERE = ("condor_q", "-totals", "-constraint", "false")
ENVIRONMENT = HTCONDOR.changes()

STATES = {
    1: (JobStatus.idle, "idle"),
    2: (JobStatus.running, "running"),
    3: (JobStatus.aborted, "removed"),
    4: (JobStatus.aborted, "completed"),
    5: (JobStatus.aborted, "held"),
    6: (JobStatus.running, "transferring output"),
    7: (JobStatus.running, "suspended"),
}
"""JobStatus of the job ClassAd. For completed jobs the exit code counts as well, for held jobs the reason."""

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
HELD_BY_POLICY = (3, 21, 26)
"""HoldReasonCode: 3 the job's periodic_hold or on_exit_hold, 21 WANT_HOLD of a node, 26 SYSTEM_PERIODIC_HOLD of
the site."""
RELEASE_WAIT = 120
"""Seconds after which a held job has not been released by its own policy: two of HTCondor's intervals
(PERIODIC_EXPR_INTERVAL, 60 s)."""
REMOVED_BY_PERSON = re.compile(r"^via condor_rm|\(by user .*\)$")
ABOUT_MEMORY = re.compile(r"memory|ResidentSetSize|ImageSize|\bRSS\b|\bMB\b|\bGB\b", re.IGNORECASE)
ABOUT_TIME = re.compile(
    r"time|clock|hour|minute|second|duration|JobStartDate|JobCurrentStartDate|CommittedTime", re.IGNORECASE
)
"""What the reason of a policy, which is the text of its expression or of the site, is about."""

NO_MATCH = "No machines matched"
REDUCED = "reduces to these conditions:"
"""What it prints between the requirements, as they were submitted, and what became of them."""
OF_MACHINES = re.compile(r"Of (\d+) machines,")
UNMET = re.compile(r"^\[\d+\]\s+0\s+(.+?)\s*$", re.MULTILINE)
"""What condor_q -better-analyze prints (measured on 23.9): the conditions, each with the slots that meet it."""

TRY_LATER = (
    "Failed to connect to",
    "Can't find address of",
    "Unable to connect",
    "MAX_JOBS_",
    "ERROR: Can't connect",
)
UNSURE = ("Failed to queue job", "communication error", "Failed to end transaction")
NOT_COMMITTED = "Failed to commit job submission into the queue."
"""Followed by a reason (SUBMIT_REQUIREMENT_..._REASON of the site) or an error of the connection."""
CONNECTION = re.compile(r"CEDAR|SECMAN|AUTHENTICATE|DCSchedd|connect|timed out|timeout|communication", re.IGNORECASE)
TOO_MANY = "MAX_JOBS_PER_SUBMISSION"
TAKEN = (
    r"Job [\d.]+ (not found|(already )?marked for removal)"
    r"|Couldn't find/remove all jobs (in cluster|matching constraint)"
)
"""What condor_rm prints for jobs that are being removed, or are gone."""
UNCONFIGURED = re.compile(r"Neither the environment variable CONDOR_CONFIG.*?condor_config source\.", re.DOTALL)
"""What every program prints without a configuration. With the one in Debian's package and no daemon running, the
machine looks like an access point whose schedd was stopped."""
DENIED = ("Permission denied", "No result found")

_range = parse.compile("{cluster}.{first} - {same}.{last}")


class HTCondor(BatchSystem):
    """The language of HTCondor. `server`: the schedd that all its commands name, if not the one of this machine."""

    name: ClassVar[str] = "htcondor"
    probe: ClassVar[str] = "condor_submit"
    bulk: ClassVar[int] = 5000
    carries_files: ClassVar[bool] = True

    def __init__(self, server: str = "") -> None:
        self._name, self._pool, _ = [*server.split(" "), "", ""][:3]

    def ask_server(self, answers: Sequence[Answer]) -> Command | None:
        pool = ("-pool", self._pool) if self._pool else ()
        which = Command(("condor_config_val", "-macro", WHICH_SCHEDD), env=ENVIRONMENT)
        schedds = Command((SCHEDDS[0], *pool, *SCHEDDS[1:]), env=ENVIRONMENT)
        # The last one is a query, and needed only where one machine has several schedds.
        todo = [schedds] if self._name else [which, schedds, Command(ANSWERS_HERE, env=ENVIRONMENT)]
        is_known = len(answers) == 2 and bool(self.parse_server(answers))
        return todo[len(answers)] if len(answers) < len(todo) and not is_known else None

    def parse_server(self, answers: Sequence[Answer]) -> str:
        """Name, pool, and the moment at which the queue was made: personal pools of one machine share the others."""
        answering = re.search(r"-- Schedd: (\S+) :", answers[2].stdout) if len(answers) > 2 else None
        wanted = self._name or (answering[1] if answering else answers[0].stdout.strip()).lower()
        schedds = _ads_of_schedds(answers[0 if self._name else 1])
        named = [ad for ad in schedds if str(ad.get("Name")).lower() == wanted.lower()]
        beside = [ad for ad in schedds if not (self._name or answering) and str(ad.get("Machine")).lower() == wanted]
        found = named or beside
        if len(found) != 1 or not wanted:
            return ""
        return " ".join(str(found[0].get(key) or "-") for key in ("Name", "CollectorHost", "JobQueueBirthdate"))

    def analyse(self, job_id: str) -> Command | None:
        return self._command("condor_q", "-better-analyze", job_id)

    def parse_analysis(self, answer: Answer) -> str:
        if answer.rc != 0 or NO_MATCH not in answer.stdout:
            return ""
        machines = OF_MACHINES.search(answer.stdout)
        unmet = " && ".join(UNMET.findall(answer.stdout)) or "all its requirements together"
        return f"None of {machines[1] if machines else 'the'} slots matches its requirements; none has: {unmet}."

    def words_of_analysis(self, answer: Answer) -> Sequence[str]:
        lines = answer.stdout.partition(REDUCED)[2] or answer.stdout
        return [line for line in lines.splitlines() if line.strip()]

    def at(self, server: str) -> BatchSystem | None:
        return HTCondor(server)

    def _command(self, program: str, *words: str) -> Command:
        pool = ("-pool", self._pool) if self._pool else ()
        name = ("-name", self._name) if self._name else ()
        return Command((program, *pool, *name, *words), env=ENVIRONMENT)

    def options(self, setting: Setting) -> Mapping[str, Any]:
        return describe.options(setting)

    def requested(self, options: Mapping[str, Any]) -> Requested:
        return describe.requested(options.get("lines", ()))

    def check(self, job: JobSpec) -> None:
        describe.check(job)

    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        return Command(("condor_submit", "-terse", "-"), stdin=describe.description(jobs), env=ENVIRONMENT)

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        too_many = len(jobs) > 1 and TOO_MANY in answer.words
        return _accepted(answer, jobs) or [TooMany(answer.words) if too_many else _not_accepted(answer)] * len(jobs)

    def parse_stopped_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        return _accepted(answer, jobs) or super().parse_stopped_submit(answer, jobs)

    def query(self, job_ids: Sequence[str]) -> Command:
        return self._command("condor_q", "-json", "-attributes", ATTRIBUTES, "-constraint", OURS)

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        ads, unread = _ads(answer)
        return Listing({f"{ad['ClusterId']}.{ad['ProcId']}": _info(ad) for ad in ads}, unread)

    def unconfigured(self, answer: Answer) -> str:
        found = UNCONFIGURED.search(answer.stderr)
        return " ".join(found[0].split()) if found else ""

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return self._command("condor_rm", *job_ids)

    def cancel_labelled(self, labels: Mapping[str, str]) -> Command:
        return self._command("condor_rm", "-constraint", _constraint(labels))

    def parse_cancel(self, answer: Answer) -> str:
        lines = [line for line in answer.words.splitlines() if line.strip()]
        if answer.rc == 0:  # also if only some of the jobs could be removed
            return "\n".join(line for line in lines if any(text in line for text in DENIED))
        return "" if all(re.match(TAKEN, line) for line in lines) else answer.words

    def find(self, jobs: Sequence[JobSpec]) -> Command:
        return self.query([])

    def history(self, job_ids: Sequence[str]) -> Command | None:
        # Without a limit it reads the whole history of the pool (measured: 3,161 ads, 9 MB).
        limits = ("-limit", str(len(job_ids)), "-scanlimit", "20000")
        return self._command("condor_history", "-json", *limits, "-attributes", f"{ATTRIBUTES},{USED}", *job_ids)


def _constraint(labels: Mapping[str, str]) -> str:
    """Selects the jobs that have both number and label: the same number may be another job's in another schedd."""
    clusters: dict[str, list[str]] = {}
    for job_id in labels:
        cluster, _, process = job_id.partition(".")
        clusters.setdefault(cluster, []).append(process)
    numbers = " || ".join(
        f'(ClusterId == {cluster} && stringListMember(string(ProcId), "{",".join(processes)}"))'
        for cluster, processes in clusters.items()
    )
    tokens = ",".join(labels.values())
    ours = " || ".join(f'stringListMember({name} ?: "-", "{tokens}")' for name in (TOKEN, "Args", "Arguments"))
    return f"({numbers}) && ({ours})"


def _ads_of_schedds(answer: Answer) -> list[dict[str, Any]]:
    try:
        ads = json.loads(answer.stdout) if answer.rc == 0 else None
    except (ValueError, RecursionError):
        ads = None
    if not isinstance(ads, list) or not all(isinstance(ad, dict) for ad in ads):
        raise AnswerError(answer.words)
    return ads


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
    """Why the schedd rejected the jobs, for example a requirement of the site; empty if the connection failed."""
    reason = text.partition(NOT_COMMITTED)[2].strip()
    return "" if CONNECTION.search(reason) else reason


def _ads(answer: Answer) -> tuple[list[dict[str, Any]], list[str]]:
    """All ads of an answer, and the parts of it that cannot be read. Each schedd has an array of its own."""
    if answer.rc != 0:
        raise AnswerError(answer.words)
    ads: list[dict[str, Any]] = []
    unread: list[str] = []
    for value, start, end in json_values(answer.stdout):
        if isinstance(value, list) and all(map(_whole, value)):
            ads += value
        elif any("ClusterId" in ad for ad in _dictionaries(value)):  # cut, or not as it should be
            ads += filter(_whole, _dictionaries(value))
            unread.append(answer.stdout[start:end])
    if not ads and not unread and is_empty_list(answer.stdout):
        return [], []
    if not ads and (unread or begins_json(answer.stdout) or answer.stdout[-1:] not in ("", "\n")):
        raise AnswerError(answer.words)
    if not ads:  # with nothing to show condor_q prints nothing at all, and ends with 0
        refuse_failure(answer.stdout, answer.words)
    return ads, unread


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


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
            # An evicted job that waits or runs again still has the exit code of its last run.
            exit_code=_exit_code(ad) if status.is_final else None,
            token=_text(ad, TOKEN),
            alias=_argument(ad),
            node=_text(ad, "RemoteHost") or _text(ad, "LastRemoteHost"),
            usage=_usage(ad),
        ),
        ad,
    )


def _usage(ad: Mapping[str, Any]) -> Mapping[str, Any]:
    wall, user, system, peak = (ad.get(name) for name in USED.split(","))
    found = {"wall": wall} if isinstance(wall, (int, float)) else {}
    if isinstance(user, (int, float)) and isinstance(system, (int, float)):
        found["cpu"] = user + system
    return {**found, "memory": 1024 * peak, "memory_from": "batch system"} if isinstance(peak, int) else found


def _text(ad: Mapping[str, Any], name: str) -> str | None:
    return str(ad[name]) if ad.get(name) else None


def _argument(ad: Mapping[str, Any]) -> str | None:
    text = _text(ad, "Args") or _text(ad, "Arguments") or ""
    return text if re.fullmatch("[0-9a-f]{16}", text) else None


def _exit_code(ad: Mapping[str, Any]) -> int | None:
    """ExitStatus is always 0, and ExitBySignal is set before the job ends: only these two are reliable."""
    if ad.get("ExitBySignal") and isinstance(ad.get("ExitSignal"), int):
        return 128 + int(ad["ExitSignal"])
    return ad["ExitCode"] if isinstance(ad.get("ExitCode"), int) else None


def _held(info: JobInfo, ad: Mapping[str, Any]) -> JobInfo:
    reason, code = str(ad.get("HoldReason") or "no reason given"), ad.get("HoldReasonCode")
    native = f"held (code {code}): {reason}"
    if code in HELD_BY_PERSON:
        return replace(info, status=JobStatus.idle, native=native, exit_code=None, held=True)
    if _may_be_released(ad):
        notice = f"{native}; its periodic_release may release it, which is waited for"
        return replace(info, status=JobStatus.idle, native=native, exit_code=None, notice=notice)
    by_policy = code in HELD_BY_POLICY
    cause = _cause_of_policy(reason) if by_policy else HELD.get(code if isinstance(code, int) else 0)
    return replace(info, native=native, cause=cause or Cause.infrastructure, lingers=True)


def _may_be_released(ad: Mapping[str, Any]) -> bool:
    """The job has a periodic_release, and the schedd had not enough time to evaluate it."""
    release, since, now = ad.get("PeriodicRelease"), ad.get("EnteredCurrentStatus"), ad.get("ServerTime")
    if release in (None, False, "false", 0) or not isinstance(since, int) or not isinstance(now, int):
        return False
    return now - since < RELEASE_WAIT


def _cause_of_policy(reason: str) -> Cause:
    if ABOUT_MEMORY.search(reason):
        return Cause.memory
    return Cause.time if ABOUT_TIME.search(reason) else Cause.policy


def _removed(info: JobInfo, ad: Mapping[str, Any]) -> JobInfo:
    reason = str(ad.get("RemoveReason") or "")
    by_policy = reason and not REMOVED_BY_PERSON.search(reason)
    cause = _cause_of_policy(reason) if by_policy else Cause.cancelled
    return replace(info, native=f"removed: {reason or 'no reason given'}", cause=cause)


def _completed(info: JobInfo, ad: Mapping[str, Any]) -> JobInfo:
    status = JobStatus.successful if info.exit_code == 0 else JobStatus.aborted
    return replace(info, status=status)


def _other(info: JobInfo, ad: Mapping[str, Any]) -> JobInfo:
    return info
