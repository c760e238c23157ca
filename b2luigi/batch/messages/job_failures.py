"""The story of each bad end of a job: `batch.failure` says it in the end, here is what there is to say."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import luigi

from b2luigi.batch.attempts.judge import ADVICE, Fail
from b2luigi.batch.attempts.outcome import Outcome
from b2luigi.batch.messages.deaths import explain, largest_process, without_notes
from b2luigi.batch.messages.failure import Failure, headline, last_lines, render, tail, users_frames
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import Cause, JobSpec

CORRECT_IT = "Correct what the message names, and run the script again."
FINISHED = "Tasks that are complete are not repeated."
OLD_RUNNER = "/b2luigi/cli/runner.py"
"""Runs tasks on nodes in b2luigi 1.x, and is part of its tracebacks."""
ADVICE_OLD_RUNNER = (
    "Correct the error, and install this version of b2luigi where jobs find it (settings executable, env_script, env)."
)


def of_error_before(task: luigi.Task, system: str, error: BaseException) -> str:
    """A setting that cannot work, a file that cannot be written: no job was submitted."""
    words = last_lines(users_frames(error))
    what = f"no job was submitted: {headline(error)}"
    return render(Failure(task, what, CORRECT_IT, system, last_words=words))


def of_refusal(task: luigi.Task, system: str, ticket: Ticket) -> str:
    """The batch system did not accept the job."""
    advice = f"Correct the setting for {system} that the message is about."
    if "command not found" in ticket.reason:
        advice = "Check the setting batch_system, and PATH."
    what = ": ".join(filter(None, [f"{system} did not accept the job", _complaint(ticket.reason)]))
    return _story(task, system, ticket, what=what, advice=advice, words=ticket.reason)


def _complaint(reason: str) -> str:
    """The line of what a batch system said that names the error, or else its first line."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return next((line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)), *lines[:1] or [""])


def of_doubt(task: luigi.Task, system: str, ticket: Ticket, times: int) -> str:
    """Whatever the batch system answered, it has no such job, several times in a row."""
    what = f"{system} was asked {times} times to run it, and has no such job"
    advice = f"Check the settings for {system} that the message is about, and whether {system} works here. {FINISHED}"
    return _story(task, system, ticket, what=what, advice=advice, words=ticket.reason)


def of_exception(task: luigi.Task, system: str, ticket: Ticket, outcome: Outcome) -> str:
    """The task raised an exception on its node."""
    words = outcome.traceback or str(outcome.explanation)
    todo = ADVICE[Cause.memory] if is_of_memory(outcome.headline) else "Correct the error and run the script again."
    advice = f"{todo} {FINISHED}"
    what, here = outcome.headline or _headline(words), shlex.quote(str(ticket.spec.script))
    return _story(task, system, ticket, what=what, advice=advice, words=words, node=outcome.node, here=here)


def of_death(task: luigi.Task, system: str, ticket: Ticket, verdict: Fail) -> str:
    """The job ended without an outcome that stands."""
    advice = f"{verdict.advice} {FINISHED}"
    return _story(task, system, ticket, what=verdict.what, advice=advice, words=without_notes(_log_tail(ticket.spec)))


def explained(ticket: Ticket, verdict: Fail) -> tuple[Fail, int]:
    """The verdict on a job without an outcome, in better words where its log shows more.

    And the peak of its largest process, in bytes; 0 if that is not known.
    """
    words = _log_tail(ticket.spec)
    if OLD_RUNNER in words:
        return replace(verdict, what=f"{verdict.what}: it ran with b2luigi 1.x", advice=ADVICE_OLD_RUNNER), 0
    return explain(ticket, verdict, words), largest_process(words)


def of_timeout(task: luigi.Task, system: str, ticket: Ticket, seconds: float) -> str:
    """luigi stopped the job."""
    what = f"it ran for longer than its worker_timeout of {seconds:g} s, and was stopped"
    return _story(
        task, system, ticket, what=what, advice=f"Give it more time. {FINISHED}", words=_log_tail(ticket.spec)
    )


def of_cancellation(task: luigi.Task, system: str, ticket: Ticket, what: str) -> str:
    """A person cancelled it, by a request to this run."""
    advice = f"To run it after all: b2luigi retry, or run the script again. {FINISHED}"
    return _story(task, system, ticket, what=what, advice=advice)


def of_requirements(task: luigi.Task, system: str, ticket: Ticket, node: str, problem: str) -> str:
    """The tasks that `run()` yielded cannot be created on the submit host."""
    what = "run() yielded tasks that cannot be created here"
    advice = "Tasks that run() yields must be importable here, take their parameters as text, and be seen by the nodes."
    return _story(task, system, ticket, what=what, advice=advice, words=problem, node=node)


def of_another_task(task: luigi.Task, system: str, ticket: Ticket, outcome: Outcome) -> str:
    """The job script was overwritten while the job waited."""
    what = f"its job ran another task, {outcome.task_id}"
    advice = "Each task needs a folder of its own: check get_task_file_dir, and hash functions of parameters."
    return _story(task, system, ticket, what=what, advice=advice, node=outcome.node)


def of_open_breaker(task: luigi.Task, reason: str, most: int) -> str:
    """Too many tasks of its kind have failed already."""
    return (
        f"Task {task} was not submitted: the first {most} jobs of {task.get_task_family()} all failed, "
        f"for the same reason: {reason}. Correct it and run the script again (setting failure_brake)."
    )


def is_of_memory(headline: str) -> bool:
    """Whether an exception says that there was no more memory: Python's own, numpy's, C++'s."""
    return re.match(r"\w*MemoryError\b", headline) is not None or "bad_alloc" in headline


def out_of_memory(outcome: Outcome) -> Fail:
    """Python itself noticed that there was no more memory."""
    return Fail(Cause.memory, outcome.headline, ADVICE[Cause.memory])


def aside(files: list[str]) -> str:
    """Where outputs are now that may be cut short."""
    return f"\n  outputs of this attempt, set aside: {', '.join(files)}" if files else ""


def _story(
    task: luigi.Task,
    system: str,
    ticket: Ticket,
    *,
    what: str,
    advice: str,
    words: str = "",
    node: str = "",
    here: str = "",
) -> str:
    failure = Failure(
        task=task,
        what=what,
        advice=advice,
        batch_system=system,
        job_id=ticket.job_id,
        node=node or (ticket.info.node if ticket.info else None),
        log_folder=ticket.logs if ticket.job_id else None,
        last_words=last_lines(words),
        here=here,
    )
    return render(failure)


def _log_tail(spec: JobSpec) -> str:
    of_pack = [spec.pack / "stderr"] if spec.pack is not None else []
    return tail([spec.log_folder / "stderr", *of_pack, spec.report])


def _headline(words: str) -> str:
    """The most informative line: the last line of a traceback, the first line of anything else."""
    lines = last_lines(words).splitlines() if "Traceback" in words else last_lines(words.strip()).splitlines()[:1]
    return lines[-1].strip() if lines else "no explanation"
