"""What a batch system says of one job, asked now."""

from __future__ import annotations

from collections.abc import Iterator

from b2luigi.batch import systems
from b2luigi.batch.queue.command import run
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Answer, AnswerError, Command, JobStatus
from b2luigi.monitor import Attempt

PATIENCE = 20.0
"""Seconds that a person waits for an answer."""
LINES = 30
"""Lines of an analysis that are shown."""


def asked(attempt: Attempt) -> list[str]:
    """The state of a job in the words of its batch system, and why it does not start, if that can be asked for.

    Empty for jobs of this machine. If the batch system does not answer, that is what the lines say.
    """
    if attempt.batch_system == "local" or attempt.job_id is None:
        return []
    try:
        system = _that_reaches(attempt.server, systems.load(attempt.batch_system))
    except Exception as error:
        return [f"cannot be asked: {error}"]
    return list(_answers(system, attempt.job_id))


def _that_reaches(server: str, system: BatchSystem) -> BatchSystem:
    """The language for a batch server. Slurm names one of its clusters only with accounting, so that the one of this
    machine is better not named."""
    if not server or _server_here(system) in ("", server):
        return system
    return system.at(server) or system


def _server_here(system: BatchSystem) -> str:
    """Which server all commands reach; empty if there is but one, or that cannot be known."""
    answers: list[Answer] = []
    try:
        while (command := system.ask_server(answers)) is not None:
            answers.append(run(command, PATIENCE))
        return system.parse_server(answers) if answers else ""
    except AnswerError:
        return ""


def _answers(system: BatchSystem, job_id: str) -> Iterator[str]:
    answer = run(system.query([job_id]), PATIENCE)
    try:
        known = system.parse_query(answer) if answer.is_complete else {}
    except Exception:
        known = {}
    info = known.get(job_id)
    if info is None:
        yield (
            f"it has no job {job_id}, or does not say: {_first(answer.words)}"
            if not known
            else f"it has no job {job_id}"
        )
        return
    yield info.native
    if info.notice and info.notice != info.native:
        yield info.notice
    if info.status is JobStatus.idle:
        yield from _analysis(system, job_id)


def _analysis(system: BatchSystem, job_id: str) -> Iterator[str]:
    try:
        command: Command | None = system.analyse(job_id)
        if command is None:
            return
        answer = run(command, PATIENCE)
        why, words = (
            (system.parse_analysis(answer), system.words_of_analysis(answer)) if answer.is_complete else ("", ())
        )
    except Exception:
        return
    yield from [*([why] if why else []), *[line for line in words if line not in why][:LINES]]


def _first(text: str) -> str:
    return text.strip().partition("\n")[0]
