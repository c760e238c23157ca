"""Why a job died that left no outcome: what its log shows, in one sentence, and what to do."""

from __future__ import annotations

import re
import signal
from dataclasses import replace

from b2luigi.batch.attempts.judge import ADVICE, Fail
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import Cause
from b2luigi.core.job_script import BEGUN_LINE, MEMORY_LINE

OWN_WORDS = "b2luigi: "
"""Starts what the job script and the node say of themselves, in the log of the job."""
NEARLY = 0.9
"""The part of the memory that was asked for from which on a job that was killed probably wanted more."""
_EXCEPTION = re.compile(r"^(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt)\b(?:: .*)?$")
_CRASHED = re.compile(
    r"^Fatal Python error: .*\n(?:.*\n)*?(?:Current thread|Stack).*most recent call first\):\n"
    r'  File (".+", line \d+ in .+)$',
    re.MULTILINE,
)
"""What Python's faulthandler prints when a library crashes: the place is `"FILE", line N in FUNCTION`."""
_KILLED = f"signal {int(signal.SIGKILL)} "


def explain(ticket: Ticket, verdict: Fail, words: str) -> Fail:
    """The verdict, in better words where the end of the log (`words`) or what the job used shows more."""
    ours = [line.partition(OWN_WORDS)[2] for line in words.splitlines() if OWN_WORDS in line]
    said = [line for line in ours if not line.startswith((MEMORY_LINE, BEGUN_LINE))]
    if verdict.cause is Cause.ended and said:
        return replace(verdict, what=said[-1])
    has_begun = ticket.spec.begun.exists() or any(line.startswith(BEGUN_LINE) for line in ours)
    if verdict.cause is Cause.ended and not has_begun:
        return _before_the_task(ticket, verdict, words)
    if verdict.cause is Cause.infrastructure and _KILLED in verdict.what:
        return _killed(ticket, verdict, _numbers(ours, MEMORY_LINE), _numbers(ours, BEGUN_LINE))
    crashed = _CRASHED.search(words)
    return replace(verdict, what=f"{verdict.what}, in {crashed[1]}") if crashed else verdict


def largest_process(words: str) -> int:
    """The peak of the largest process, in bytes, as the end of a log has it; 0 if it has none."""
    notes = [line.partition(OWN_WORDS)[2] for line in words.splitlines() if OWN_WORDS in line]
    return _numbers(notes, BEGUN_LINE)[0]


def without_notes(words: str) -> str:
    """The end of a log without the lines from which `explain` reads: for people, its sentence says it better."""
    notes = (OWN_WORDS + MEMORY_LINE, OWN_WORDS + BEGUN_LINE)
    return "\n".join(line for line in words.splitlines() if not line.startswith(notes))


def _numbers(lines: list[str], start: str) -> list[int]:
    """The numbers in the last line that starts so, and zeros for those that are missing: three."""
    found = [line.removeprefix(start) for line in lines if line.startswith(start)]
    return [*map(int, re.findall(r"\d+", found[-1] if found else "")), 0, 0, 0][:3]


def _before_the_task(ticket: Ticket, verdict: Fail, words: str) -> Fail:
    """The script itself failed on the node, mostly at an import."""
    last = next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "")
    if "Traceback" not in words or not _EXCEPTION.match(last):
        return verdict
    node = ticket.info.node if ticket.info is not None else None
    where = f"on {node}, before the task began" if node else "on its node, before the task began"
    if not last.startswith(("ModuleNotFoundError", "ImportError")):
        return replace(verdict, what=f"{last} ({where})", advice="Correct the error and run the script again.")
    return replace(
        verdict,
        what=f"{last} ({where}; settings executable, env_script)",
        advice="Let the settings executable and env_script lead to a Python that has this module on the nodes.",
    )


def _killed(ticket: Ticket, verdict: Fail, of_cgroup: list[int], of_process: list[int]) -> Fail:
    """Who kills with SIGKILL and says nothing is mostly the kernel, which was out of memory."""
    peak, limit, kills = of_cgroup
    by_system = ticket.info.usage.get("memory") if ticket.info is not None else None
    peak = peak or max(int(by_system or 0), of_process[0])  # both look now and then, and may miss the end
    limit = limit or ticket.requested.memory or 0
    if kills or (limit and peak >= NEARLY * limit):
        size = f", peak {gigabytes(peak)} of {gigabytes(limit)} GB" if peak and limit else ""
        return replace(verdict, what=f"probably out of memory{size}: {verdict.what}", advice=ADVICE[Cause.memory])
    if limit and peak:
        return verdict
    seen = f" (its largest process had {gigabytes(peak)} GB when last seen)" if peak else ""
    memory = f"If nobody killed it, it ran out of memory{seen}: then ask for more."
    return replace(verdict, advice=f"{memory} {verdict.advice}")


def gigabytes(size: int) -> str:
    """A number of bytes in GB (10^9), with two digits that matter."""
    return f"{size / 1e9:.2g}" if size < 10e9 else f"{size / 1e9:.0f}"
