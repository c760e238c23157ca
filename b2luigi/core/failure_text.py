"""The failure report of a single task, for the console and for luigi's scheduler."""

from __future__ import annotations

import logging
import sys
import traceback
import types
from collections.abc import Iterator
from typing import Any

from colorama import Fore, Style

from b2luigi.core.paths import get_filled_params, get_log_file_dir


def on_failure(task: Any, exception: BaseException) -> str:
    """Prints to the console, in red, which task failed: parameters, task id, log folder and traceback.

    A class can use it as luigi's method of this name: `on_failure = b2luigi.core.utils.on_failure`.
    Returns the same text, for luigi's scheduler.
    """
    text = "\n".join(_lines(task, exception))
    print(f"{Fore.RED}{text}{Style.RESET_ALL}", file=sys.stderr)
    return text


def add_on_failure_function(task: Any) -> None:
    """Makes this one task report its failure with `on_failure`."""
    task.on_failure = types.MethodType(on_failure, task)


def get_luigi_logger() -> logging.Logger:
    """luigi's logger: its messages appear together with luigi's own."""
    return logging.getLogger("luigi-interface")


def _lines(task: Any, exception: BaseException) -> Iterator[str]:
    yield f"Task {task.get_task_family()} failed!"
    yield from (f"    {name} = {value}" for name, value in get_filled_params(task).items())
    yield f"  task id: {task.task_id}"
    yield f"  logs:    {_log_folder(task)}"
    yield "".join(traceback.format_exception(exception)).rstrip()


def _log_folder(task: Any) -> str:
    try:
        return get_log_file_dir(task)
    except Exception as error:  # the user's own method failed, or a parameter value is not a valid folder name
        return f"unknown ({error})"
