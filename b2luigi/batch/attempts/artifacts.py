"""What attempts leave behind: logs of earlier ones, outputs of failed ones, files carried home from the node."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import luigi
from luigi.task import flatten

from b2luigi.batch.attempts.record import Record, names_in
from b2luigi.batch.systems.model import JobSpec
from b2luigi.core.target import LONGEST_NAME

LOG_NAMES = ("stdout", "stderr")
KEPT = 5
"""Earlier attempts whose logs are kept."""
_PLUSES = 8
"""Bytes kept free for the `+` that keeps files of one name apart."""


def put_logs_aside(attempt: Record, log_folder: Path) -> None:
    """Makes room for the logs of a new attempt: those of the last one get its number, `stderr.<n>`.

    Otherwise the last lines of an earlier attempt would be reported as those of this one.
    """
    number, there = attempt.number - 1, names_in(log_folder)
    for name in LOG_NAMES:
        if f"{name}.{number - KEPT}" in there:
            with contextlib.suppress(OSError):
                (log_folder / f"{name}.{number - KEPT}").unlink(missing_ok=True)
        if name in there:
            with contextlib.suppress(FileNotFoundError):
                os.replace(log_folder / name, log_folder / f"{name}.{number}")


def collect_logs(spec: JobSpec, beside: Mapping[str, bool] | None = None) -> None:
    """Moves logs that came home with the other files of a job into the log folder.

    `beside`: what was just seen in the folder of the task.
    """
    for name in LOG_NAMES:
        if beside is None or f"{spec.token}.{name}" in beside:
            with contextlib.suppress(OSError):
                os.replace(spec.folder / f"{spec.token}.{name}", spec.log_folder / name)


def files_of(task: luigi.Task) -> tuple[tuple[int, str], ...] | None:
    """The place and path of each output of a task that is a file of this machine; None if the task cannot say."""
    try:
        return tuple(_files(task))
    except Exception:  # the user's own output()
        return None


def outputs_there(files: tuple[tuple[int, str], ...] | None) -> list[int] | None:
    """Which of these outputs exist already, by their place among all outputs; None if the task cannot say.

    Places and not paths: the project may have another path when they are read.
    """
    return None if files is None else [place for place, path in files if os.path.lexists(path)]


def set_outputs_aside(task: luigi.Task, attempt: Record) -> list[str]:
    """Renames what appeared during an attempt that did not end well to `<name>.failed-<n>`; returns the new names.

    A file that was cut short must not count as done. Only files of this machine's file system are known to us.
    """
    before = attempt.facts.get("outputs_there")
    former = attempt.facts.get("outputs")  # paths, as former versions wrote them
    if not isinstance(before, list) and not isinstance(former, list):
        return []
    known = {os.path.realpath(path) for path in former or () if isinstance(path, str)}
    try:
        appeared = [
            path
            for place, path in _files(task)
            if os.path.lexists(path) and place not in (before or ()) and os.path.realpath(path) not in known
        ]
    except Exception:
        return []
    return [moved for path in appeared if (moved := _moved(path, attempt.number))]


def _files(task: luigi.Task) -> Iterator[tuple[int, str]]:
    for place, target in enumerate(flatten(task.output())):
        if isinstance(target, luigi.LocalTarget):
            yield place, str(target.path)


def _moved(path: str, number: int) -> str:
    aside = _with_mark(path.rstrip("/"), f".failed-{number}")
    while os.path.lexists(aside):
        aside += "+"
    try:
        os.rename(path, aside)
    except OSError:
        return ""
    return aside


def _with_mark(path: str, mark: str) -> str:
    """The path with a mark; a name that would get too long is cut, since a half-written file must not keep its own."""
    folder, name = os.path.split(path)
    room = LONGEST_NAME - len(mark) - _PLUSES
    fits = len(os.fsencode(name)) <= room
    return os.path.join(folder, (name if fits else os.fsencode(name)[:room].decode(errors="ignore")) + mark)
