"""Which process for which task: none of its own, one of luigi's, or a job of the batch system its settings name."""

from __future__ import annotations

import functools
import logging
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import luigi
import luigi.worker
from luigi.worker import TaskStatusReporter

from b2luigi.batch import systems
from b2luigi.batch.attempts.outcome import FAILED
from b2luigi.batch.attempts.runs import Runs
from b2luigi.batch.interrupts import Interrupts
from b2luigi.batch.node.forkable import NOT_FORKABLE, unforkable
from b2luigi.batch.packs.earlier import seconds_of_earlier_runs
from b2luigi.batch.packs.queue import PackingQueue
from b2luigi.batch.processes.base import BatchProcess, check_timeout
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.processes.failed_setup import UnusableProcess
from b2luigi.batch.processes.run import Run
from b2luigi.batch.processes.sharing import check_sharing, most_tasks_per_job
from b2luigi.batch.queue import command
from b2luigi.batch.queue.credentials import Credentials, kinds
from b2luigi.batch.queue.detection import Detected, detect
from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.local import LocalQueue
from b2luigi.batch.queue.processors import check_slots
from b2luigi.batch.queue.ticket import Queue
from b2luigi.batch.scheduling.indexed import IndexedScheduler
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.workers.jobs import Jobs
from b2luigi.batch.workers.names import batch_system_of
from b2luigi.batch.workers.results import Results
from b2luigi.core.bad_input import BadCallError, BadInputError
from b2luigi.core.checking_worker import CheckingWorker
from b2luigi.core.checks import runs_itself
from b2luigi.core.executable import check_job_script
from b2luigi.core.graph import missing_requirements
from b2luigi.core.paths import map_folder
from b2luigi.core.script import base_folder, is_session, script_name
from b2luigi.core.setting_checks import SettingChecks
from b2luigi.core.settings import (
    changed_settings,
    get_merged_setting,
    get_seconds,
    get_setting,
    settings_of_class,
    source_of,
)
from b2luigi.monitor.journal.writer import Journal

logger = logging.getLogger("luigi-interface.b2luigi")

FOR_NODE = ("check_unfulfilled_deps", "check_complete_on_run", "task_process_context")
"""Values of luigi's section [worker] that the process of a task looks at: on the node, that is."""


class AssigningWorker(CheckingWorker):
    """luigi's Worker, which makes for each task the process that fits it."""

    results: Results
    """Where processes leave their results."""
    interrupts: Interrupts
    """Ctrl-C and its kin, during the run."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._jobs = Jobs()
        self._unforkable = [] if is_session() else list(unforkable())  # before any thread of luigi's begins
        self.journal = Journal(
            *(task_file_folder, script_name, lambda: int(get_setting("keep_runs"))),
            settings=changed_settings,
            settings_of=settings_of_class,
        )
        self.fresh = False
        self._credentials = Credentials(kinds())
        self._setting_checks = SettingChecks(
            self._transfers_files, self._runs_here, self._refuse_setting, logger.warning, self._check_job
        )

    def detect_batch_system(self, task: luigi.Task) -> str:
        """Name of the batch system of a task: its setting, and for "auto" the one this machine submits to."""
        name = batch_system_of(task)
        return self._detected.name if name == "auto" else name

    @functools.cached_property
    def _detected(self) -> Detected:
        with self.interrupts.heard():
            return detect(systems.installed(), get_seconds("command_timeout"))

    def _check_settings(self, task: luigi.Task) -> None:
        if runs_itself(task):
            self._setting_checks.look(task)
            self._look_for_former_job(task)

    def _look_for_former_job(self, task: luigi.Task) -> None:
        """A second job must not begin beside one that has its files where development versions of 2.0 had them."""
        try:
            folder = self._checks.former.of_job(task)
        except Exception:  # a parameter that cannot be part of a path: reported when the task is to run
            return
        if folder and os.path.isdir(folder) and self._may_be_at_work(Path(folder)):
            self._checks.note(("former job", type(task)), _of_former_job(task, folder))

    def _may_be_at_work(self, folder: Path) -> bool:
        try:
            return self._shared.runs.unfinished(folder) is not None
        except OSError:  # unreadable for now
            return True

    def _check_job(self, task: luigi.Task) -> None:
        """Raises BadInputError for settings that its batch system would refuse, without asking it."""
        name = str(get_setting("batch_system", task=task))
        if name not in self._jobs.queues:
            check_batch_system(task)
        if name == "custom":
            _process_class(task, name)
        _check_numbers(task)
        if most_tasks_per_job(task) != 1:
            self._check_sharing(task)
        language = self._language(task)
        carries = language is not None and language.carries_files
        check_job_script(task, carried=carries and bool(get_setting("transfer_files", task=task)))
        if language is not None:
            check_options(task, language)

    def _check_sharing(self, task: luigi.Task) -> None:
        name = self.detect_batch_system(task)
        if name == "custom" or systems.process_of(name) is not None:
            self._setting_checks.warn_once(
                f"tasks_per_job has no effect for {task.get_task_family()}: its batch_system is {name!r}, with a "
                "process_class of its own, and so each task has a job."
            )
            return
        check_sharing(task)
        for what in self._unforkable if get_setting("pack_mode", task=task) == "fork" else ():
            self._setting_checks.warn_once(NOT_FORKABLE[0].upper() + NOT_FORKABLE[1:] % what)

    def _language(self, task: luigi.Task) -> BatchSystem | None:
        name = self.detect_batch_system(task)
        is_other = name in systems.OWN_WAYS or name in self._jobs.queues or systems.process_of(name) is not None
        return None if is_other else systems.load(name)

    def _refuse_setting(self, text: str) -> None:
        self._checks.note(text, text)

    def _transfers_files(self, task: luigi.Task) -> bool:
        name = self.detect_batch_system(task)
        is_language = name not in systems.OWN_WAYS and systems.process_of(name) is None
        return is_language and systems.load(name).carries_files

    def _runs_here(self, task: luigi.Task) -> bool:
        return self.detect_batch_system(task) == "local"

    def _create_task_process(self, task: luigi.Task) -> Any:
        try:
            if runs_nothing(task):
                return self._in_place(task)
            return self._beside(task) if is_beside(task) else self._batch_process(task)
        except Exception as error:
            return UnusableProcess(task, self.results, error)

    def _in_place(self, task: luigi.Task) -> Any:
        process = super()._create_task_process(task)
        process.use_multiprocessing = False
        process.run = functools.partial(self._run_in_place, process, process.run)
        return process

    def _run_in_place(self, process: luigi.worker.TaskProcess, run: Callable[[], None]) -> None:
        task = process.task
        try:
            if process.check_unfulfilled_deps and _has_all_it_requires(process):
                process.check_unfulfilled_deps = False
            run()
        except Exception:  # its on_failure, or the context of task processes
            logger.exception("%s failed.", task)
            self.results.put((task.task_id, FAILED, traceback.format_exc(), [], []))

    def _beside(self, task: luigi.Task) -> Any:
        process = super()._create_task_process(task)
        process.use_multiprocessing = True
        process.result_queue = self.results.real
        return process

    def _batch_process(self, task: luigi.Task) -> BatchProcess:
        name = self.detect_batch_system(task)
        cls = _process_class(task, name)
        process = cls(task, self._scheduler, self.results, self._config.timeout)
        process.status_reporter = TaskStatusReporter(self._scheduler, task.task_id, self._id, None)
        if isinstance(process, ClusterProcess):
            shared = self._shared  # first: without an inbox there must be no queue either
            process.connect(self._queue(_name_for(process, name)), shared)
        return process

    def _queue(self, name: str) -> Queue:
        queues = self._jobs.queues
        if name not in queues:
            queue = self._local_queue() if name == "local" else self._job_queue(name)
            earlier = functools.partial(seconds_of_earlier_runs, task_file_folder())
            queues[name] = PackingQueue(queue, earlier=earlier, coming=self._coming)
        return queues[name]

    def _coming(self, family: str) -> int:
        """How many tasks of a class luigi can hand out; unknown, and so none, if its scheduler is another process."""
        return self._scheduler.ready(family) if isinstance(self._scheduler, IndexedScheduler) else 0

    def _local_queue(self) -> Queue:
        folder, known = base_folder(), self._shared.runs.labels
        return LocalQueue(folder=folder, slots=get_setting("local_slots"), known=known)

    def _job_queue(self, name: str) -> Queue:
        start = self._credentials.heard(functools.partial(command.start, timeout=get_seconds("command_timeout")))
        detected = self.__dict__.get("_detected")
        runs = self._shared.runs
        return JobQueue(
            systems.load(name),
            start=start,
            poll_interval=get_seconds("poll_interval"),
            first_answer=detected.first_answer if detected is not None and detected.name == name else None,
            sync=runs.own.sync,
            known=runs.labels,
            may_pass=self._credentials.explain,
        )

    @functools.cached_property
    def _shared(self) -> Run:
        runs = Runs(task_file_folder())
        worker = {name: getattr(self._config, name) for name in FOR_NODE}
        return Run(runs, worker, self._queue, fresh=self.fresh, suspect=self._credentials.suspect, journal=self.journal)


def check_batch_system(task: luigi.Task) -> None:
    """Raises ValueError, listing the names there are, if the setting `batch_system` of a task is none of them."""
    name = batch_system_of(task)
    try:
        if name not in systems.OWN_WAYS and systems.process_of(name) is None:
            systems.load(name)
    except ValueError as error:
        raise BadInputError(f"{error} It is the value in: {source_of('batch_system', task)}.") from error


def _check_numbers(task: luigi.Task) -> None:
    """Raises BadInputError for numbers that cannot be meant."""
    for key in ("command_timeout", "poll_interval", "result_grace"):
        get_seconds(key, task=task)
    for key in ("job_retries", "failure_brake"):
        get_setting(key, task=task)
    check_slots(get_setting("local_slots"))
    check_timeout(task.worker_timeout)


def check_options(task: luigi.Task, language: BatchSystem) -> None:
    """Raises BadInputError for a setting that a batch system cannot take; what the task's own code raises passes."""
    try:
        language.options(functools.partial(_own_setting, task))
    except BadInputError:
        raise
    except ValueError as error:
        family = task.get_task_family()
        raise BadInputError(f"{family}: {error}", kind=str(error)) from error


def _own_setting(task: luigi.Task, key: str) -> Any:
    try:
        return get_merged_setting(key, task=task)
    except BadInputError:
        raise
    except ValueError as error:  # of a property
        raise LookupError(key) from error


def task_file_folder() -> Path:
    return Path(map_folder(get_setting("task_file_dir")))


def runs_nothing(task: luigi.Task) -> bool:
    """External tasks and tasks that only require others: judged in place, no job, no process."""
    run = getattr(task, "run", None)
    return run is None or run is NotImplemented or getattr(run, "__func__", None) is luigi.Task.run


def _has_all_it_requires(process: luigi.worker.TaskProcess) -> bool:
    """If not, or if that is unknown, luigi's process checks one by one and reports."""
    if process.task.run in (None, NotImplemented):
        return False
    try:
        return not missing_requirements(process.task, process.check_complete)
    except Exception:
        return False


def is_beside(task: luigi.Task) -> bool:
    """Wrapper tasks with code of their own: no job, a process of luigi."""
    return isinstance(task, luigi.WrapperTask) and not runs_nothing(task)


def _of_former_job(task: luigi.Task, folder: str) -> str:
    return (
        f"A job for {task} that a development version of b2luigi submitted may still be running; its files are in "
        f"{folder}. Let that version finish it, or cancel it in its batch system and remove the folder."
    )


def _process_class(task: luigi.Task, name: str) -> type[BatchProcess]:
    if name == "custom":
        return _with_hooks(get_setting("process_class", task=task), "process_class")
    cls = systems.process_of(name)
    return ClusterProcess if cls is None else _with_hooks(cls, f"batch_system {name!r}")


def _with_hooks(cls: Any, setting: str) -> type[BatchProcess]:
    if cls is None:
        raise BadCallError('batch_system is "custom", but process_class names no subclass of BatchProcess.')
    if not (isinstance(cls, type) and issubclass(cls, BatchProcess)):
        raise BadInputError(f"{setting} must be a subclass of BatchProcess, not {cls!r}.")
    return cls


def _name_for(process: ClusterProcess, setting: str) -> str:
    if process.batch_system is None and setting == "custom":
        raise ValueError(f"{type(process).__name__} is bound to no batch system; give its class a batch_system.")
    return process.batch_system or setting
