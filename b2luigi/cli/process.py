"""process(): the entry point of a user's script."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import sys
import types
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload

import luigi

from b2luigi.cli.arguments import parse_arguments
from b2luigi.cli.exit_on_interrupt import STOPPED, ExitOnInterrupt
from b2luigi.core.bad_input import BadCallError, BadInputError
from b2luigi.core.checks import GraphError, tasks_of
from b2luigi.core.job_script import SCRIPT_VARIABLE
from b2luigi.core.process_call import ProcessCall, running
from b2luigi.core.script import refuse_foreign_program
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

    `task_like_elements`: one or more tasks. `batch` (or the flag `--batch`): each task runs as a job of the batch
    system in its setting `batch_system`; on a machine without one, as a job on this machine.
    `show_output`, `dry_run`, `test`, `remove`, `remove_only`: like the flags of these names; `auto_confirm` is `--yes`
    and `keep_tasks` is `--keep`. Task classes are given by their names.
    `batch_runner`: run one task in this process, the one of `--task-id` or else the first, and none that it requires.
    `progress_tui` (`--tui`) is accepted as in b2luigi 1.3.0; the progress is logged, with and without it.
    `ignore_additional_command_line_args`: ignore flags that are not b2luigi's, for scripts with their own parser.
    `kwargs` are passed to `luigi.build`: `workers` (with batch: jobs in flight; default: the setting), `log_level`
    (default "INFO", which with batch logs a line on the progress now and then), `scheduler_host`, `detailed_summary`,
    ...

    Returns the result of `luigi.build`: whether all went well, or its summary with `detailed_summary=True`. Exits if
    the section [retcode] of luigi's configuration sets a code for this result. Ctrl-C cancels all jobs, prints one
    sentence and exits with 130; with batch, SIGTERM exits with 143. Listing tasks to run and removing outputs also
    exit. When a job script on a node calls it, it runs one task and exits; if the script calls it several times, the
    calls before the one with the task do nothing there and return success.
    What cannot work (a circular requirement, two tasks that write the same file, a setting of the wrong type, arguments
    that are unknown or do not fit together, ...) ends the script with 1 and the reason, before the first task starts.
    """
    with _refusal_in_words(), ExitOnInterrupt() as interrupt:
        number = next(_call_numbers)
        tasks = tasks_of(task_like_elements)
        implied = {"--remove": remove or remove_only, "--batch-runner": batch_runner}
        flags = parse_arguments(
            ignore_others=ignore_additional_command_line_args, implied=[name for name in implied if implied[name]]
        )
        kwargs = {**kwargs, **_central_scheduler(flags, is_refused=test or flags.test or dry_run or flags.dry_run)}
        if flags.batch_runner:
            interrupt.sentence = ""
            return _run_one(tasks, flags.task_id, number, kwargs)
        if batch_runner:
            return _run_here(tasks, flags.task_id, interrupt)
        _refuse_lost_arguments()
        if kwargs:
            _refuse_unknown(kwargs, interrupt)
        call = ProcessCall(number, in_process=test or flags.test)
        with running(call), SettingsCache():
            if show_output or flags.show_output:
                return _show_outputs(tasks, interrupt)
            if dry_run or flags.dry_run:
                _dry_run(tasks, interrupt)
            if call.in_process:
                return _build(tasks, {**kwargs, "log_level": "DEBUG", "workers": 1}, interrupt)
            if flags.remove or remove or flags.remove_only or remove_only:
                _remove(
                    *(tasks, flags.remove or remove, flags.remove_only or remove_only, flags.keep or keep_tasks),
                    confirmed=flags.yes or auto_confirm,
                    interrupt=interrupt,
                )
            if batch or flags.batch:
                return _run_batch(tasks, kwargs, flags.fresh, interrupt)
            return _build(tasks, kwargs, interrupt)


def _show_outputs(tasks: list[luigi.Task], interrupt: ExitOnInterrupt) -> bool:
    interrupt.sentence = STOPPED
    with interrupt.deferred():
        from b2luigi.cli.modes import show_outputs
    show_outputs(tasks)
    return True


def _dry_run(tasks: list[luigi.Task], interrupt: ExitOnInterrupt) -> NoReturn:
    interrupt.sentence = STOPPED
    with interrupt.deferred():
        from b2luigi.cli.modes import dry_run
    dry_run(tasks)
    sys.exit(0)


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
) -> NoReturn:
    interrupt.sentence = STOPPED
    with interrupt.deferred():
        from b2luigi.cli.removal import Choice, class_names, remove_outputs
    alone = not names
    choice = Choice(class_names(only if alone else names), class_names(keep), not alone, confirmed)
    sys.exit(remove_outputs(tasks, choice))


def _run_batch(tasks: list[luigi.Task], kwargs: dict[str, Any], fresh: bool, interrupt: ExitOnInterrupt) -> Any:
    with interrupt.deferred():
        from b2luigi.batch.workers import SendJobWorkerSchedulerFactory, check_batch_system
    factory = kwargs.get("worker_scheduler_factory") or SendJobWorkerSchedulerFactory()
    if not isinstance(factory, SendJobWorkerSchedulerFactory):
        raise BadInputError(
            "With batch, worker_scheduler_factory must be a b2luigi.batch.workers.SendJobWorkerSchedulerFactory or "
            f"omitted, but it is {factory!r}."
        )
    factory.fresh, factory.roots = factory.fresh or fresh, tasks
    refuse_foreign_program()
    for task in tasks:
        check_batch_system(task)
    arguments = {"workers": WORKERS, **_workers(), **kwargs, "worker_scheduler_factory": factory}
    return _build_and_summarize(tasks, arguments, interrupt)


def _build_and_summarize(tasks: list[luigi.Task], kwargs: dict[str, Any], interrupt: ExitOnInterrupt) -> Any:
    with interrupt.deferred():
        from b2luigi.batch.messages.failure import summary
    factory = kwargs["worker_scheduler_factory"]
    try:
        return _build(tasks, kwargs, interrupt)
    finally:
        if factory.worker is not None:
            journal = factory.worker.journal
            journal.detach()
            logged = f"Log of this run: {journal.log}" if journal.log is not None else ""
            text = "\n\n".join(filter(None, [summary(factory.worker.failures), logged]))
            if text:
                print(text, file=sys.stderr)


def _build(tasks: list[luigi.Task], kwargs: dict[str, Any], interrupt: ExitOnInterrupt) -> Any:
    """`luigi.build`; exits with a code if luigi's configuration sets one for the result."""
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
        code = exit_code(result.worker)
    if code:
        sys.exit(code)
    return result if kwargs.get("detailed_summary") else result.scheduling_succeeded


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
    """Ends the script with 1 and the reason, without a traceback, if something the user gave cannot work."""
    try:
        yield
    except GraphError as error:
        sys.exit(str(error) if error.is_late else f"Nothing was started. {error}")
    except BadInputError as error:
        sys.exit(str(error))


def _central_scheduler(flags: argparse.Namespace, is_refused: bool) -> dict[str, Any]:
    given = {"scheduler_host": flags.scheduler_host, "scheduler_port": flags.scheduler_port}
    if any(given.values()) and is_refused:
        raise BadCallError(
            "Dry runs and tests do not use a central scheduler: remove --scheduler-host and --scheduler-port."
        )
    if not (flags.scheduler_port or "0").isdecimal():
        raise BadInputError(f"--scheduler-port must be a number, not {flags.scheduler_port!r}.")
    return {name: int(value) if name == "scheduler_port" else value for name, value in given.items() if value}
