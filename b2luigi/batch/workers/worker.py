"""SendJobWorker: luigi's Worker, whose tasks run as jobs; and the factory through which luigi gets it."""

from __future__ import annotations

import contextlib
import logging
import random
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import luigi
import luigi.interface
import luigi.rpc
import luigi.worker

from b2luigi.batch.attempts.outcome import DONE, FAILED
from b2luigi.batch.interrupts import Interrupts, Terminated
from b2luigi.batch.messages.failure import headline
from b2luigi.batch.processes.base import BatchProcess
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.scheduling.indexed import IndexedScheduler
from b2luigi.batch.scheduling.remote_scheduler import PatientScheduler, worker_id
from b2luigi.batch.workers.assignment import (
    AssigningWorker,
    runs_nothing,
    task_file_folder,
)
from b2luigi.batch.workers.collection import graph_set_aside, only_young_garbage
from b2luigi.batch.workers.control import Control
from b2luigi.batch.workers.orders import Orders
from b2luigi.batch.workers.other_jobs import OtherJobs
from b2luigi.batch.workers.progress import Progress, Screen, quiet_keepalive
from b2luigi.batch.workers.results import Results
from b2luigi.batch.workers.retries import Retries
from b2luigi.batch.workers.totals import Totals
from b2luigi.core.ahead import LookAhead, each
from b2luigi.core.checks import GraphError
from b2luigi.core.paths import get_filename, get_task_file_dir
from b2luigi.core.settings import get_setting
from b2luigi.core.settings_file import SettingsCache

logger = logging.getLogger("luigi-interface.b2luigi")

AWAKE = 0.2
"""Seconds between two looks while luigi pauses."""
GLANCE_FIRST, GLANCE = 0.25, 1.0
"""Seconds to the first look while luigi hands out tasks, and between two: what is ready by then is submitted together.
The first ones come sooner, since batch systems are asked two questions before the first job."""
NAP = 0.02
"""Seconds between two looks while tasks wait for the disk."""


class SendJobWorker(AssigningWorker):
    """luigi's Worker with a job for each task that has something to run."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.results = Results(self._task_result_queue, self._look)
        self._task_result_queue: Any = self.results
        self.interrupts = Interrupts()
        self.failures: dict[str, str] = {}
        """By task id: the stories of the tasks that failed and were not done since."""
        self.progress = Progress()
        self._other_jobs = OtherJobs(self.journal)
        self._retries = Retries()
        self._control = Control(self, self._retries, self._other_jobs)
        self._orders = Orders(self._control)
        self._settings_cache = SettingsCache()
        self.look_ahead: Callable[[], LookAhead] = LookAhead
        """What makes answers about outputs come sooner where the file system is slow."""
        self.roots: Sequence[luigi.Task] = ()
        """The tasks that will be added before the loop runs, as far as that is known."""
        self._coming_roots: Iterator[luigi.Task] = iter(())
        self._opening = contextlib.ExitStack()
        self._in_run = self._add_failed = False
        self._left = 0
        self._glances = Backoff(time.monotonic, first=GLANCE_FIRST, most=GLANCE)

    def __enter__(self) -> SendJobWorker:
        self.interrupts.__enter__()
        self._settings_cache.__enter__()
        self.journal.listen()
        super().__enter__()
        self._opening.enter_context(only_young_garbage())
        self._coming_roots = self._opening.enter_context(self.look_ahead()).each_walk(self.roots)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as cleaning:
            cleaning.callback(self.interrupts.__exit__, kind, error, trace)
            cleaning.callback(self._settings_cache.__exit__)
            cleaning.enter_context(self.interrupts.ignored())
            cleaning.callback(self._close_journal, error)
            cleaning.enter_context(quiet_keepalive(self._keep_alive_thread))
            cleaning.callback(super().__exit__, kind, error, trace)
            cleaning.callback(self._opening.close)
            cleaning.callback(self._credentials.stop)
            self._stop_jobs(error)

    def run(self) -> Any:
        """luigi's loop."""
        self._opening.close()
        self._in_run = True
        self._glances.put_off()
        with graph_set_aside():
            return super().run() and not self._add_failed

    def add(self, task: luigi.Task, *args: Any, **kwargs: Any) -> bool:
        """Schedules a task. Once the loop runs, one that cannot be scheduled (a `yield` of it) ends nothing else."""
        if not self._in_run:
            next(self._coming_roots, None)
            return bool(super().add(task, *args, **kwargs))
        try:
            with self.look_ahead():
                return bool(super().add(task, *args, **kwargs))
        except Exception as error:
            if isinstance(error, luigi.rpc.RPCError):
                raise
            self._add_failed = True
            why = str(error) if isinstance(error, GraphError) else traceback.format_exc()
            self.failures[task.task_id] = f"Task {task} cannot be scheduled:\n{why}"
            return False

    def _add(self, task: luigi.Task, is_complete: bool) -> Iterator[luigi.Task]:
        """luigi's; outputs of a job that still runs do not count: they may be half written."""
        half = is_complete is True and self._may_be_half(task)
        yield from each(super()._add(task, False if half else is_complete), task.deps)

    def _may_be_half(self, task: luigi.Task) -> bool:
        """Whether a task that looks complete may not be: its job still runs, or one of those that it stands for."""
        if not runs_nothing(task):
            return self._has_open_attempt(task)
        if not isinstance(task, luigi.WrapperTask) or not self._shared.runs.others:  # nobody has left a job
            return False
        return any(self._may_be_half(required) for required in task.deps())

    def _has_open_attempt(self, task: luigi.Task) -> bool:
        try:
            attempt = self._shared.runs.unfinished(Path(get_task_file_dir(task)))
            return attempt is not None and attempt.token not in self._shared.judged
        except OSError:  # unreadable for now: it may be that of a job that lives
            return True
        except Exception:  # a parameter that cannot be part of a path: reported when the task is to run
            return False

    def _get_work(self) -> Any:
        """luigi's, which keeps every answer for its summary: what that needs are the tasks of other workers."""
        self._glance()
        while self._jobs.is_writing_enough:
            time.sleep(NAP)
            self._glance()
        response = super()._get_work()
        history = self._get_work_response_history
        if not history:  # it takes no more work (luigi's SIGUSR1), and has asked nobody
            return response
        others = [task for task in history[-1]["running_tasks"] if task["worker"] != self._id]
        history[-1] = {"task_id": None, "running_tasks": others}
        if not others or history[-2:-1] == history[-1:]:
            history.pop()
        return response

    def _glance(self) -> None:
        """luigi handles no result before it has handed out all tasks that are ready, which may take long."""
        if self._glances.is_due:
            self._look(more_to_come=True)
            self.results.gather()
            while len(self.results):
                self._handle_next_task()

    def _run_task(self, task_id: str) -> None:
        with self.interrupts.deferred():
            super()._run_task(task_id)
            process = self._running_tasks.get(task_id)
            if isinstance(process, ClusterProcess):
                self._jobs.register(process)
            else:
                self._other_jobs.begin(process)
        self.results.stir()

    def _report(self, *args: Any, **kwargs: Any) -> None:
        task_id, process = kwargs["task_id"], self._running_tasks.get(kwargs["task_id"])
        if kwargs["status"] == DONE:
            self.failures.pop(task_id, None)
        elif kwargs["status"] == FAILED and isinstance(process, BatchProcess):
            self.failures[task_id] = process.story or f"Task {process.task} failed: {kwargs.get('expl')}"
            if task_id not in self._control.cancelled:
                self._retries.failed(process.task)
            self._credentials.listen(self.failures[task_id])
        if isinstance(process, ClusterProcess):
            process.forward_report()
        self._other_jobs.end(process, kwargs["status"])
        self.journal.report(kwargs, self._scheduled_tasks.get(task_id))
        super()._report(*args, **kwargs)
        self._control.keep_cancelled(kwargs)
        task = self._scheduled_tasks.get(task_id)
        self.progress.note(task_id, str(kwargs.get("family") or getattr(task, "task_family", "")), kwargs["status"])
        if self._in_run:
            self.progress.look(self._running_tasks.values())
        else:
            self.progress.look_at_scheduling()

    def _keep_alive(self, get_work_response: Any) -> bool:
        """luigi's; as long as there are tasks to be tried again, nobody else will."""
        return self._retries.waiting or bool(super()._keep_alive(get_work_response))

    def _try_again(self) -> None:
        for task_id in self._retries.due():
            task = self._scheduled_tasks[task_id]
            logger.warning("Retrying %s.", task)
            for _ in super()._add(task, False):  # its requirements are known
                pass

    def _sleeper(self) -> Iterator[None]:
        """luigi's pause while nothing runs (keep_alive): cancelled jobs may still be on their way out."""
        while True:
            pause = self._config.wait_interval + random.uniform(0, self._config.wait_jitter)
            end = time.monotonic() + pause
            while (left := end - time.monotonic()) > 0:
                self._look()
                time.sleep(min(left, AWAKE))
            yield

    def _purge_children(self) -> None:
        # luigi asks each running process here, after each single result: needed only when nothing waits.
        if not len(self.results):
            super()._purge_children()

    def _look(self, more_to_come: bool = False) -> None:
        with self.interrupts.deferred():
            if self._jobs.look(more_to_come):
                self.results.stir()
            self._try_again()
            self._credentials.look()
            self._other_jobs.look()
            if self._in_run and self.has_jobs:
                self._orders.look(self._shared.runs.own)
        if isinstance(self._scheduler, PatientScheduler):  # a page to see it on; interrupts may end a wait for it
            self._jobs.forward_reports()
        self.progress.look(self._running_tasks.values())
        self._glances.put_off()

    # -- the end

    @property
    def has_jobs(self) -> bool:
        """Whether any task was to run as a job: before that, the run leaves no trace."""
        return "_shared" in self.__dict__

    def _stop_jobs(self, error: BaseException | None) -> None:
        processes = [process for process in self._running_tasks.values() if isinstance(process, BatchProcess)]
        jobs = [process for process in processes if isinstance(process, ClusterProcess)]
        leave = jobs and _leaves_jobs(error)
        left = self._jobs.leave(jobs) if leave else self._jobs.cancel(jobs, lambda: self.interrupts.interrupted_again)
        self._left = len(left)
        for process in processes:
            if process not in left:
                process.terminate()
        if self.has_jobs:
            self._orders.close(self._shared.runs.own)
            self._shared.runs.close(left=bool(left))

    def _close_journal(self, error: BaseException | None) -> None:
        totals = self.progress.totals(())
        self.journal.close(result=_result(error, totals), done=totals.done, failed=totals.failed, left=self._left)


class SendJobWorkerSchedulerFactory(luigi.interface._WorkerSchedulerFactory):
    """What `luigi.build` wants as `worker_scheduler_factory` to run tasks as jobs."""

    worker: SendJobWorker | None = None
    """The worker that was made last."""

    def __init__(self, fresh: bool = False) -> None:
        self.fresh = fresh
        self.roots: Sequence[luigi.Task] = ()
        """The tasks that the worker will be given, if somebody knows."""
        self.screen: Screen | None = None
        """Where a person sees how far the run is; None: in the log."""
        self.prepare: Callable[[], None] = _nothing
        """Called once luigi has set up its logging."""

    def create_local_scheduler(self) -> IndexedScheduler:
        """Called by luigi."""
        return IndexedScheduler(prune_on_get_work=True, record_task_history=False)

    def create_remote_scheduler(self, url: str) -> PatientScheduler:
        """Called by luigi."""
        return PatientScheduler(url)

    def create_worker(self, scheduler: Any, worker_processes: int, assistant: bool = False) -> SendJobWorker:
        """Called by luigi."""
        self.prepare()
        central = isinstance(scheduler, PatientScheduler)
        self.worker = SendJobWorker(
            scheduler=scheduler,
            worker_id=worker_id(task_file_folder(), get_filename()) if central else None,
            worker_processes=worker_processes,
            assistant=assistant,
        )
        self.worker.fresh, self.worker.roots = self.fresh, self.roots
        self.worker.progress.screen = self.screen or self.worker.progress.screen
        return self.worker


def _result(error: BaseException | None, totals: Totals) -> str:
    """How a run ended, in one or two words."""
    match error:
        case None if totals.failed:
            return "failed"
        case None:
            return "done" if totals.tasks == totals.done else "incomplete"
        case KeyboardInterrupt():
            return "interrupted"
        case Terminated():
            return "hung up" if error.is_hangup else "terminated"
        case _:
            return f"broke down: {headline(error)}"


def _leaves_jobs(error: BaseException | None) -> bool:
    """Whether the jobs stay: the user wants it so, the terminal hung up, or luigi itself broke down."""
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, Terminated) and not error.is_hangup):
        return bool(get_setting("leave_jobs_on_exit"))
    return error is not None


def _nothing() -> None:
    """There is nothing to do."""
