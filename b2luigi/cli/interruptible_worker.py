"""luigi's worker for runs without batch, which loses no Ctrl-C."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import luigi

from b2luigi.cli.exit_on_interrupt import ExitOnInterrupt
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.checking_worker import CheckingFactory, CheckingWorker
from b2luigi.core.executable import check_job_script
from b2luigi.core.process_call import DISPATCHED, running_call


class InterruptibleFactory(CheckingFactory):
    """What `luigi.build` wants as `worker_scheduler_factory`, for runs without batch."""

    def __init__(self, interrupt: ExitOnInterrupt) -> None:
        self._interrupt = interrupt

    def create_worker(self, scheduler: Any, worker_processes: int, assistant: bool = False) -> InterruptibleWorker:
        """Called by luigi."""
        worker = InterruptibleWorker(scheduler=scheduler, worker_processes=worker_processes, assistant=assistant)
        worker.interrupt = self._interrupt
        return worker


class DeferringFactory:
    """Another factory. Ctrl-C waits while it creates a worker: luigi drops it when it asks for the user's name."""

    def __init__(self, factory: Any, interrupt: ExitOnInterrupt) -> None:
        self._factory, self._interrupt = factory, interrupt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)

    def create_worker(self, *args: Any, **kwargs: Any) -> Any:
        """Called by luigi."""
        with self._interrupt.deferred():
            return self._factory.create_worker(*args, **kwargs)


class InterruptibleWorker(CheckingWorker):
    """The worker of a run without batch. It asks whether there was a Ctrl-C: luigi and Python may drop it."""

    interrupt: ExitOnInterrupt

    def add(self, *args: Any, **kwargs: Any) -> Any:
        """Schedules a task and all that it requires."""
        self.interrupt.check()
        return super().add(*args, **kwargs)

    def _get_work(self) -> Any:
        self.interrupt.check()
        return super()._get_work()

    def _create_task_process(self, task: luigi.Task) -> Any:
        process = super()._create_task_process(task)
        process.start = functools.partial(self._fork, process.start)
        return process

    def _check_settings(self, task: luigi.Task) -> None:
        """What is dispatched runs through a job script."""
        if not getattr(task.run, DISPATCHED, False) or running_call().in_process:
            return
        try:
            check_job_script(task)
        except BadInputError as error:
            self._checks.note_bad_input(error)
        except Exception:  # of the user's own code: a property may need a file that is still to be made
            return

    def _fork(self, start: Callable[[], None]) -> None:
        with self.interrupt.deferred():
            start()
