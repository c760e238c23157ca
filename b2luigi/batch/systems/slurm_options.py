"""The options of sbatch that users may set: each key is resolved to the option it refers to, then checked.

Names from the manual pages of sbatch 22.05 and later releases up to 24.11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from b2luigi.batch.systems.model import Requested
from b2luigi.batch.systems.requests import clock, size, values

NAMES = """
    account acctg-freq array batch bb bbf begin chdir cluster cluster-constraint clusters comment constraint container
    container-id contiguous core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot
    dependency distribution error exclude exclusive export export-file external-launcher extra extra-node-info
    get-user-env gid gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task gres gres-flags help hint
    hold ignore-pbs input job-name kill-on-invalid-dep licenses mail-type mail-user mcs-label mem mem-bind
    mem-per-cpu mem-per-gpu mincpus network nice no-kill no-requeue nodefile nodelist nodes ntasks ntasks-per-core
    ntasks-per-gpu ntasks-per-node ntasks-per-socket open-mode output overcommit oversubscribe parsable partition
    power prefer priority profile propagate qos quiet reboot requeue reservation resv-ports segment share signal
    sockets-per-node spread-job stepmgr switches test-only thread-spec threads-per-core time time-min tmp
    tres-bind tres-per-task uid usage use-min-nodes verbose version wait wait-all-nodes wckey wrap
"""
LONG = frozenset(NAMES.split())
"""The long options of sbatch."""
SHORT = {
    "a": "array",
    "e": "error",
    "h": "help",
    "i": "input",
    "o": "output",
    "u": "usage",
    "M": "clusters",
    "Q": "quiet",
    "V": "version",
    "W": "wait",
    "J": "job-name",
}
"""The short options that matter for the checks below."""
ASKING = {
    "--mem": "memory",
    "--mem-per-cpu": "memory of each",
    "--cpus-per-task": "each",
    "-c": "each",
    "--ntasks": "tasks",
    "-n": "tasks",
    "--time": "time",
    "-t": "time",
}
"""Options that say how much a job wants."""
OURS = "b2luigi sets this option itself"
NO_JOB = "with this option sbatch submits no job"
FORBIDDEN = {
    **dict.fromkeys(("array", "comment", "output", "error", "input", "parsable", "quiet"), OURS),
    "wait": "sbatch would wait for the end of the job; b2luigi waits itself",
    "wrap": "the job would run this command instead of the task",
    **dict.fromkeys(("help", "usage", "version", "test-only"), NO_JOB),
}
"""Options that would break the job, or the parsing of the answer, and why."""


def resolved(key: str) -> str:
    """The option that a key of `slurm_settings` refers to, without leading dashes.

    sbatch accepts unique abbreviations of long options; here, upper case and `_` for `-` are accepted as well.
    An unknown name is kept, since a newer sbatch may know it.
    Raises ValueError for a key that cannot be an option.
    """
    name = key.lstrip("-")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ValueError(f"slurm_settings has the key {key!r}, which is not an option of sbatch.")
    if len(name) == 1:
        return name
    name = name.lower().replace("_", "-")
    meant = [name] if name in LONG else [option for option in sorted(LONG) if option.startswith(name)]
    return meant[0] if len(meant) == 1 else name


def option(key: str, value: Any) -> str:
    """An option of sbatch as one word; empty if its value is unset (None, False or empty).

    Raises ValueError, naming key and setting, for an option that would not work.
    """
    name = resolved(key)
    why = _why_refused(name)
    if why:
        meant = SHORT.get(name, name)
        spelled = "" if key.lstrip("-") == meant else f", which means --{meant}"
        raise ValueError(f"slurm_settings has the option {key!r}{spelled}: {why}; please remove it.")
    if value is None or value is False or value == "":
        return ""
    short = len(name) == 1
    if value is True:
        return f"-{name}" if short else f"--{name}"
    if not isinstance(value, (str, int, float)) or re.search(r"[\n\r\0]", str(value)):
        raise ValueError(f"slurm_settings[{key!r}] must be a single line of text or a number, not {value!r}.")
    return f"-{name}{value}" if short else f"--{name}={value}"


def clusters(argv: Sequence[str]) -> str:
    """The clusters that options name; empty if they name none. The last one counts, as for sbatch."""
    found = (re.fullmatch(r"(?:--clusters?=|-M)(.+)", word) for word in argv)
    return next(reversed([match[1] for match in found if match]), "")


def requested(argv: Sequence[str]) -> Requested:
    """What options ask for. A plain number is megabytes, or minutes (sbatch); `--mem` is for a node, of which we use
    one."""
    found = values(argv, ASKING)
    processors = [int(found.get(name, "1")) if found.get(name, "1").isdigit() else 1 for name in ("each", "tasks")]
    memory, each = size(found.get("memory"), "M"), size(found.get("memory of each"), "M")
    if memory is None and each is not None:
        memory = each * processors[0] * processors[1]
    time = found.get("time", "")
    last = (3600, 60, 1) if "-" in time else (60, 1, 1)  # `minutes`, `minutes:seconds`, `days-hours`, ...
    return Requested(memory, clock(time, last[min(time.count(":"), 2)]))


def options(settings: Any) -> list[str]:
    """All options of `slurm_settings`, as words. Raises ValueError, naming the key."""
    if not isinstance(settings, Mapping):
        raise ValueError(f"slurm_settings must be a dictionary of sbatch options, not {settings!r}.")
    return [word for word in (option(str(key), value) for key, value in settings.items()) if word]


def _why_refused(name: str) -> str:
    """An ambiguous abbreviation is refused if one of its options is: another release may know only that one."""
    if name in LONG or len(name) == 1:
        return FORBIDDEN.get(SHORT.get(name, name), "")
    return next((why for option, why in FORBIDDEN.items() if option.startswith(name)), "")
