"""Reads journals: of one run, or of all runs of a script, a project or a task file folder."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.heartbeat import SILENCE
from b2luigi.batch.attempts.inbox import OWNER, Inbox
from b2luigi.core.files import read_text
from b2luigi.core.words import moment
from b2luigi.monitor.journal import left
from b2luigi.monitor.journal.fields import settings
from b2luigi.monitor.journal.history import History
from b2luigi.monitor.journal.model import FORMAT, Run
from b2luigi.monitor.journal.names import JOURNAL, LOG, RUN_ID, RUNS

SURELY_SILENT = 3 * SILENCE
"""Seconds without a sign of life after which a run on another host is shown as over, by two clocks that may differ."""
_DEFAULT = "task_files"
_SETTING = re.compile(r"""\btask_file_dir["']?\s*[,=:]\s*["']([^"'\n]+)["']""")
"""Where a script or settings.json names the folder literally."""
_LARGEST_SCRIPT = 1024 * 1024
_PROBLEMS = 5
"""How many lines that cannot be read are named one by one."""


class NoRunsError(ValueError):
    """There is no journal where one was looked for; the message says where that was."""


def load(where: str | os.PathLike[str]) -> list[Run]:
    """All runs of a script, a project folder, a task file folder, or the one in a run folder; the newest first.

    Reads files only, and never runs a script. Raises NoRunsError if there are none.
    """
    return [load_run(folder) for folder in run_folders(where)]


def run_folders(where: str | os.PathLike[str]) -> list[Path]:
    """The folders of these runs, the newest first. Raises NoRunsError if there are none."""
    path = Path(os.path.abspath(where))
    if not path.exists():
        raise NoRunsError(f"There is no such script or folder: {path}")
    if (path / JOURNAL).is_file():
        return [path]
    places = list(dict.fromkeys(_places(path)))
    found = [folder for place in places for folder in _runs_in(place)]
    if path.is_file():
        found = [folder for folder in found if _is_of(folder, path)]
    if not found:
        script = f" of a run of {path.name}" if path.is_file() else ""
        looked = "\n".join(f"  {place / RUNS / '*' / JOURNAL}" for place in places)
        raise NoRunsError(
            f"No journal{script} was found for {path}. Looked for:\n{looked}\n"
            "A run keeps one once it has submitted a job. If the project sets task_file_dir, name that folder."
        )
    return sorted(found, key=lambda folder: folder.name, reverse=True)


def load_run(folder: str | os.PathLike[str]) -> Run:
    """The run in a folder. What cannot be read of its journal is passed over, and counted in `Run.problems`.

    Raises NoRunsError if there is no journal in it that can be read.
    """
    folder = Path(folder).absolute()
    try:
        text = read_text(folder / JOURNAL, errors="replace")
    except OSError as error:
        raise NoRunsError(f"There is no journal that can be read: {error.strerror}: {folder / JOURNAL}") from error
    header, history, problems = _read(text)
    is_alive = not history.finished and _is_alive(folder, header)
    if not is_alive:
        _follow_up(folder, header, history)
    return _run(folder, header, history, is_alive, problems)


def _read(text: str) -> tuple[dict[str, Any], History, list[str]]:
    header: dict[str, Any] = {}
    history, bad, newer = History(), list[int](), 0
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            event = json.loads(line)
            if not isinstance(event, dict):
                raise ValueError(line)
            if "format" in event:
                newer = max(newer, int(event["format"]))
                header = header or event["run"]
            else:
                history.add(event)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            if number < len(lines):  # the last line may be about to be written
                bad.append(number)
    return header if isinstance(header, dict) else {}, history, list(_problems(bad, newer))


def _follow_up(folder: Path, header: Mapping[str, Any], history: History) -> None:
    """Adds what is known of jobs that a run has left when it was over."""
    if tokens := history.in_flight():
        _add(history, left.events_of_later_runs(folder, tokens))
    if tokens := history.in_flight():
        inboxes = (str(header.get("inbox") or "-"), *history.inboxes)
        _add(history, left.events_of_files(folder.parent.parent, inboxes, tokens))


def _add(history: History, events: Iterable[Mapping[str, Any]]) -> None:
    for event in events:
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, OverflowError):
            history.add(event)


def _problems(bad: list[int], newest: int) -> Iterator[str]:
    if newest > FORMAT:
        yield (
            f"The journal was written by a later release of b2luigi (format {newest}; this one reads {FORMAT}): "
            "what is shown may be incomplete."
        )
    if bad:
        some = ", ".join(map(str, bad[:_PROBLEMS])) + (", ..." if len(bad) > _PROBLEMS else "")
        lines = "1 line" if len(bad) == 1 else f"{len(bad):,} lines"
        yield f"{lines} of the journal cannot be read and were skipped: {some}"


def _run(folder: Path, header: Mapping[str, Any], history: History, is_alive: bool, problems: list[str]) -> Run:
    started = _moment(header.get("started")) or _moment_of(folder)
    ended = time.time() if is_alive else max(history.last, started)
    finished = history.finished
    arguments, pid = header.get("arguments"), header.get("pid")
    process = header.get("process")
    return Run(
        id=folder.name,
        folder=folder,
        script=str(header.get("script") or ""),
        arguments=tuple(map(str, arguments)) if isinstance(arguments, list) else (),
        cwd=str(header.get("cwd") or ""),
        user=str(header.get("user") or ""),
        host=str(header.get("host") or ""),
        pid=pid if isinstance(pid, int) else None,
        started=started,
        finished=finished.get("finished"),
        elapsed=finished.get("elapsed") or max(0.0, ended - started),
        result=finished.get("result", ""),
        is_alive=is_alive,
        log=str(folder / LOG),
        versions={name: str(header[name]) for name in ("b2luigi", "luigi", "python") if name in header},
        settings=settings(header),
        class_settings=history.class_settings,
        inbox=str(header.get("inbox") or ""),
        process=process if isinstance(process, dict) else {},
        tasks=history.tasks("" if is_alive else _how_over(folder, header, history)),
        outages=history.outages,
        problems=tuple(problems),
    )


def _how_over(folder: Path, header: Mapping[str, Any], history: History) -> str:
    if history.finished:
        return "ended"
    seen = max(history.last, left.seen_last(folder.parent.parent, str(header.get("inbox") or "")))
    return f"was killed; seen last at {moment(seen)}"


def _moment(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _moment_of(folder: Path) -> float:
    """When a run began whose first line is lost, by the name of its folder."""
    try:
        return time.mktime(time.strptime(folder.name[:15], "%Y%m%d-%H%M%S"))
    except (ValueError, OverflowError):
        return 0.0


def _is_alive(folder: Path, header: Mapping[str, Any]) -> bool:
    """Whether its process still is; on another host, whether it has shown that lately."""
    inbox = Inbox(folder.parent.parent / os.path.basename(str(header.get("inbox") or "-")))
    process = header.get("process")
    inbox.process = process if isinstance(process, dict) else None
    try:
        is_abandoned = inbox.is_abandoned()
    except (ValueError, TypeError, OverflowError):  # a process that no journal of ours names
        return False
    if is_abandoned is not None:
        return not is_abandoned
    try:
        touched = max(os.stat(path).st_mtime for path in (inbox.folder / OWNER, folder / JOURNAL) if path.exists())
    except (OSError, ValueError):
        return False
    return time.time() - touched < SURELY_SILENT


def _runs_in(place: Path) -> list[Path]:
    try:
        names = os.listdir(place / RUNS)
    except OSError:
        return []
    return [
        place / RUNS / name for name in names if RUN_ID.fullmatch(name) and (place / RUNS / name / JOURNAL).is_file()
    ]


def _places(path: Path) -> Iterator[Path]:
    """The task file folders that a script or a project may have."""
    folder = path.parent if path.is_file() else path
    if folder.name == RUNS:
        folder = folder.parent
    yield folder
    yield folder / _DEFAULT
    scripts = [path] if path.is_file() else sorted(folder.glob("*.py"))
    for parent in (folder.absolute(), *folder.absolute().parents):
        yield from (folder / named for named in _named_in([parent / "settings.json"]))
    yield from (folder / named for named in _named_in(scripts))


def _named_in(files: Iterable[Path]) -> Iterator[str]:
    for file in files:
        try:
            yield from _SETTING.findall(read_text(file, _LARGEST_SCRIPT, errors="replace"))
        except OSError:
            continue


def _is_of(folder: Path, script: Path) -> bool:
    """Whether a run is one of this script; the project may have been moved since."""
    try:
        with open(folder / JOURNAL, encoding="utf-8", errors="replace") as file:
            run = json.loads(file.readline())["run"]
        return os.path.basename(str(run["script"])) == script.name
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
