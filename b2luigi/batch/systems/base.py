"""The language of a batch system: creates commands and parses their answers. It runs no commands and has no state."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar

from b2luigi.batch.systems.model import Answer, AnswerError, Command, JobInfo, JobSpec, Requested, Submitted, Unsure

Setting = Callable[[str], Any]
"""Returns the value of a setting for one task; raises ValueError if it is not set and has no default."""


class BatchSystem(abc.ABC):
    """The language of one batch system. All methods are pure, and raise only the documented exceptions.

    A thread may call `parse_query` and `parse_history`, while the main thread calls other methods.

    A command that takes longer than the setting `command_timeout` is stopped. Its output until then does not count as
    an answer: only `parse_stopped_submit` gets it.

    A new system needs one subclass in one file, an entry point of the group `b2luigi.batch_systems`, and recorded
    answers for its tests.
    """

    name: ClassVar[str]
    """Value of the setting `batch_system`."""
    probe: ClassVar[str]
    """Program whose presence on PATH means that this machine submits to such a cluster."""
    bulk: ClassVar[int] = 1
    """Maximum number of jobs with equal options in one submission."""
    carries_files: ClassVar[bool] = False
    """True if the system can transfer files to the node and back (setting `transfer_files`)."""

    @abc.abstractmethod
    def options(self, setting: Setting) -> Mapping[str, Any]:
        """The validated settings of one task that matter to this system, as plain JSON values.

        Jobs with equal options may be submitted together.
        Raises ValueError, naming the setting, for an invalid value.
        """

    def requested(self, options: Mapping[str, Any]) -> Requested:
        """What a job with these options asks for; nothing where that is not known: the default of a queue holds."""
        return Requested()

    def labels(self, jobs: Sequence[JobSpec]) -> Sequence[str]:
        """The labels by which answers will identify these jobs, submitted together (`JobInfo.token`): their tokens.

        Systems whose arrays share one name or comment have other labels for the elements.
        """
        return [job.token for job in jobs]

    @abc.abstractmethod
    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        """The command that submits these jobs (at least one, at most `bulk`), which share their options."""

    @abc.abstractmethod
    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        """The result of the submission for each job, in the order of `jobs`."""

    def parse_stopped_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        """Like `parse_submit`, for a submission that took too long and was stopped.

        The batch system may have accepted the jobs, so they are `Unsure`. Override this method if the output can prove
        more: an id, or a message that the command itself retries while the batch system is full.
        """
        return [Unsure(answer.words)] * len(jobs)

    def notices(self, answer: Answer) -> Sequence[str]:
        """Other output of an accepted submission: warnings and messages of the site; each is shown once."""
        return [line for line in answer.stderr.splitlines() if line.strip()]

    @abc.abstractmethod
    def query(self, job_ids: Sequence[str]) -> Command:
        """One command that queries all these jobs."""

    @abc.abstractmethod
    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        """What the batch system knows, by job id; jobs that are not in the answer are not in the mapping.

        Raises AnswerError if the answer contains no information about any job.
        """

    @abc.abstractmethod
    def cancel(self, job_ids: Sequence[str]) -> Command:
        """One command that removes all these jobs, whatever their state."""

    @abc.abstractmethod
    def parse_cancel(self, answer: Answer) -> str:
        """Empty if no job remains to be cancelled ("already ended" and "not found" are fine), else the output."""

    @abc.abstractmethod
    def find(self, jobs: Sequence[JobSpec]) -> Command:
        """One command that searches for these jobs, whose ids are unknown, by name or token; read by `parse_query`."""

    def history(self, job_ids: Sequence[str]) -> Command | None:
        """One command that queries jobs that have left the queue, and why; None if there is no such command."""
        return None

    def parse_history(self, answer: Answer) -> Mapping[str, JobInfo]:
        """Like `parse_query`, for the answer to `history`. Raises AnswerError."""
        return self.parse_query(answer)

    def analyse(self, job_id: str) -> Command | None:
        """Asks why a job that waits does not start; None where there is no such command. Run once in ten minutes."""
        return None

    def parse_analysis(self, answer: Answer) -> str:
        """Why the job cannot start as things are, in one or two sentences; empty if it only has to wait."""
        return ""

    def words_of_analysis(self, answer: Answer) -> Sequence[str]:
        """The lines of such an answer for a person who asks about this job, also if it only has to wait."""
        return [line for line in answer.stdout.splitlines() if line.strip()]

    def cancel_labelled(self, labels: Mapping[str, str]) -> Command:
        """Like `cancel`, with the label of each job by its id. Override it if the system can compare them itself."""
        return self.cancel(list(labels))

    def ask_server(self, answers: Sequence[Answer]) -> Command | None:
        """The next command that finds out which batch server all others reach; `answers`: to those before it.

        A batch server has its own queue and its own job ids: a schedd, a cluster. None at once if there is only one.
        """
        return None

    def parse_server(self, answers: Sequence[Answer]) -> str:
        """Identifies that server for good, in words of which the first is its name; empty if it cannot be known.

        Raises AnswerError for answers that say nothing: then it is worth asking again.
        """
        return ""

    def at(self, server: str) -> BatchSystem | None:
        """The language for jobs of another server, as `parse_server` calls it; None if commands cannot reach it.

        If `aim` names several servers at once, that language is used for searches only, and calls a job `id;server`.
        """
        return None

    def aim(self, job: JobSpec) -> str:
        """The server to which the options of a job send it; empty for the one that all commands reach."""
        return ""

    def unconfigured(self, answer: Answer) -> str:
        """Why this machine belongs to no cluster, in one line; empty unless this answer to a query shows it.

        With `batch_system = "auto"`, programs that are installed and belong to no cluster are passed over. A cluster
        that does not answer must never look like that.
        """
        return ""

    def check(self, job: JobSpec) -> None:  # noqa: B027  (most systems have nothing to check)
        """Raises ValueError, naming file or folder, for a job that this system cannot run."""

    def kind(self, job: JobSpec) -> Hashable:
        """Only jobs of the same kind may be part of the same submission."""
        return json.dumps(job.options, sort_keys=True, default=repr), job.inputs, job.inbox


__all__ = ["AnswerError", "BatchSystem", "Setting"]
