"""HTCondor: condor_submit, condor_q, condor_history, condor_rm.

Facts from the HTCondor manual (submit description, job ClassAd attributes) and measured on HTCondor 23.9.6.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
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

TOKEN = "B2luigiToken"
"""Attribute of a job that names its attempt."""
ATTRIBUTES = (
    "ClusterId,ProcId,JobStatus,ExitCode,ExitBySignal,ExitSignal,HoldReason,HoldReasonCode,RemoveReason,"
    f"RemoteHost,LastRemoteHost,{TOKEN}"
)
OURS = f"{TOKEN} isnt undefined"
RESERVED = frozenset(
    {
        *("executable", "arguments", "arguments2", "queue", "initialdir", "initial_dir"),
        *("transfer_input_files", "transfer_output_remaps", f"+{TOKEN}".lower(), f"my.{TOKEN}".lower()),
    }
)
"""Commands of a submit description that b2luigi writes itself; without its token a job is not seen any more."""

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
UNSURE = ("Failed to commit", "Failed to queue job", "communication error", "Failed to end transaction")
TAKEN = r"Job [\d.]+ (not found|(already )?marked for removal)|Couldn't find/remove all jobs in cluster"
"""What condor_rm says of jobs that are going, or went."""
DENIED = ("Permission denied", "No result found")

UNFIT = r"[\n\r\0]|\$\$"
"""What no value can hold; of two dollars HTCondor expands the second, however it is written (measured)."""

_range = parse.compile("{cluster}.{first} - {same}.{last}")


class HTCondor(BatchSystem):
    """The language of HTCondor."""

    name: ClassVar[str] = "htcondor"
    probe: ClassVar[str] = "condor_submit"
    bulk: ClassVar[int] = 5000
    carries_files: ClassVar[bool] = True

    def options(self, setting: Setting) -> Mapping[str, Any]:
        extra = setting("htcondor_settings") or {}
        if not isinstance(extra, Mapping):
            raise ValueError(f"htcondor_settings has to be a dictionary, but it is {extra!r}.")
        carried = _transfer_files(setting)
        return {
            "job_name": _job_name(str(setting("job_name") or "")),
            "lines": [_line(key, _with_ours(key, value) if carried else value) for key, value in extra.items()],
            "transfer_files": carried,
        }

    def check(self, job: JobSpec) -> None:
        for path in (job.folder, job.inbox):
            if re.search(rf"{UNFIT}|[\\\s]$", str(path)):
                raise ValueError(
                    f"HTCondor can not work with the folder {str(path)!r}: its name holds a line break or `$$`, or "
                    "ends with a blank or a backslash. Please set task_file_dir to another folder."
                )
        for path in job.inputs if job.options["transfer_files"] else ():
            if _unfit_for_transfer(str(path)):
                raise ValueError(
                    f"HTCondor can not transfer {str(path)!r}: its name holds a comma, a line break or `$$`, or ends "
                    "with a blank or a backslash. Please give this file another path."
                )

    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        # `queue ... from` splits at blanks and commas; only the last variable takes the rest of its line.
        items = [f"{job.token} {_unexpanded(job.folder)}" for job in jobs]
        lines = [*_description(jobs[0]), "queue tok,dir from (", *items, ")", ""]
        return Command(("condor_submit", "-terse", "-"), stdin="\n".join(lines))

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        for line in answer.stdout.splitlines():
            ids = _ids(line)
            if len(ids) == len(jobs):
                return [Accepted(job_id) for job_id in ids]
        return [_not_accepted(answer)] * len(jobs)

    def query(self, job_ids: Sequence[str]) -> Command:
        return Command(("condor_q", "-json", "-attributes", ATTRIBUTES, "-constraint", OURS))

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        return {f"{ad['ClusterId']}.{ad['ProcId']}": _info(ad) for ad in _ads(answer)}

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return Command(("condor_rm", *job_ids))

    def parse_cancel(self, answer: Answer) -> str:
        lines = [line for line in answer.words.splitlines() if line.strip()]
        if answer.rc == 0 and answer.timed_out is None:  # it ends so, too, when only some jobs could be removed
            return "\n".join(line for line in lines if any(text in line for text in DENIED))
        fine = answer.timed_out is None and all(re.match(TAKEN, line) for line in lines)
        return "" if fine else answer.words

    def find(self, jobs: Sequence[JobSpec]) -> Command:
        return self.query([])

    def history(self, job_ids: Sequence[str]) -> Command | None:
        # Without a limit it reads the whole history of the pool (measured: 3,161 ads, 9 MB).
        limits = ("-limit", str(len(job_ids)), "-scanlimit", "20000")
        return Command(("condor_history", "-json", *limits, "-attributes", ATTRIBUTES, *job_ids))


def _description(job: JobSpec) -> Iterator[str]:
    """The submit description, all but its queue statement; what is the user's comes last, so that it wins."""
    yield "executable = $(dir)/executable_wrapper.sh"
    yield "arguments = $(tok)"
    yield f'+{TOKEN} = "$(tok)"'
    if job.options["job_name"]:
        yield f"JobBatchName = {_literal(job.options['job_name'])}"
    if job.options["transfer_files"]:
        yield from _transfer(job)
    else:
        yield f"output = $(dir)/{job.report.name}"
        yield f"error = $(dir)/{job.report.name}"
    yield from job.options["lines"]


def _transfer(job: JobSpec) -> Iterator[str]:
    """Files there and back; what comes home without being named goes to initialdir, and may be missing."""
    users = job.options["transfer_files"]
    taken = {os.path.basename(name.rstrip("/")) for name in users}
    ours = [str(path) for path in job.inputs if path.name not in taken]
    yield "should_transfer_files = YES"
    yield "when_to_transfer_output = ON_EXIT"
    yield "initialdir = $(dir)"
    yield "output = $(tok).stdout"
    yield "error = $(tok).stderr"
    yield f"transfer_input_files = {', '.join(map(_unexpanded, [*users, *ours]))}"
    # In a remap only the semicolon has to be escaped (measured).
    inbox = _unexpanded(job.inbox).replace(";", "\\;")
    yield f'transfer_output_remaps = "$(tok).marker = {inbox}/$(tok)"'


def _literal(text: str) -> str:
    """Text in which the submit language finds nothing to expand."""
    return _unexpanded(text).strip()


def _unexpanded(text: object) -> str:
    return str(text).replace("$", "$(DOLLAR)")


def _with_ours(key: str, value: Any) -> Any:
    """Who names the files to come home has to name ours, too; the job script sees to it that they are there."""
    if str(key).lower() != "transfer_output_files" or not isinstance(value, str):
        return value
    return ", ".join(name for name in (value, "$(tok).outcome", "$(tok).marker") if name)


def _job_name(name: str) -> str:
    if re.search(rf"{UNFIT}|\\\s*$", name):
        raise ValueError(
            f"job_name is {name!r}, which HTCondor can not take: a line break, `$$`, or a backslash at the end."
        )
    return name


def _ids(line: str) -> list[str]:
    """The ids of a line `7.0 - 7.4`, else none."""
    found = _range.parse(line.strip())
    words = found.named if found else {}
    if not words or not all(re.fullmatch(r"[0-9]{1,18}", word) for word in words.values()):
        return []
    first, last = int(words["first"]), int(words["last"])
    whole = words["cluster"] == words["same"] and last - first < HTCondor.bulk
    return [f"{words['cluster']}.{n}" for n in range(first, last + 1)] if whole else []


def _line(key: Any, value: Any) -> str:
    if not isinstance(key, str) or not re.fullmatch(r"\+?[A-Za-z_][\w.]*", key):
        raise ValueError(f"htcondor_settings has the key {key!r}, which is no command of a submit description.")
    if key.lower() in RESERVED:
        raise ValueError(f"htcondor_settings has the key {key!r}, which b2luigi sets itself; please take it out.")
    if not isinstance(value, (str, int, float)) or re.search(r"[\n\r\0]|\\\s*$", str(value)):
        raise ValueError(
            f"htcondor_settings[{key!r}] has to be one line of text, a number or a bool, but it is {value!r}."
        )
    return f"{key} = {value}"


def _transfer_files(setting: Setting) -> list[str]:
    files = setting("transfer_files") or []
    if not isinstance(files, (list, tuple)) or not all(isinstance(name, str) for name in files):
        raise ValueError(f"transfer_files has to be a list of paths, but it is {files!r}.")
    if files:
        _check_transfer(list(files), setting)
    return list(files)


def _unfit_for_transfer(name: str) -> bool:
    return re.search(rf"{UNFIT}|,|[\\\s]$|^\s", name) is not None


def _check_transfer(files: list[str], setting: Setting) -> None:
    names = [os.path.basename(name.rstrip("/")) for name in files]
    result_dir = str(setting("result_dir"))
    problems = {
        "transfer_files holds relative paths; give absolute ones": any(not os.path.isabs(f) for f in files),
        "transfer_files holds a name that HTCondor can not transfer (comma, line break, `$$`, blank at an end)": any(
            map(_unfit_for_transfer, files)
        ),
        "transfer_files holds two files of one name; HTCondor puts all into one folder": len(set(names)) < len(names),
        "with transfer_files, working_dir has to be '.', as the files end up in the scratch folder of the job": (
            setting("working_dir") != "."
        ),
        "with transfer_files, result_dir has to be an absolute path that the node can write": (
            not os.path.isabs(result_dir)
        ),
        f"transfer_files holds a part of the result folder {result_dir}, or the folder itself": any(
            _overlap(f, result_dir) for f in files
        ),
    }
    for problem, found in problems.items():
        if found:
            raise ValueError(f"{problem} (transfer_files: {files}).")


def _overlap(path: str, folder: str) -> bool:
    path, folder = os.path.normpath(path), os.path.normpath(folder)
    return path == folder or path.startswith(folder + os.sep)


def _not_accepted(answer: Answer) -> Submitted:
    text = answer.words
    if answer.timed_out is not None or answer.rc <= 0 or any(word in text for word in UNSURE):
        return Unsure(text)
    if any(word in text for word in TRY_LATER):
        return TryLater(text)
    return Refused(text)


def _ads(answer: Answer) -> list[dict[str, Any]]:
    # With nothing to show condor_q prints nothing at all, and ends with 0.
    try:
        ads = json.loads(answer.stdout) if answer.stdout.strip() else []
    except (ValueError, RecursionError):
        ads = None
    if answer.rc != 0 or answer.timed_out is not None or not isinstance(ads, list) or not all(map(_whole, ads)):
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
    """ExitStatus is always 0, and ExitBySignal is there before the job ends: only these two tell."""
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
