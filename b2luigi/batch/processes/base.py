"""BatchProcess: the three hooks with which a user adds a batch system of their own."""

from __future__ import annotations

import abc
import logging
import traceback
from pathlib import Path
from typing import Any, Protocol

import luigi
from luigi.event import Event
from luigi.worker import TaskStatusReporter

from b2luigi.batch.attempts.outcome import DONE, FAILED
from b2luigi.batch.interrupts import Terminated
from b2luigi.batch.messages.failure import Failure, headline, last_lines, render, tail
from b2luigi.batch.systems.model import JobStatus
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.deadline import Deadline
from b2luigi.core.executable import create_cmd_from_task
from b2luigi.core.files import make_folder
from b2luigi.core.paths import get_log_file_dir

logger = logging.getLogger("luigi-interface.b2luigi")


class ResultQueue(Protocol):
    """Where luigi waits for results."""

    def put(self, obj: Any) -> None:
        """Takes `(task id, status, explanation, missing, new requirements)`."""


class BatchProcess(abc.ABC):
    """A task that runs as a job; luigi polls it in place of a process.

    To add a batch system, make a subclass with `start_job`, `get_job_status` and `kill_job` (or
    `terminate_job`), and name it in the setting `process_class` of a task with `batch_system = "custom"`.
    All three are called on the submit host. An exception in one of them fails this task and nothing else.

    `self.task` is the task, `self.task_cmd` the words of the command that runs it. Usually you submit the file
    that `b2luigi.core.executable.create_executable_wrapper(self.task)` returns, and send the output of the job to
    `stdout` and `stderr` in `b2luigi.core.utils.get_log_file_dir(self.task)`.

    `worker_timeout`: seconds after which luigi stops the job, counted from its start by `start_job`; 0 for never.
    The task's own `worker_timeout` wins.
    """

    use_multiprocessing = False
    story = ""
    """The report of its failure."""
    last_seen = JobStatus.idle
    """What the last look at its job has shown."""
    exitcode = 0
    """luigi looks here for the exit code of a process that died; what we know of a job is in its result."""

    def __init__(
        self, task: luigi.Task, scheduler: Any, result_queue: ResultQueue, worker_timeout: float | None
    ) -> None:
        self.task = task
        self.scheduler = scheduler
        self.result_queue = result_queue
        self.worker_timeout = check_timeout(task.worker_timeout if task.worker_timeout is not None else worker_timeout)
        self.timeout_time: Deadline | None = Deadline(self.worker_timeout) if self.worker_timeout else None
        self.status_reporter = TaskStatusReporter(scheduler, task.task_id, "", None)
        self._started = self._killed = self._done = False

    # -- the hooks

    @abc.abstractmethod
    def start_job(self) -> None:
        """Starts the job. Called once. When it returns, the job is taken as started or waiting.

        If it raises, there must be no job: nobody would stop it.
        """

    @abc.abstractmethod
    def get_job_status(self) -> JobStatus:
        """What the job is doing; called often, after `start_job` only, also when the job has ended.

        `successful` and `aborted` end the task as done and failed, `idle` and `running` go on.
        """

    def kill_job(self) -> None:
        """Stops the job. Called at most once, and only after `start_job`. Do not wait for the job to end."""
        raise NotImplementedError(f"{type(self).__name__} has neither kill_job nor terminate_job.")

    def terminate_job(self) -> None:
        """Another name of `kill_job`; define either."""
        self.kill_job()

    # -- what luigi calls

    @property
    def task_cmd(self) -> list[str]:
        """The words of the command that runs the task on the node."""
        return create_cmd_from_task(self.task)

    def run(self) -> None:
        """Starts the job; never raises."""
        try:
            self._started = True
            self._make_log_folder()
            self.start_job()
        except Terminated:
            raise
        except (Exception, SystemExit) as error:
            self._hook_failed("start_job", error)

    def _make_log_folder(self) -> None:
        make_folder(get_log_file_dir(self.task))

    def is_alive(self) -> bool:
        """Whether the job goes on; puts its result on luigi's queue when it ended. Never raises."""
        if self._started and not self._done:
            try:
                self._look()
            except Terminated:
                raise
            except (Exception, SystemExit) as error:
                self._hook_failed("get_job_status", error)
                self._kill_once()
        return self._started and not self._done

    def terminate(self) -> None:
        """Stops the job; never raises. A job that was not started, ended or was stopped before is left alone."""
        over, self._done = self._done, True
        if self._started and not over:
            self._kill_once()

    def cancel(self, by: str) -> str:
        """A person does not want the task any more. Returns why that cannot be; empty if it is over now."""
        if not self._done:
            self.fail(f"Task {self.task} failed: {cancelled_by(by)}")
            if self._started:
                self._kill_once()
        return ""

    def _kill_once(self) -> None:
        if self._killed:
            return
        self._killed = True
        try:
            self.terminate_job()
        except Terminated:
            raise
        except (Exception, SystemExit):
            logger.exception("Could not stop the job of %s; please cancel it yourself.", self.task.task_id)

    def finish(
        self, status: str, explanation: Any = "", missing: list[str] | None = None, new_requirements: Any = None
    ) -> None:
        """Puts the result of the task on luigi's queue, once."""
        if not self._done:
            self._done = True
            self.result_queue.put((self.task.task_id, status, explanation, missing or [], new_requirements or []))

    def _put_to_result_queue(self, status: str, explanation: Any) -> None:
        """The name `finish` had, for subclasses that call it."""
        self.finish(status, explanation)

    def fail(
        self, story: str, *, explanation: Any = None, missing: list[str] | None = None, died: bool = False
    ) -> None:
        """Ends the task as failed, and logs the story.

        `explanation`: for luigi's scheduler, if not the story.
        `died`: luigi's handlers of a process that died are called.
        """
        if self._done:
            return
        self.story = story
        logger.error("%s", story, extra={"failure": story})
        if died:
            self.task.trigger_event(Event.PROCESS_FAILURE, self.task, story)
        self.finish(FAILED, story if explanation is None else explanation, missing)

    def _look(self) -> None:
        status = self.get_job_status()
        if not isinstance(status, JobStatus):
            raise TypeError(f"get_job_status has to return a JobStatus, but it returned {status!r}.")
        self.last_seen = status
        if status is JobStatus.successful:
            self.finish(DONE)
        elif status is JobStatus.aborted:
            self.fail(self._aborted(), died=True)

    def _hook_failed(self, hook: str, error: BaseException) -> None:
        words = "".join(traceback.format_exception(error))
        advice = "Correct what the traceback shows, and run the script again."
        self.fail(self._story(f"{type(self).__name__}.{hook} failed: {headline(error)}", advice, words))

    def _aborted(self) -> str:
        advice = "Look into the log folder, correct the error and run the script again."
        folder = self._log_folder()
        return self._story("its job was aborted", advice, tail([folder / "stderr"]) if folder is not None else "")

    def _story(self, what: str, advice: str, words: str) -> str:
        failure = Failure(
            task=self.task,
            what=what,
            advice=advice,
            batch_system=type(self).__name__,
            log_folder=self._log_folder(),
            last_words=last_lines(words),
        )
        return render(failure)

    def _log_folder(self) -> Path | None:
        try:
            return Path(get_log_file_dir(self.task))
        except Exception:  # the user's own method, or a parameter that cannot be part of a path
            return None


def cancelled_by(whom: str) -> str:
    """Why a task failed that a person cancelled."""
    return f"cancelled by {whom}"


def check_timeout(value: Any) -> Any:
    """Returns a timeout in seconds. Raises BadInputError if it is no number, and not None."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0):
        return value
    raise BadInputError(f"worker_timeout must be a number of seconds, not {value!r}.")
