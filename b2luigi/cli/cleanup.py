"""Removes the logs and job files of tasks: only files that b2luigi has made, and none while jobs may use them."""

from __future__ import annotations

import contextlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import luigi

from b2luigi.batch.attempts.inbox import Inbox, inboxes_below
from b2luigi.batch.attempts.runs import Runs
from b2luigi.core.executable import SCRIPT_NAME
from b2luigi.core.paths import get_log_file_dir, get_task_file_dir, map_folder
from b2luigi.core.settings import get_setting

_LOGS = re.compile(r"std(out|err)(\.\d+)?")
_JOB_FILES = re.compile(
    rf"attempt-\d+\.json|{re.escape(SCRIPT_NAME)}|batch\.log(\.\d+)?|[0-9a-f]{{16}}(\.\w+)?"
    rf"|\.(attempt-\d+\.json|{re.escape(SCRIPT_NAME)}|[0-9a-f]{{16}}\.\w+)\.[0-9a-f]{{8}}"
)


@dataclass(frozen=True)
class Kinds:
    """What to remove."""

    logs: bool = True
    job_files: bool = True


def clean_up(
    tasks: Sequence[luigi.Task], kinds: Kinds, confirmed: bool = False, ask: Callable[[str], str] = input
) -> int:
    """Removes files of these tasks, after a question. Returns the exit code: 1 if nothing could be removed.

    `confirmed`: do not ask.
    """
    base = Path(map_folder(get_setting("task_file_dir")))
    alive = [inbox.owner() for inbox in map(Inbox, inboxes_below(base)) if inbox.is_abandoned() is not True]
    if alive:
        return _refused(f"a run is alive: {'; '.join(alive)}. Wait for its end, or end it by Ctrl-C.")
    runs = Runs(base)
    busy = [task for task in tasks if runs.unfinished(Path(get_task_file_dir(task))) is not None]
    if busy:
        some = "".join(f"\n  {task}" for task in busy[:5]) + ("\n  ..." if len(busy) > 5 else "")
        return _refused(
            f"{len(busy)} of the tasks have jobs that may still be running:{some}\n"
            "`b2luigi run` resumes them, and `b2luigi cancel` cancels them."
        )
    left = [inbox.owner() for inbox in runs.tidy()]
    if left and kinds.job_files:  # what such a run says of its jobs is understood only beside all records
        return _refused(f"a killed run left jobs behind: {'; '.join(left)}. First run it again, or cancel them.")
    files = {task: list(_files(task, kinds)) for task in tasks}
    files = {task: found for task, found in files.items() if found}
    if not files:
        print("There are no such files.")
        return 0
    if not confirmed and not _is_confirmed(files, ask):
        return 1
    return _remove([file for found in files.values() for file in found])


def _refused(why: str) -> int:
    print(f"Nothing was removed: {why}", file=sys.stderr)
    return 1


def _files(task: luigi.Task, kinds: Kinds) -> Iterator[Path]:
    if kinds.logs:
        yield from _named(Path(get_log_file_dir(task)), _LOGS)
    if kinds.job_files:
        yield from _named(Path(get_task_file_dir(task)), _JOB_FILES)


def _named(folder: Path, names: re.Pattern[str]) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        yield from (path for path in sorted(folder.iterdir()) if names.fullmatch(path.name) and not path.is_dir())


def _is_confirmed(files: dict[luigi.Task, list[Path]], ask: Callable[[str], str]) -> bool:
    for family, count in sorted(Counter(task.get_task_family() for task in files).items()):
        print(f"  {family}: {count} task{'' if count == 1 else 's'}")
    try:
        answer = ask(f"Remove {sum(map(len, files.values()))} logs and job files of these tasks? [y/N] ")
    except EOFError:
        _refused("cannot ask for confirmation; pass -y to remove without it.")
        return False
    if answer.strip().lower() in ("y", "yes"):
        return True
    print("Nothing was removed.")
    return False


def _remove(files: Sequence[Path]) -> int:
    failed = 0
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            failed += 1
            print(f"{file} could not be removed: {error.strerror}", file=sys.stderr)
    for folder in sorted({file.parent for file in files}, key=lambda path: -len(path.parts)):
        _remove_empty(folder)
    print(f"Removed {len(files) - failed} files{f'; {failed} could not be removed' if failed else ''}.")
    return 1 if failed else 0


def _remove_empty(folder: Path) -> None:
    """The folder of a task, and those above it, as far as nothing is left in them; a few levels at most."""
    for _ in range(32):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
