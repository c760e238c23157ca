"""The submit description of HTCondor jobs, and the rules for the settings that go into it.

Facts from the HTCondor manual (submit description commands) and measured on HTCondor 23.9.6.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from b2luigi.batch.systems.base import Setting
from b2luigi.batch.systems.model import JobSpec, Requested
from b2luigi.batch.systems.requests import clock, size

TOKEN = "B2luigiToken"
"""Attribute of a job that names its attempt."""
OURS = "b2luigi sets this itself"
NO_TASK = "the job would not run its task"
LATE = "b2luigi limits the number of its jobs itself; to run fewer at once, set workers"
FORBIDDEN = {
    **dict.fromkeys(("executable", "cmd", "arguments", "arguments2", "args", "initialdir", "initial_dir"), OURS),
    **dict.fromkeys(("iwd", "job_iwd", "queue", TOKEN.lower()), OURS),
    **dict.fromkeys(("transfer_input_files", "transferinput", "transferinputfiles"), OURS),
    **dict.fromkeys(("transfer_output_remaps", "transferoutputremaps"), OURS),
    **dict.fromkeys(("noop_job", "isnoopjob", "noop_job_exit_code", "noop_job_exit_signal"), NO_TASK),
    **dict.fromkeys(("noopjobexitcode", "noopjobexitsignal", "interactive", "interactivejob"), NO_TASK),
    **dict.fromkeys(("max_materialize", "max_idle", "materialize_max_idle"), LATE),
    **dict.fromkeys(("jobmaterializelimit", "jobmaterializemaxidle"), LATE),
}
"""Commands of a submit description, and attributes of a job, that would break the job, and why. Case does not matter;
an attribute is set by `+Name` or `MY.Name`, and the names of many also work as commands (measured)."""
DURATIONS = ("allowed_execute_duration", "allowed_job_duration", "requestruntime", "maxruntime")
"""Commands, and attributes of sites (DESY, CERN), that say how long a job may run, in seconds."""
UNFIT = r"[\n\r\0]|\$\$"
"""What no value may contain; HTCondor expands the second of two dollars, however it is escaped (measured)."""


def options(setting: Setting) -> Mapping[str, Any]:
    """The settings of one task that go into its submit description. Raises ValueError, naming the setting."""
    extra = setting("htcondor_settings") or {}
    if not isinstance(extra, Mapping):
        raise ValueError(f"htcondor_settings must be a dictionary, not {extra!r}.")
    transferred = _transfer_files(setting)
    return {
        "job_name": _job_name(str(setting("job_name") or "")),
        "lines": [_line(key, _with_ours(key, value) if transferred else value) for key, value in extra.items()],
        "transfer_files": transferred,
    }


def check(job: JobSpec) -> None:
    """Raises ValueError, naming file or folder, for a job whose paths cannot be part of a submit description."""
    for path in (job.folder, job.inbox):
        if re.search(rf"{UNFIT}|[\\\s]$", str(path)):
            raise ValueError(
                f"HTCondor cannot work with the folder {str(path)!r}: its name contains a line break or `$$`, or "
                "ends with a blank or a backslash. Please set task_file_dir to another folder."
            )
    for path in job.inputs if job.options["transfer_files"] else ():
        if _unfit_for_transfer(str(path)):
            raise ValueError(
                f"HTCondor cannot transfer {str(path)!r}: its name contains a comma, a line break or `$$`, or ends "
                "with a blank or a backslash. Please rename or move this file."
            )


def description(jobs: Sequence[JobSpec]) -> str:
    """The text of the submit description of jobs that share their options."""
    # `queue ... from` splits at blanks and commas; only the last variable gets the rest of its line.
    names = "tok,family,title,dir" if jobs[0].title else "tok,dir"
    lines = [*_head(jobs[0]), f"queue {names} from (", *map(_item, jobs), ")", ""]
    return "\n".join(lines)


def _head(job: JobSpec) -> Iterator[str]:
    """The submit description without its queue statement; the user's lines come last and override ours."""
    yield "executable = $(dir)/executable_wrapper.sh"
    yield "arguments = $(tok)"
    yield f'+{TOKEN} = "$(tok)"'
    yield from _names(job)
    if job.options["transfer_files"]:
        yield from _transfer(job)
    else:
        yield f"output = $(dir)/{job.report.name}"
        yield f"error = $(dir)/{job.report.name}"
    yield from job.options["lines"]


def _item(job: JobSpec) -> str:
    for_people = (job.family, job.title) if job.title else ()
    return " ".join((job.token, *for_people, _unexpanded(job.folder)))


def _names(job: JobSpec) -> Iterator[str]:
    """What condor_q shows: the batch of a job is the class of its task, and its description the task itself."""
    if job.options["job_name"]:
        yield f"JobBatchName = {_literal(job.options['job_name'])}"
    elif job.title:
        yield "JobBatchName = $(family)"
    if job.title:
        yield "description = $(title)"


def _transfer(job: JobSpec) -> Iterator[str]:
    """Transfers files to the node and back; new files return to initialdir without being named, if they exist."""
    users = job.options["transfer_files"]
    names = {os.path.basename(name.rstrip("/")) for name in users}
    ours = [str(path) for path in job.inputs if path.name not in names]
    yield "should_transfer_files = YES"
    yield "when_to_transfer_output = ON_EXIT"
    yield "initialdir = $(dir)"
    yield "output = $(tok).stdout"
    yield "error = $(tok).stderr"
    yield f"transfer_input_files = {', '.join(map(_unexpanded, [*users, *ours]))}"
    # In a remap, only the semicolon needs to be escaped (measured).
    inbox = _unexpanded(job.inbox).replace(";", "\\;")
    yield f'transfer_output_remaps = "$(tok).marker = {inbox}/$(tok)"'


def _literal(text: str) -> str:
    """Escapes text so that the submit language does not expand anything in it."""
    return _unexpanded(text).strip()


def _unexpanded(text: object) -> str:
    return str(text).replace("$", "$(DOLLAR)")


def _with_ours(key: str, value: Any) -> Any:
    """Adds our files to the user's list of files to transfer back; the job script ensures that they exist."""
    if str(key).lower() != "transfer_output_files" or not isinstance(value, str):
        return value
    return ", ".join(name for name in (value, "$(tok).outcome", "$(tok).marker") if name)


def _job_name(name: str) -> str:
    if re.search(rf"{UNFIT}|\\\s*$", name):
        raise ValueError(
            f"job_name is {name!r}, but HTCondor allows no line break, no `$$`, and no backslash at the end."
        )
    return name


def _line(key: Any, value: Any) -> str:
    if not isinstance(key, str) or not re.fullmatch(r"\+?[A-Za-z_][\w.]*", key):
        raise ValueError(f"htcondor_settings has the key {key!r}, which is not a command of a submit description.")
    why = FORBIDDEN.get(_meant(key), "")
    if why:
        raise ValueError(f"htcondor_settings has the key {key!r}: {why}; please remove it.")
    if not isinstance(value, (str, int, float)) or re.search(r"[\n\r\0]|\\\s*$", str(value)):
        raise ValueError(
            f"htcondor_settings[{key!r}] must be a single line of text, a number or a bool, not {value!r}."
        )
    return f"{key} = {value}"


def requested(lines: Sequence[str]) -> Requested:
    """What the lines of the user ask for; a plain number of `request_memory` is megabytes, an expression is unknown."""
    parts = (line.partition("=") for line in lines)
    found = {_meant(name.strip()): value.strip() for name, _, value in parts}
    seconds = (found[name] for name in DURATIONS if name in found)
    return Requested(size(found.get("request_memory"), "M"), clock(next(seconds, ""), 1))


def _meant(key: str) -> str:
    """The command or attribute that a key refers to, in lower case, without the prefix of an attribute."""
    return key.lower().removeprefix("+").removeprefix("my.")


def _transfer_files(setting: Setting) -> list[str]:
    files = setting("transfer_files") or []
    if not isinstance(files, (list, tuple)) or not all(isinstance(name, str) for name in files):
        raise ValueError(f"transfer_files must be a list of paths, not {files!r}.")
    if files:
        _check_transfer(list(files), setting)
    return list(files)


def _unfit_for_transfer(name: str) -> bool:
    return re.search(rf"{UNFIT}|,|[\\\s]$|^\s", name) is not None


def _check_transfer(files: list[str], setting: Setting) -> None:
    names = [os.path.basename(name.rstrip("/")) for name in files]
    result_dir = str(setting("result_dir"))
    problems = {
        "transfer_files contains relative paths; use absolute ones": any(not os.path.isabs(f) for f in files),
        "transfer_files contains a name that HTCondor cannot transfer (comma, line break, `$$`, blank at an end)": any(
            map(_unfit_for_transfer, files)
        ),
        "transfer_files contains two files with the same name, but HTCondor puts all files into one folder": (
            len(set(names)) < len(names)
        ),
        "with transfer_files, working_dir must be '.', since the files go to the scratch folder of the job": (
            setting("working_dir") != "."
        ),
        "with transfer_files, result_dir must be an absolute path to which the node can write": (
            not os.path.isabs(result_dir)
        ),
        f"transfer_files contains the result folder {result_dir} or a part of it": any(
            _overlap(f, result_dir) for f in files
        ),
    }
    for problem, found in problems.items():
        if found:
            raise ValueError(f"{problem} (transfer_files: {files}).")


def _overlap(path: str, folder: str) -> bool:
    path, folder = os.path.normpath(path), os.path.normpath(folder)
    return path == folder or path.startswith(folder + os.sep)
