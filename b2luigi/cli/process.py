"""process(): the entry point of a user's script."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import sys
import time
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload

import luigi

from b2luigi.cli.arguments import parse_arguments
from b2luigi.cli.collect import collect
from b2luigi.cli.exit_on_interrupt import STOPPED, ExitOnInterrupt
from b2luigi.core.bad_input import BadCallError, BadInputError
from b2luigi.core.checks import GraphError, tasks_of
from b2luigi.core.job_script import SCRIPT_VARIABLE
from b2luigi.core.process_call import ProcessCall, running, running_call
from b2luigi.core.script import is_session, refuse_foreign_program
from b2luigi.core.settings import get_setting
from b2luigi.core.settings_file import SettingsCache

if TYPE_CHECKING:
    from luigi.execution_summary import LuigiRunResult

WORKERS = 1000
"""Maximum number of jobs in flight, with batch, unless the user passes `workers`."""
LOG_LEVELS = ("NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_call_numbers = itertools.count(1)
"""Numbers the calls of `process` in this script: a node must run the task in the same call."""


@overload
def process(
    task_like_elements: luigi.Task | Iterable[luigi.Task], *, detailed_summary: Literal[True], **kwargs: Any
) -> LuigiRunResult: ...
@overload
def process(
    task_like_elements: luigi.Task | Iterable[luigi.Task],
    show_output: bool = False,
    dry_run: bool = False,
    test: bool = False,
    batch: bool = False,
    batch_runner: bool = False,
    progress_tui: bool = False,
    remove: Iterable[str] = (),
    remove_only: Iterable[str] = (),
    auto_confirm: bool = False,
    keep_tasks: Iterable[str] | None = None,
    ignore_additional_command_line_args: bool = False,
    **kwargs: Any,
) -> bool: ...
def process(
    task_like_elements: luigi.Task | Iterable[luigi.Task],
    show_output: bool = False,
    dry_run: bool = False,
    test: bool = False,
    batch: bool = False,
    batch_runner: bool = False,
    progress_tui: bool = False,
    remove: Iterable[str] = (),
    remove_only: Iterable[str] = (),
    auto_confirm: bool = False,
    keep_tasks: Iterable[str] | None = None,
    ignore_additional_command_line_args: bool = False,
    **kwargs: Any,
) -> Any:
    """Runs tasks and everything they require, or what the script's command line requests instead.

    Task classes are given by their names. Of the flags in parentheses, each does the same as the argument.

    `task_like_elements`: one or more tasks.
    `show_output`: list the outputs of all tasks and whether they exist, then exit (`--show-output`).
    `dry_run`: list the tasks that would run, then exit (`--dry-run`).
    `test`: run everything in this process, with all messages on the console (`--test`).
    `batch`: each task runs as a job of the batch system in its setting `batch_system`; on a machine without one, as a
    job on this machine (`--batch`).
    `batch_runner`: run one task in this process, the one of `--task-id` or else the first, and none that it requires.
    `progress_tui`: the same as `--progress live`, for scripts of b2luigi 1.3.0 (`--tui`).
    `remove`: remove the outputs of these classes and of all tasks that depend on them, then exit (`--remove`).
    `remove_only`: remove the outputs of these classes only, then exit (`--remove-only`).
    `auto_confirm`: remove without asking (`--yes`).
    `keep_tasks`: with `remove`, keep the outputs of these classes (`--keep`).
    `ignore_additional_command_line_args`: ignore flags that are not b2luigi's, for scripts with their own parser.
    `kwargs`: passed to `luigi.build`, such as `workers` (with batch: jobs in flight; default: the setting), `log_level`
    (default "INFO", which with batch logs a line on the progress now and then), `scheduler_host`, `detailed_summary`.

    Returns the result of `luigi.build`: whether all went well, or its summary with `detailed_summary=True`. Exits if
    the section [retcode] of luigi's configuration sets a code for this result. Ctrl-C cancels all jobs, prints one
    sentence and exits with 130; with batch, SIGTERM exits with 143. Listing tasks to run and removing outputs also
    exit. When a job script on a node calls it, it runs one task and exits; if the script calls it several times, the
    calls before the one with the task do nothing there and return success.
    What cannot work (a circular requirement, two tasks that write the same file, a setting of the wrong type, arguments
    that are unknown or do not fit together, ...) ends the script with 1 and the reason, before the first task starts.

    In a notebook or an interactive session, nothing exits: `process` returns False where it would end the script with
    an exit code, Ctrl-C raises KeyboardInterrupt, and what cannot work raises BadInputError, a ValueError. With batch,
    nodes import the modules of the tasks there, and with `python -c`.
    """
    with _refusal_in_words(), ExitOnInterrupt() as interrupt:
        number = next(_call_numbers)
        tasks = tasks_of(task_like_elements)
        if collect(tasks):
            return True
        implied = {"--remove": remove or remove_only, "--batch-runner": batch_runner}
        flags = parse_arguments(
            ignore_others=ignore_additional_command_line_args, implied=[name for name in implied if implied[name]]
        )
        flags.tui = flags.tui or progress_tui
        kwargs = {**kwargs, **_central_scheduler(flags, is_refused=test or flags.test or dry_run or flags.dry_run)}
        if flags.batch_runner:
            interrupt.sentence = ""
            return _run_one(tasks, flags.task_id, number, kwargs)
        if batch_runner:
            return _run_here(tasks, flags.task_id, interrupt)
        _refuse_lost_arguments()
        if kwargs:
            _refuse_unknown(kwargs, interrupt)
        code, of_project = _exit_code(flags.failure_exit_code), running_call().of_project
        call = ProcessCall(number, test or flags.test, code, of_project)
        with running(call), SettingsCache():
            if show_output or flags.show_output:
                return _show_outputs(tasks, interrupt)
            if dry_run or flags.dry_run:
                return _dry_run(tasks, interrupt)
            if call.in_process:
                return _build(tasks, {**kwargs, "log_level": "DEBUG", "workers": 1}, interrupt)
            if flags.remove or remove or flags.remove_only or remove_only:
                return _remove(
                    *(tasks, flags.remove or remove, flags.remove_only or remove_only, flags.keep or keep_tasks),
                    confirmed=flags.yes or auto_confirm,
                    interrupt=interrupt,
                )
            if batch or flags.batch:
                return _run_batch(tasks, kwargs, flags, interrupt)
            return _build(tasks, kwargs, interrupt)


def _show_outputs(tasks: list[luigi.Task], interrupt: ExitOnInterrupt) -> bool:
    interrupt.sentence = STOPPED
    with interrupt.deferred():
        from b2luigi.cli.modes import show_outputs
    show_outputs(tasks)
    return True


def _dry_run(tasks: list[luigi.Task], interrupt: ExitOnInterrupt) -> bool:
    interrupt.sentence = STOPPED
    with interrupt.deferred():
        from b2luigi.cli.modes import dry_run
    dry_run(tasks)
    return _end(0)


def _refuse_lost_arguments() -> None:
    """On a node, a script that has removed the arguments of its job script would wait for itself, for ever."""
    script = os.environ.get(SCRIPT_VARIABLE)
    if script:
        raise RuntimeError(
            "sys.argv was changed before the call of process():\n"
            "the arguments --batch-runner and --task-id, with which a job script runs one task, are missing.\n"
            "Leave them in sys.argv; with ignore_additional_command_line_args=True, the script may have arguments of "
            f"its own.\nJob script: {script}"
        )


def _refuse_unknown(kwargs: Iterable[str], interrupt: ExitOnInterrupt) -> None:
    with interrupt.deferred():
        from b2luigi.cli.unknown import refuse_unknown
    refuse_unknown(kwargs, process)


def _run_one(tasks: list[luigi.Task], task_id: str | None, number: int, kwargs: dict[str, Any]) -> Any:
    if not task_id:
        raise BadCallError("--batch-runner needs --task-id, the id of the task to run.")
    from b2luigi.batch.node.runner import end_in_time, run_one

    code = run_one(tasks, task_id, number, end_in_time)
    if code is None:  # the task belongs to a later call, before which this one had succeeded
        status = luigi.LuigiStatusCode.SUCCESS
        done = types.SimpleNamespace(status=status, worker=None, scheduling_succeeded=True, summary_text="")
        return done if kwargs.get("detailed_summary") else True
    sys.exit(code)


def _run_here(tasks: list[luigi.Task], task_id: str | None, interrupt: ExitOnInterrupt) -> bool:
    """Runs one task. If it succeeds, the script continues, as with b2luigi 1.3.0."""
    interrupt.sentence = ""
    with interrupt.deferred():
        from b2luigi.batch.node.runner import run_one
    code = run_one(tasks, task_id or tasks[0].task_id) if tasks else 0
    if code:
        sys.exit(code)
    return True


def _remove(
    tasks: list[luigi.Task], names: Any, only: Any, keep: Any, confirmed: bool, interrupt: ExitOnInterrupt
) -> bool:
    interrupt.sentence = STOPPED
    with interrupt.deferred():
        from b2luigi.cli.removal import Choice, class_names, remove_outputs
    alone = not names
    choice = Choice(class_names(only if alone else names), class_names(keep), not alone, confirmed)
    return _end(remove_outputs(tasks, choice))


def _run_batch(tasks: list[luigi.Task], kwargs: dict[str, Any], flags: Any, interrupt: ExitOnInterrupt) -> Any:
    with interrupt.deferred():
        from b2luigi.batch.workers import SendJobWorkerSchedulerFactory, check_batch_system
        from b2luigi.monitor.display.choice import displayed
    factory = kwargs.get("worker_scheduler_factory") or SendJobWorkerSchedulerFactory()
    if not isinstance(factory, SendJobWorkerSchedulerFactory):
        raise BadInputError(
            "With batch, worker_scheduler_factory must be a b2luigi.batch.workers.SendJobWorkerSchedulerFactory or "
            f"omitted, but it is {factory!r}."
        )
    factory.fresh, factory.roots = factory.fresh or flags.fresh, tasks
    refuse_foreign_program()
    for task in tasks:
        check_batch_system(task)
    arguments = {"workers": WORKERS, **_workers(), **kwargs, "worker_scheduler_factory": factory}
    with displayed(flags.progress or ("live" if flags.tui else "auto"), terse="log_level" not in kwargs) as display:
        factory.screen, factory.prepare = display.screen, display.prepare
        return _build_and_summarize(tasks, arguments, interrupt, display.close)


def _build_and_summarize(
    tasks: list[luigi.Task], kwargs: dict[str, Any], interrupt: ExitOnInterrupt, give_back: Callable[[], None]
) -> Any:
    with interrupt.deferred():
        from b2luigi.monitor.display.closing import End, closing
    factory, begin, result, code = kwargs["worker_scheduler_factory"], time.monotonic(), None, 0
    try:
        result, code = _built(tasks, kwargs, interrupt)
    finally:
        give_back()
        worker, elapsed = factory.worker, time.monotonic() - begin
        if worker is not None:
            worker.journal.detach()
            totals, log = worker.progress.totals(()), worker.journal.log
            shown = None if is_session() else code
            end = End(totals, elapsed, worker.failures, log, shown, result is not None)
            if worker.is_started:
                print(closing(end), file=sys.stderr)
    return _returned(result, code, kwargs)


def _build(tasks: list[luigi.Task], kwargs: dict[str, Any], interrupt: ExitOnInterrupt) -> Any:
    """`luigi.build`; exits with a code if the result is to have one."""
    return _returned(*_built(tasks, kwargs, interrupt), kwargs)


def _returned(result: Any, code: int, kwargs: Mapping[str, Any]) -> Any:
    succeeded = not code or _end(code)
    return result if kwargs.get("detailed_summary") else succeeded and result.scheduling_succeeded


def _end(code: int) -> bool:
    """Exits with a code. A notebook or session goes on instead, and learns whether all went well."""
    if not is_session():
        sys.exit(code)
    return not code


def _built(tasks: list[luigi.Task], kwargs: dict[str, Any], interrupt: ExitOnInterrupt) -> tuple[Any, int]:
    """The detailed result of `luigi.build`, and the exit code it asks for."""
    with interrupt.deferred():
        from b2luigi.cli.interruptible_worker import DeferringFactory, InterruptibleFactory
        from b2luigi.cli.summary import exit_code, without_recursion
    _check_build_arguments(kwargs)
    central = any(kwargs.get(name) for name in ("scheduler_host", "scheduler_url", "scheduler_port"))
    factory = kwargs.get("worker_scheduler_factory") or InterruptibleFactory(interrupt)
    defaults = {"log_level": "INFO", "local_scheduler": not central, **_workers()}
    arguments = {**defaults, **kwargs, "worker_scheduler_factory": DeferringFactory(factory, interrupt)}
    with without_recursion():
        result = luigi.build(tasks, **{**arguments, "detailed_summary": True})
        return result, exit_code(result)


def _workers() -> dict[str, int]:
    """The setting, if it is set; luigi has one of its own, in its section [core]."""
    workers = get_setting("workers")
    return {} if workers is None else {"workers": workers}


def _check_build_arguments(kwargs: dict[str, Any]) -> None:
    """luigi would wait for nothing with 0 workers, and print a traceback for an unknown level."""
    workers, level = kwargs.get("workers", 1), kwargs.get("log_level", "INFO")
    if not str(workers).isdecimal() or int(workers) < 1:
        raise BadInputError(f"workers must be a positive integer, not {workers!r}.")
    if level not in LOG_LEVELS:
        raise BadInputError(f"log_level must be one of {', '.join(LOG_LEVELS)}, not {level!r}.")


@contextlib.contextmanager
def _refusal_in_words() -> Iterator[None]:
    """Ends the script with 1 and the reason, without a traceback, if something the user gave cannot work.

    Raises BadInputError with the reason in a notebook or session, which goes on.
    """
    try:
        yield
    except GraphError as error:
        _refuse(str(error) if error.is_late else f"Nothing was started. {error}")
    except BadInputError as error:
        _refuse(str(error))


def _refuse(reason: str) -> NoReturn:
    if is_session():
        raise BadInputError(reason) from None
    sys.exit(reason)


def _exit_code(given: str | None) -> int:
    if given is not None and not (given.isdecimal() and int(given) < 256):
        raise ValueError(f"--failure-exit-code must be a number from 0 to 255, not {given!r}.")
    return int(given or 0)


def _central_scheduler(flags: argparse.Namespace, is_refused: bool) -> dict[str, Any]:
    given = {"scheduler_host": flags.scheduler_host, "scheduler_port": flags.scheduler_port}
    if any(given.values()) and is_refused:
        raise BadCallError(
            "Dry runs and tests do not use a central scheduler: remove --scheduler-host and --scheduler-port."
        )
    if not (flags.scheduler_port or "0").isdecimal():
        raise BadInputError(f"--scheduler-port must be a number, not {flags.scheduler_port!r}.")
    return {name: int(value) if name == "scheduler_port" else value for name, value in given.items() if value}
