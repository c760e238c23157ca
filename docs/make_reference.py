"""Writes the pages of docs/reference that are made from tables in the code:  python docs/make_reference.py"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.judge import ADVICE, AGAIN, ALWAYS, CHANGED, NEVER
from b2luigi.batch.model import Cause
from b2luigi.batch.systems import htcondor, lsf, slurm
from b2luigi.core.flags import FLAGS, Flag

FOLDER = Path(__file__).with_name("reference")

COMMAND_LINE = """# Command line

The flags of every script that calls `b2luigi.process`. Most are arguments of [`process`](api.md#running), too.

| flag | what it does |
|---|---|
"""

ENDS = """# How jobs end

Every way a job can end without having done its work, and what is done about it.
[How it works](../explanation/how-it-works.md#how-the-end-of-a-job-is-judged) tells how the end of a job is judged.

"""
WORDS: Mapping[str, tuple[str, Mapping[Any, Cause]]] = {
    "LSF": ("EXIT_REASON", {f"TERM_{name}": cause for name, cause in lsf.CAUSES.items()}),
    "HTCondor": ("HoldReasonCode", htcondor.HELD),
    "Slurm": ("state", slurm.CAUSES),
}
"""The words of each batch system that tell a cause: what they are called, and what they mean."""
HOLDS = {
    6: "the job script",
    12: "files to carry back",
    13: "files to carry there",
    34: "memory",
    46: "duration",
    47: "execution time",
}
"""What HTCondor's reasons for a hold are about."""
DONE = {
    ALWAYS: "it is submitted again, at most `job_retries` times in a run",
    CHANGED: "it is submitted again if the next try asks for something else, at most `job_retries` times in a run",
    NEVER: "the task fails, and you are told",
}
BY_OTHER_SIGNS = {
    Cause.cancelled: "HTCondor: removed from the queue. On this machine: stopped by SIGTERM, SIGINT or SIGHUP.",
    Cause.vanished: "Gone without a trace, and it had not started when it was last seen.",
    Cause.infrastructure: (
        "Killed by a signal without a reason, or gone without a trace after it had started. HTCondor: held for any "
        "other reason, unless a person held it. Inputs that only the node did not see."
    ),
    Cause.memory: "Python's `MemoryError`, if the next try asks for something else.",
    Cause.time: "",
    Cause.refused: "Slurm: signal 53, with which it tells that a folder could not be made.",
    Cause.ended: (
        "Any exit code without an outcome, a crash (SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL), an `env_script` that "
        "failed, outputs that are not there."
    ),
}
"""What else tells a cause, besides the words of batch systems."""


def command_line() -> str:
    """The page of flags."""
    return COMMAND_LINE + "".join(_row(flag) for flag in FLAGS)


def ends() -> str:
    """The page of causes."""
    return ENDS + "\n\n".join("\n".join(_section(cause)) for cause in Cause) + "\n"


def pages() -> dict[Path, str]:
    """All pages, with their texts."""
    return {FOLDER / "command-line.md": command_line(), FOLDER / "ends-of-jobs.md": ends()}


def _row(flag: Flag) -> str:
    name = f"{flag.name} {flag.metavar}".strip()
    short = getattr(flag, "short", "")
    return f"| `{name}`{f', `{short}`' if short else ''} | {flag.help} |\n"


def _section(cause: Cause) -> Iterable[str]:
    yield f"## {cause.value[0].upper()}{cause.value[1:]}"
    yield ""
    yield f"- **What is done:** {DONE[AGAIN[cause]]}."
    yield f"- **What you are told to do:** {ADVICE[cause]}"
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
