"""Which folders of old runs go: finished ones of this user, but for the last few, and none whose jobs may live."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.users import foreign_owner
from b2luigi.monitor.journal.names import JOURNAL, RUN_ID, RUNS


def prune(base: Path, own: Path, keep: int) -> None:
    """Removes the folders of finished runs below a task file folder. Never raises.

    `own`: that of this run, which stays; `keep`: how many of the others stay at least, the newest.
    """
    try:
        folders = sorted(
            (base / RUNS / name for name in os.listdir(base / RUNS) if RUN_ID.fullmatch(name)), reverse=True
        )
    except OSError:
        return
    ours = [one for one in folders if one != own and not one.is_symlink() and foreign_owner(one) is None]
    # Those that are too many are few, but for the first time: looked at from the newest, which tells how many finished.
    finished = 0
    for number, folder in enumerate(ours):
        if len(ours) - number + finished <= keep:
            return  # even if all that are left finished
        if _has_finished(folder, base):
            finished += 1
            if finished > keep:
                shutil.rmtree(folder, ignore_errors=True)


def _has_finished(folder: Path, base: Path) -> bool:
    """Nobody works in it, and the inboxes of its jobs are gone: they go with the last job."""
    try:
        return not any(_may_live(base, inbox, process) for inbox, process in _inboxes(folder / JOURNAL))
    except FileNotFoundError:  # of a run that was killed before it wrote anything, or is about to
        return False
    except OSError:
        return False


def _may_live(base: Path, inbox: str, process: object) -> bool:
    folder = base / os.path.basename(inbox or "-")
    return folder.is_dir() or (process is not None and not Inbox(folder, process=process).is_abandoned())


def _inboxes(journal: Path) -> Iterator[tuple[str, object]]:
    """The inbox of a run with its process, and those of the runs whose jobs it resumed. Raises OSError."""
    with open(journal, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                if line.startswith('{"format"'):
                    run = json.loads(line)["run"]
                    yield str(run["inbox"]), run.get("process")
                elif '"e":"resumed"' in line:
                    yield str(json.loads(line)["inbox"]), None
            except (ValueError, KeyError, TypeError):
                continue
