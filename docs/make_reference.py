"""Generates the pages of docs/reference from tables in the code:  python docs/make_reference.py"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.judge import ADVICE, AGAIN, ALWAYS, CHANGED, NEVER
from b2luigi.batch.model import Cause
from b2luigi.batch.systems import htcondor, lsf, slurm
from b2luigi.batch.systems.environment import (
    FOLDERS,
    ONLY_INSIDE,
    OUTER_JOB,
    OUTER_JOB_EXCEPT,
    SUBMISSION,
    TABLES,
    Variables,
)
from b2luigi.core.flags import FLAGS, Flag

FOLDER = Path(__file__).with_name("reference")

COMMAND_LINE = """# Command line

Every script that calls `b2luigi.process` has these flags. Most of them are also arguments of
[`process`](api.md#running).

| flag | what it does |
|---|---|
"""

ENDS = """# How jobs end

This page lists every way in which a job can end without having done its work, and what b2luigi does about it.
[How it works](../explanation/how-it-works.md#how-the-end-of-a-job-is-judged) explains how b2luigi finds the cause.

"""
ENVIRONMENT = """# Environment variables of the batch systems

The commands of a batch system read environment variables. b2luigi removes those that would change which jobs a command
covers, what it prints, or what becomes of a job's input and output; the job does not inherit them either. Variables
that express your choice or that of your site stay. A name that ends with `*` stands for all that begin so.

"""
AROUND = """
## A job around the run

If you start a run within a job (JupyterHub, an interactive allocation, a job that runs for days), the variables that
describe this job do not reach the jobs of the run, whatever the batch system of either:

- **removed:** {removed}
- **removed within a job only:** {devices}, and {folders} if they name a folder of that job
- **stay**, although their names are like these: {kept}

Local tasks are part of the job: they see all of its variables, and at most as many run at a time as the job has
processors on this machine (`SLURM_CPUS_ON_NODE`, `LSB_MCPU_HOSTS`, `LSB_DJOB_NUMPROC`, `Cpus` in `_CONDOR_MACHINE_AD`).
The setting `local_slots` wins.
"""
WORDS: Mapping[str, tuple[str, Mapping[Any, Cause]]] = {
    "LSF": ("EXIT_REASON", {f"TERM_{name}": cause for name, cause in lsf.CAUSES.items()}),
    "HTCondor": ("HoldReasonCode", htcondor.HELD),
    "Slurm": ("state", slurm.CAUSES),
}
"""The words of each batch system that indicate a cause: what they are called, and what they mean."""
HOLDS = {
    6: "the job script",
    12: "transferring output files",
    13: "transferring input files",
    34: "memory",
    46: "duration",
    47: "execution time",
}
"""What HTCondor's hold reasons refer to."""
DONE = {
    ALWAYS: "the job is resubmitted, at most `job_retries` times in a run",
    CHANGED: (
        "the job is resubmitted if the next attempt requests something else, at most `job_retries` times in a run"
    ),
    NEVER: "the task fails, and the failure is reported",
}
BY_OTHER_SIGNS = {
    Cause.cancelled: "HTCondor: removed from the queue. Local machine: stopped by SIGTERM, SIGINT or SIGHUP.",
    Cause.vanished: "Gone without a trace, and not started when last seen.",
    Cause.infrastructure: (
        "Killed by a signal without a reason, or gone without a trace after it had started. Inputs that only the node "
        "did not see. An outcome that the node could not write. HTCondor: held for any other reason, unless a person "
        "held the job. Slurm: held by Slurm itself after its launch failed."
    ),
    Cause.memory: "Python's `MemoryError`, if the next attempt requests something else.",
    Cause.time: "HTCondor: a policy whose reason is about time (as for memory, if it is about memory).",
    Cause.policy: (
        "HTCondor: `periodic_hold`, `periodic_remove`, `WANT_HOLD`, `SYSTEM_PERIODIC_HOLD`, if their reason is about "
        "neither memory nor time. A job that its own `periodic_release` may release is waited for."
    ),
    Cause.refused: "Slurm: signal 53, which means that Slurm could not create a folder.",
    Cause.ended: (
        "Any exit code without an outcome, an exit with code 0 in the middle of `run()` (`os._exit(0)`, `exit(0)` in a "
        "library), a crash (SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL), an `env_script` that "
        "failed, missing outputs."
    ),
}
"""What else indicates a cause, besides the words of batch systems."""


def command_line() -> str:
    """The page of flags."""
    return COMMAND_LINE + "".join(_row(flag) for flag in FLAGS)


def ends() -> str:
    """The page of causes."""
    return ENDS + "\n\n".join("\n".join(_section(cause)) for cause in Cause) + "\n"


def environment() -> str:
    """The page of environment variables."""
    names = {
        "removed": ", ".join(f"`{name}`" for name in (*OUTER_JOB, *SUBMISSION)),
        "kept": ", ".join(f"`{name}`" for name in OUTER_JOB_EXCEPT),
        "devices": ", ".join(f"`{name}`" for name in ONLY_INSIDE),
        "folders": ", ".join(f"`{name}`" for name in FOLDERS),
    }
    tables = "\n".join(_variables(system, table) for system, table in TABLES.items())
    return ENVIRONMENT + tables + AROUND.format(**names)


def pages() -> dict[Path, str]:
    """All generated pages: path and text."""
    return {
        FOLDER / "command-line.md": command_line(),
        FOLDER / "ends-of-jobs.md": ends(),
        FOLDER / "environment.md": environment(),
    }


def _variables(system: str, table: Variables) -> str:
    rows = [
        *(f"| `{name}` | removed | {what} |" for name, what in table.ignored.items()),
        *(f"| `{name}` | set to `{value}` | how often a command retries |" for name, value in table.fixed.items()),
        *(f"| `{name}` | stays | {what} |" for name, what in table.kept.items()),
    ]
    return "\n".join([f"## {system}", "", "| variable | b2luigi | what it changes |", "|---|---|---|", *rows, ""])


def _row(flag: Flag) -> str:
    name = f"{flag.name} {flag.metavar}".strip()
    short = getattr(flag, "short", "")
    return f"| `{name}`{f', `{short}`' if short else ''} | {flag.help} |\n"


def _section(cause: Cause) -> Iterable[str]:
    yield f"## {cause.value[0].upper()}{cause.value[1:]}"
    yield ""
    yield f"- **What b2luigi does:** {DONE[AGAIN[cause]]}."
    yield f"- **What the report advises:** {ADVICE[cause]}"
    signs = [f"- **{system}** ({kind}): {words}" for system, kind, words in _words(cause)]
    yield from signs
    if BY_OTHER_SIGNS[cause]:
        yield f"- **Also:** {BY_OTHER_SIGNS[cause]}"


def _words(cause: Cause) -> Iterable[tuple[str, str, str]]:
    for system, (kind, words) in WORDS.items():
        found = [_word(word) for word, meant in words.items() if meant is cause]
        if found:
            yield system, kind, ", ".join(found)


def _word(word: Any) -> str:
    return f"`{word}` ({HOLDS[word]})" if word in HOLDS else f"`{word}`"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
