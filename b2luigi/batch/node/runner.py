"""The node: rebuilds the task, runs it through luigi's own `TaskProcess` and writes the outcome."""

from __future__ import annotations

import atexit
import contextlib
import logging
import multiprocessing
import os
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import luigi
import luigi.worker
from luigi.task import flatten
from luigi.worker import ContextManagedTaskProcess

from b2luigi.batch.attempts.fresh_look import look_at_folders_of
from b2luigi.batch.attempts.outcome import DONE, FAILED, INTERRUPTED, PENDING, Outcome, plain
from b2luigi.batch.messages.failure import headline
from b2luigi.batch.node.given_job import GivenJob
from b2luigi.batch.node.outputs import checked, failed, headline_of_missing
from b2luigi.batch.node.reports import NodeReporter, report_path
from b2luigi.batch.node.streams import prepare_streams
from b2luigi.batch.node.usage import PeakNotes, measured
from b2luigi.core.description import import_module_of, rebuild
from b2luigi.core.files import write_atomically
from b2luigi.core.graph import find_task, missing_requirements, similar_task_ids
from b2luigi.core.job_script import (
    BEGUN_VARIABLE,
    DONE_UNRECORDED,
    OUTCOME_VARIABLE,
    PACK,
    PACK_VARIABLE,
    SCRIPT_VARIABLE,
    UNRECORDED,
)
from b2luigi.core.patience import patiently
from b2luigi.core.settings_file import SettingsCache
from b2luigi.core.version import VERSION, on_this_node

logger = logging.getLogger("luigi-interface.b2luigi")

EXIT_CODES = {DONE: 0, PENDING: 0, FAILED: 1, INTERRUPTED: 130}
SHORTEST_END = 5.0
"""Seconds that Python may take to end, at least."""
IF_UNRECORDED = {DONE: DONE_UNRECORDED, PENDING: UNRECORDED}
"""Exit codes where the outcome could not be written, if they are others than else."""


def leave_it_to_python(code: int, grace: float) -> None:
    """The process ends when Python wants to."""


def end_in_time(code: int, grace: float) -> None:
    """Ends this process with `code` if Python has not ended it after `grace` seconds, as a thread may prevent.

    The submit host cancels such jobs, but does not see that the work is done where no folder is shared.
    """
    timer = threading.Timer(max(grace, SHORTEST_END), _end_now, (code, grace))
    timer.daemon = True
    with contextlib.suppress(RuntimeError):  # no room for a thread
        timer.start()


def _end_now(code: int, grace: float) -> None:
    logger.warning(
        "b2luigi: the task has ended, but Python did not exit within %g s: a thread or exit handler hangs.", grace
    )
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def run_one(
    tasks: Sequence[luigi.Task],
    task_id: str,
    call: int = 1,
    ending: Callable[[int, float], None] = leave_it_to_python,
) -> int | None:
    """Runs the task with this id in this process and returns the exit code: 0 for success.

    `tasks`: those passed to `process`, or none without a script; the task is searched for in their graph if the job
    script does not describe it completely. `call`: number of this call of `process`. Does nothing and returns None if
    the job script expects a later call. Called from a job script with a token, it writes the outcome to the file that
    the job script names, and calls `ending` with the exit code and the seconds that the process may take to end.
    """
    atexit.unregister(_report_missing_call)
    job = GivenJob(os.environ.get(SCRIPT_VARIABLE, ""), task_id)
    if call < job.call:
        atexit.register(_report_missing_call, job.call, task_id)
        return None
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    # Removed from the environment: a script that the task itself starts is a separate run.
    names = (SCRIPT_VARIABLE, OUTCOME_VARIABLE, BEGUN_VARIABLE)
    script, outcome_file, begun = (os.environ.pop(name, "") for name in names)
    if pack := os.environ.pop(PACK_VARIABLE, ""):
        from b2luigi.batch.node.children import end_with_pack  # few jobs need it

        end_with_pack(pack)
    if task_id == PACK:
        return _run_pack(tasks, job, Path(script), ending)
    prepare_streams()
    with _noted_beginning(begun), SettingsCache(valid_for=float("inf")):
        code = _run_and_write(tasks, job, Path(outcome_file) if outcome_file else None)
    if outcome_file:
        ending(code, job.grace)
    return code


def _run_pack(tasks: Sequence[luigi.Task], pack: GivenJob, script: Path, ending: Callable[[int, float], None]) -> int:
    """Runs the tasks of a pack, each in a process of its own. No thread of ours may run before the last one begins."""
    from b2luigi.batch.node.pack import run_pack  # few jobs need it

    def work(job: GivenJob, outcome_file: Path) -> int:
        code = _run_and_write(tasks, job, outcome_file, is_alone=False)
        if threading.active_count() > 1 or multiprocessing.active_children():  # nothing else is waited for
            ending(code, job.grace)
        return code

    prepare_streams()  # once for all copies of this process
    with SettingsCache(valid_for=float("inf")):
        code = run_pack(pack, script, work)
    ending(code, pack.grace)
    return code


@contextlib.contextmanager
def _noted_beginning(path: str) -> Iterator[None]:
    """While it is entered there is a file. Whoever ends the process with `exit(0)` meanwhile leaves the file behind."""
    begun = Path(path) if path else None
    with contextlib.suppress(OSError):  # a full disk is no reason not to begin
        if begun is not None:
            os.close(os.open(begun, os.O_WRONLY | os.O_CREAT, 0o666))
    with PeakNotes(begun) if begun is not None else contextlib.nullcontext():
        yield
    with contextlib.suppress(OSError):
        if begun is not None:
            begun.unlink(missing_ok=True)


def _run_and_write(tasks: Sequence[luigi.Task], job: GivenJob, outcome_file: Path | None, is_alone: bool = True) -> int:
    reporter = NodeReporter(report_path(outcome_file) if outcome_file else None)
    outcome = _run(tasks, job, reporter, outcome_file is not None)
    reporter.close()
    used = measured(is_alone)
    outcome = replace(outcome, task_id=job.task_id, node=platform.node(), reports=reporter.reports, usage=used)
    code = EXIT_CODES[outcome.status]
    if outcome_file is not None and not _write(outcome, outcome_file, lambda: job.grace):
        code = IF_UNRECORDED.get(outcome.status, code)
        _drop_unwritable_streams()
    return code


def _write(outcome: Outcome, path: Path, grace: Callable[[], float]) -> bool:
    try:
        patiently(lambda: write_atomically(path, outcome.to_json(), 0o600), grace)
    except OSError as error:
        logger.error("b2luigi: the task is %s, but its outcome cannot be written: %s", outcome.status, error)
        return False
    return True


def _drop_unwritable_streams() -> None:
    """Python ends with 120, whatever the exit code was to be, if it cannot write what is left of its output."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (OSError, ValueError, AttributeError):  # a full disk, closed, None
            setattr(sys, name, None)


def _run(tasks: Sequence[luigi.Task], job: GivenJob, reporter: NodeReporter, is_job: bool) -> Outcome:
    try:
        description = job.description
        task = _find(tasks, job.task_id, description)
    except Exception as error:
        logger.error("%s", error, exc_info=type(error) is not LookupError)  # a KeyError comes from the user's code
        return failed(f"{traceback.format_exc()}")
    worker = description.get("worker", {})
    if other := on_this_node(worker.get("b2luigi", VERSION)):
        logger.warning("b2luigi: %s.", other)
    vars(task)["job_attempt"] = worker.get("job_attempt", 1)
    if is_job and worker.get("check_unfulfilled_deps", True):
        is_met = _wait_for_inputs(task, float(worker.get("result_grace", 0.0)))
        worker = {**worker, "check_unfulfilled_deps": not is_met}  # luigi need not check all of them again
    return checked(task, _run_task(task, worker, reporter))


def _report_missing_call(call: int, task_id: str) -> None:
    logger.error(
        "b2luigi: the script ended on the node before its call number %d of process(), which runs %s. The script must "
        "make all calls there in the same order; on a node, earlier calls do nothing and return True.",
        *(call, task_id),
    )


def _find(tasks: Sequence[luigi.Task], task_id: str, description: Mapping[str, Any]) -> luigi.Task:
    task = _rebuilt(description) if description else None
    if task is None and description and not tasks:
        import_module_of(description)
    task = task if task is not None else find_task(tasks, task_id)
    if task is None:
        similar = similar_task_ids(tasks, task_id)
        raise LookupError(
            f"There is no task {task_id} in the task graph of this script. Similar ids: {', '.join(similar)}. "
            "If the task was in the graph when the job was submitted: requires() must return the same tasks every "
            "time, and if the script calls process() several times, the first call must lead to the task."
        )
    return task


def _rebuilt(description: Mapping[str, Any]) -> luigi.Task | None:
    try:
        return rebuild(description)
    except Exception:
        logger.warning("The task could not be rebuilt; searching for it in the task graph.", exc_info=True)
        return None


def _wait_for_inputs(task: luigi.Task, grace: float) -> bool:
    """Waits for inputs that exist on the submit host but are not yet visible on this node (shared file system).

    Returns whether all are complete; if not, luigi's process reports what is missing or what went wrong.
    """
    end, wait = time.monotonic() + grace, 0.25
    try:
        while missing := missing_requirements(task, lambda required: bool(required.complete())):
            if time.monotonic() >= end:
                return False
            logger.info("Waiting for %s", ", ".join(dependency.task_id for dependency in missing))
            look_at_folders_of(target for dependency in missing for target in flatten(dependency.output()))
            time.sleep(min(wait, max(0.0, end - time.monotonic())))
            wait = min(2 * wait, 5.0)
    except Exception:
        logger.exception("Could not check the requirements.")
        return False
    return True


def _run_task(task: luigi.Task, worker: Mapping[str, Any], reporter: NodeReporter) -> Outcome:
    results = _Results()
    process = _TaskProcess(
        worker.get("task_process_context"),
        task,
        f"on node {platform.node()}",
        results,
        reporter,
        check_unfulfilled_deps=worker.get("check_unfulfilled_deps", True),
        check_complete_on_run=worker.get("check_complete_on_run", False),
    )
    try:
        with _Interrupts() as interrupts:
            process.interrupts = interrupts
            process.run()
            may_have_come = interrupts.may_have_come
    except KeyboardInterrupt:
        logger.error("The task was interrupted.")
        return Outcome(INTERRUPTED)
    except Exception:  # the context of the task process is the user's code, too
        logger.exception("The task process failed.")
        return failed(traceback.format_exc())
    _, status, explanation, missing, new_requirements = results[-1]
    if status is None:  # interrupted, and the context of the task process suppressed the exception
        return Outcome(INTERRUPTED) if may_have_come else failed("run() raised KeyboardInterrupt.")
    return Outcome(
        status=status,
        explanation=plain(explanation),
        missing=tuple(missing),
        new_requirements=tuple(new_requirements or ()),
        traceback=process.traceback,
        headline=(headline_of_missing(task, missing) if status == FAILED and missing else "") or process.headline,
    )


class _Interrupts:
    """Notes whether SIGINT came while it is entered; Python's own handler alone would only raise KeyboardInterrupt."""

    def __init__(self) -> None:
        self._former: Any = None
        self._came = False

    def __enter__(self) -> _Interrupts:
        self._former = signal.getsignal(signal.SIGINT)
        if callable(self._former) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, self._former)

    @property
    def may_have_come(self) -> bool:
        """False only if that is sure: another handler, which the task installed, does not say."""
        never = self._former in (signal.SIG_IGN, signal.SIG_DFL) and signal.getsignal(signal.SIGINT) == self._former
        return self._came or not (never or self._is_ours)

    @property
    def _is_ours(self) -> bool:
        return signal.getsignal(signal.SIGINT) == self._note

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        self._former(number, frame)


class _TaskProcess(ContextManagedTaskProcess):
    """luigi's process of a task; keeps the traceback, which the task's own `on_failure` may drop."""

    traceback = headline = ""
    interrupts: _Interrupts

    def run(self) -> None:
        """A KeyboardInterrupt that the task raised itself is an exception like any other: nobody stopped the job."""
        try:
            super().run()
        except KeyboardInterrupt as error:
            if self.interrupts.may_have_come:
                raise
            explanation = self._handle_run_exception(error)
            self.result_queue.put((self.task.task_id, FAILED, explanation, [], []))

    def _handle_run_exception(self, ex: BaseException) -> Any:
        self.traceback, self.headline = _format(ex), headline(ex)
        return super()._handle_run_exception(ex)


def _format(error: BaseException) -> str:
    """The traceback without luigi's own frames, which are the same for every task."""
    formatted = traceback.TracebackException.from_exception(error)
    frames = [frame for frame in formatted.stack if frame.filename != luigi.worker.__file__]
    formatted.stack = traceback.StackSummary.from_list(frames)
    return "".join(formatted.format())


class _Results(list[Any]):
    """Replaces the queue into which luigi's process puts its result."""

    put = list.append
