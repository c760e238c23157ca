"""The journal of the current run: takes what happens, and has it written once a second."""

from __future__ import annotations

import json
import logging
import os
import platform
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import luigi
from luigi.task import flatten

from b2luigi.batch.attempts.liveness import this_process
from b2luigi.batch.attempts.users import login
from b2luigi.core.json_text import quoted
from b2luigi.monitor.journal.log_file import LogHandler
from b2luigi.monitor.journal.masks import Masks, masked_arguments, masked_settings
from b2luigi.monitor.journal.model import FORMAT
from b2luigi.monitor.journal.names import JOURNAL, LOG, RUNS
from b2luigi.monitor.journal.pruning import prune
from b2luigi.monitor.journal.spool import EVERY, File, Lines, Spool, file_mode, make_folder

logger = logging.getLogger("luigi-interface.b2luigi")

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=str).encode
_EMPTY = {type(None): "null", bool: "false", list: "[]", dict: "{}"}


class NoJournal:
    """Writes nothing: for code that works without a run."""

    def open(self, inbox: str) -> None:
        """The run has a job: from now on there is something to look at. `inbox`: its name."""

    def add(self, kind: str, **facts: Any) -> None:
        """Something happened. `facts`: the fields of this kind of event."""

    def report(self, facts: Mapping[str, Any], task: luigi.Task | None) -> None:
        """A task has a status. `facts`: what luigi's worker reports to its scheduler."""

    def keep_secret(self, env: Any) -> None:
        """Environment variables of a job: those whose names say that they are secret do not appear in any file."""

    def miss(self, error: Exception) -> None:
        """Something could not be noted."""


class Journal(NoJournal):
    """Keeps the journal and the log of one run, from `listen` to `close`.

    What happens before the first job waits in memory; a run without a job leaves nothing. `base`: its task file folder,
    `script`: the path of the script; both are asked for when they are needed. `keep`: finished runs that stay.
    `settings`: name, value and source of those that are not at their default. `settings_of`: the same of those that the
    class of a task has itself.
    """

    def __init__(
        self,
        base: Callable[[], Path],
        script: Callable[[], str],
        keep: Callable[[], int] = lambda: 20,
        *,
        settings: Callable[[], Iterable[tuple[str, Any, str]]] = tuple,
        settings_of: Callable[[luigi.Task], Iterable[tuple[str, Any, str]]] = lambda task: (),
        every: float = EVERY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._base, self._script, self._keep, self._clock = base, script, keep, clock
        self._settings, self._settings_of = settings, settings_of
        self._classes: set[type] = set()
        self._masks = Masks()
        self.folder: Path | None = None
        """Of this run; None as long as it has no job."""
        self._began = clock()
        self._known: set[str] = set()
        self._events, self._log = Lines(), Lines()
        self._handler = LogHandler(self._log.add, self._write_now, self._note_outage)
        self._every = every
        self._spool: Spool | None = None
        self._log_file: File | None = None
        self._is_incomplete = False

    @property
    def log(self) -> Path | None:
        """The log file; None as long as there is no job."""
        return self.folder / LOG if self.folder is not None else None

    # -- the run

    def listen(self) -> None:
        """The run begins."""
        self._handler.attach()

    def open(self, inbox: str) -> None:
        """The run has a job: makes a folder for it, soon. `inbox`: name of the inbox of the run."""
        if self._spool is not None:
            return
        try:
            base, script = self._base(), self._script()
        except (OSError, ValueError, AttributeError):  # no folder for it: reported where it matters
            return
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(self._began))}-{secrets.token_hex(3)}"
        self.folder = folder = base / RUNS / name
        before = self._events.take()
        self._events.add(_encode({"format": FORMAT, "run": self._header(folder, inbox, script)}))
        if before:
            self._events.add(before.removesuffix("\n"))
        journal = File(lambda: folder / JOURNAL, lambda: file_mode(base))
        self._log_file = File(lambda: folder / LOG, lambda: file_mode(base))
        parts = [(journal, self._text_of(self._events)), (self._log_file, self._text_of(self._log))]
        self._spool = Spool(lambda: make_folder(base, folder), parts, lambda: prune(base, folder, self._keep()))
        logger.info("Log of this run: %s", folder / LOG)
        self._spool.start(self._every)

    def close(self, **facts: Any) -> None:
        """The run is over. `facts`: of the last event. What luigi still logs goes into the log at once."""
        if self._spool is None:
            self._handler.detach()
            return
        self.add("finished", **facts, elapsed=round(self._clock() - self._began, 3))
        self._handler.is_late = True
        self._handler.restore()
        self._spool.stop()

    def detach(self) -> None:
        """Nothing more is logged of this run."""
        self._handler.detach()

    # -- what happens

    def add(self, kind: str, **facts: Any) -> None:
        """Something happened. `facts`: the fields of this kind of event."""
        self._events.add(_line(self._clock(), kind, facts))

    def report(self, facts: Mapping[str, Any], task: luigi.Task | None) -> None:
        """A task has a status. `facts`: what luigi's worker reports to its scheduler. Does not raise."""
        try:
            self._report(facts, task)
        except Exception as error:  # a value of a parameter is the user's own
            self.miss(error)

    def _report(self, facts: Mapping[str, Any], task: luigi.Task | None) -> None:
        task_id, status = facts["task_id"], facts["status"].lower()
        if task_id in self._known or "family" not in facts:
            self.add("status", id=task_id, status=status)
            return
        self._known.add(task_id)
        self._report_class(task)
        known = {"id": task_id, "class": facts["family"], "module": facts["module"], "status": status}
        parameters = self._masks.parameters(task, facts["params"])
        self.add("task", **known, parameters=parameters, needs=facts.get("deps") or [], **_external(task, status))

    def _report_class(self, task: luigi.Task | None) -> None:
        if task is not None and type(task) not in self._classes:
            self._classes.add(type(task))
            if found := masked_settings(self._settings_of(task)):
                self.add("settings", **{"class": task.get_task_family()}, settings=found)

    def keep_secret(self, env: Any) -> None:
        """Environment variables of a job: those whose names say that they are secret do not appear in any file."""
        self._masks.variables(env)

    def miss(self, error: Exception) -> None:
        """Something could not be noted: logs that, once."""
        if not self._is_incomplete:
            self._is_incomplete = True
            logger.warning("The journal of this run is not complete. %s: %s", type(error).__name__, error)

    def _note_outage(self, record: logging.LogRecord) -> None:
        """`queue.outage` says in the records of the log what begins and ends."""
        facts = vars(record)
        if "outage" in facts:
            self.add("outage", what=facts["outage"], reason=record.getMessage())
        elif "outage_over" in facts:
            self.add("outage_over", what=facts["outage_over"])

    # -- what is written

    def _header(self, folder: Path, inbox: str, script: str) -> dict[str, Any]:
        return {
            "id": folder.name,
            "script": script,
            "arguments": masked_arguments(sys.argv[1:]),
            "cwd": _cwd(),
            "user": login(),
            "host": platform.node(),
            "pid": os.getpid(),
            "started": round(self._began, 3),
            "folder": str(folder),
            "log": str(folder / LOG),
            "b2luigi": getattr(sys.modules["b2luigi"], "__version__", ""),
            "luigi": luigi.__version__,
            "python": platform.python_version(),
            "inbox": inbox,
            "settings": masked_settings(self._settings()),
            "process": this_process(),
        }

    def _text_of(self, lines: Lines) -> Callable[[], str]:
        return lambda: self._masks.hide(lines.take())

    def _write_now(self, text: str) -> None:
        if self._log_file is None:
            return
        try:
            self._log_file.append(self._masks.hide(f"{text}\n"))
        except OSError:  # the folder is gone, or the disk is full: the run is over
            self._handler.detach()


def _line(moment: float, kind: str, facts: Mapping[str, Any]) -> str:
    """An event as JSON. There are a hundred thousand: put together like this, one costs half."""
    return f'{{"t":{moment:.3f},"e":"{kind}",{_members(facts)}}}'


def _members(facts: Mapping[str, Any]) -> str:
    return ",".join(
        [f'"{name}":{quoted(value) if type(value) is str else _text(value)}' for name, value in facts.items()]
    )


def _text(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return quoted(value)
    if not value and kind in _EMPTY:
        return _EMPTY[kind]
    if kind is dict:
        return f"{{{','.join([f'{quoted(name)}:{_text(one)}' for name, one in value.items()])}}}"
    return f"[{','.join(map(_text, value))}]" if kind is list else _encode(value)


def _external(task: luigi.Task | None, status: str) -> dict[str, Any]:
    """Whether nobody can run it, and then what is missing."""
    if task is None or not (task.run is None or task.run is NotImplemented):
        return {"external": False}
    try:
        outputs = [] if status == "done" else [str(getattr(one, "path", one)) for one in flatten(task.output())]
    except Exception:  # a method of the user's own, which has failed already where it matters
        outputs = []
    return {"external": True, "outputs": outputs}


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""
