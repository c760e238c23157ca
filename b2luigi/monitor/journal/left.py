"""What became of the jobs that a run has left: by the journals of later runs, and by the files of the jobs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.inbox import OWNER, Inbox
from b2luigi.batch.attempts.outcome import Marker, Outcome
from b2luigi.batch.attempts.record import read_outcome
from b2luigi.core.files import read_text
from b2luigi.monitor.journal.history import LEFT
from b2luigi.monitor.journal.names import JOURNAL, RUN_ID, RUNS

KINDS = frozenset({"running", "held", "released", "requeued", "notice", "ended"})
"""Events of a job that may be in the journal of a later run."""
BY_FILES = "the run was over by then; the next one takes note of it"
_TOKEN = re.compile(r'"token": ?"([0-9a-f]{16})"')


def later_journals(folder: Path) -> list[Path]:
    """The journals of the runs that began after the one in `folder`, the oldest first."""
    try:
        names = sorted(name for name in os.listdir(folder.parent) if RUN_ID.fullmatch(name) and name > folder.name)
    except OSError:
        return []
    return [folder.parent / name / JOURNAL for name in names] if folder.parent.name == RUNS else []


def events_of_later_runs(folder: Path, tokens: Collection[str]) -> Iterator[dict[str, Any]]:
    """What the later runs of the same folder have noted of these attempts, as events of this run."""
    for path in later_journals(folder):
        for line in _lines(path):
            found = _TOKEN.search(line)
            event = _event(line) if found is not None and found[1] in tokens else {}
            if event.get("e") in KINDS and event.get("end") != LEFT:
                yield {**event, "late": True}


def later_attempt(folder: Path, task_id: str) -> int:
    """The number of the last attempt that later runs of the same folder have made of a task; 0 if there is none."""
    lines = [line for path in later_journals(folder) for line in _lines(path) if task_id in line]
    made = [event for event in map(_event, lines) if event.get("e") == "submitting" and event.get("id") == task_id]
    return max((number for event in made if isinstance(number := event.get("attempt"), int)), default=0)


def events_of_files(base: Path, inboxes: Iterable[str], tokens: Collection[str]) -> Iterator[dict[str, Any]]:
    """The ends of these attempts, as far as their own files show them. `inboxes`: names of folders below `base`."""
    for name in inboxes:
        inbox = Inbox(base / os.path.basename(name))
        ended = set(inbox.tokens())
        for claim, folder in inbox.folders():
            if claim.token in tokens:
                path = folder / f"{claim.token}.outcome"
                outcome = read_outcome(path)
                marker = inbox.read(claim.token) if claim.token in ended and outcome is None else None
                if outcome is not None or marker is not None:
                    moment = _moment(path if outcome is not None else inbox.folder / claim.token)
                    yield {"e": "ended", "t": moment, "token": claim.token, "late": True, **_end(outcome, marker)}


def seen_last(base: Path, inbox: str) -> float:
    """When the process of a run showed last that it is alive, in seconds since the epoch; 0 if that is not known."""
    return _moment(base / os.path.basename(inbox or "-") / OWNER)


def _end(outcome: Outcome | None, marker: Marker | None) -> Mapping[str, Any]:
    if outcome is not None:
        why = f"{outcome.headline}; {BY_FILES}" if outcome.headline else BY_FILES
        facts = {"node": outcome.node, "usage": dict(outcome.usage)}
        return {"end": outcome.status.lower(), "reason": "" if outcome.status == "DONE" else why, **facts}
    code = marker.exit_code if marker is not None else None
    how = f"with exit code {code}" if code is not None else "without an exit code"
    return {"end": "ended", "exit_code": code, "reason": f"its job ended {how}; {BY_FILES}"}


def _moment(path: Path) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _lines(path: Path) -> list[str]:
    try:
        return read_text(path, errors="replace").split("\n")
    except OSError:
        return []


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
