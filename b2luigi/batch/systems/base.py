"""What a batch system is to b2luigi: a language. It makes commands and reads answers; it runs and keeps nothing."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar

from b2luigi.batch.systems.model import Answer, AnswerError, Command, JobInfo, JobSpec, Submitted, Unsure

Setting = Callable[[str], Any]
"""Gives the value of a setting for one task; ValueError when there is none and no default."""


class BatchSystem(abc.ABC):
    """The language of one batch system. All methods are pure, and raise only what their descriptions name.

    A command that takes longer than the setting `command_timeout` is stopped. What it printed until then is no answer:
    no method sees it except `parse_stopped_submit`.

    A new system is one subclass in one file, named by an entry point of the group `b2luigi.batch_systems`,
    and recorded answers for its tests.
    """

    name: ClassVar[str]
    """Value of the setting `batch_system`."""
    probe: ClassVar[str]
    """Program whose presence on PATH means that this machine submits to such a cluster."""
    bulk: ClassVar[int] = 1
    """How many jobs with equal options one submission may hold."""
    carries_files: ClassVar[bool] = False
    """True if the system can carry files to the node and back (setting `transfer_files`)."""

    @abc.abstractmethod
    def options(self, setting: Setting) -> Mapping[str, Any]:
        """The settings of one task that matter to this system, checked, as plain values that JSON can hold.

        Jobs whose options are equal may be submitted together.
        Raises ValueError, naming the setting, for a value that cannot work.
        """

    def labels(self, jobs: Sequence[JobSpec]) -> Sequence[str]:
        """What answers will call each of these jobs, submitted together (`JobInfo.token`): its token.

        Systems whose arrays share one name or comment have other labels for the elements.
        """
        return [job.token for job in jobs]

    @abc.abstractmethod
    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        """The command that submits these jobs (at least one, at most `bulk`), which share their options."""

    @abc.abstractmethod
    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        """What became of each job, in the order of `jobs`."""

    def parse_stopped_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        """Like `parse_submit`, for a submission that took too long and was stopped.

        The batch system may have accepted its jobs, so that they are `Unsure`. Override it if the output can prove
        more: an id, or a notice that the command retries by itself while the batch system is full.
        """
        return [Unsure(answer.words)] * len(jobs)

    def notices(self, answer: Answer) -> Sequence[str]:
        """What the answer to an accepted submission says besides: warnings, words of the site; shown once each."""
        return [line for line in answer.stderr.splitlines() if line.strip()]

    @abc.abstractmethod
    def query(self, job_ids: Sequence[str]) -> Command:
        """One command that queries all these jobs."""

    @abc.abstractmethod
    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        """What the batch system knows, by job id; a job that is not in the answer is not in the mapping.

        Raises AnswerError when the answer says nothing about any job.
        """

    @abc.abstractmethod
    def cancel(self, job_ids: Sequence[str]) -> Command:
        """One command that removes all these jobs, whatever their state."""

    @abc.abstractmethod
    def parse_cancel(self, answer: Answer) -> str:
        """Empty if no job is left to cancel ("already ended" and "not found" are fine), else the system's output."""

    @abc.abstractmethod
    def find(self, jobs: Sequence[JobSpec]) -> Command:
        """One command that searches for these jobs, whose ids are unknown, by name or token; read by `parse_query`."""

    def history(self, job_ids: Sequence[str]) -> Command | None:
        """One command that queries jobs that left the queue, and why; None where there is no such command."""
        return None

    def parse_history(self, answer: Answer) -> Mapping[str, JobInfo]:
        """Like `parse_query`, for the answer to `history`. Raises AnswerError."""
        return self.parse_query(answer)

    def check(self, job: JobSpec) -> None:  # noqa: B027  (most systems have nothing to check)
        """Raises ValueError, naming file or folder, for a job that this system cannot run as it is."""

    def kind(self, job: JobSpec) -> Hashable:
        """Jobs for which this is equal may go into one submission."""
        return json.dumps(job.options, sort_keys=True, default=repr), job.inputs, job.inbox


__all__ = ["AnswerError", "BatchSystem", "Setting"]
