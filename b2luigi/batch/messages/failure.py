"""How a failed job is told: what happened, where, its last words, what to do."""

from __future__ import annotations

import os
import re
import sysconfig
import textwrap
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import luigi

TAIL_BYTES, TAIL_LINES, LINE = 8192, 20, 300
"""How much of a text is shown: bytes, lines, characters of a line."""
WIDTH = 79
"""Columns of what we say ourselves; the words of others, and paths, stay in one piece."""
FEW, LISTED = 3, 20
"""Failures of one kind at the end of a run: up to so many are told whole; of more, one, and so many in a line each."""
KINDS = 10
"""How many kinds of failures are told at the end of a run."""
LOGS_LABEL = "  logs:    "
"""Starts the line of a story that names the log folder."""
_OWN_FOLDERS = (str(Path(__file__).parents[2]), *(sysconfig.get_path(name) for name in ("stdlib", "purelib")))
"""Code that is not the user's: b2luigi, Python, installed packages."""


@dataclass(frozen=True)
class Failure:
    """One failed job, as far as it is known."""

    task: luigi.Task
    what: str
    """What happened, one sentence."""
    advice: str
    """What the user can do about it."""
    batch_system: str
    job_id: str | None = None
    node: str | None = None
    log_folder: Path | None = None
    last_words: str = ""
    """End of a traceback, or of stderr."""
    here: str = ""
    """The command that runs the task here and now, if that is of help."""


def tell(failure: Failure) -> str:
    """The text of a failure, for a console and for luigi's scheduler."""
    return "\n".join(_lines(failure))


def tail(paths: Iterable[Path]) -> str:
    """The last lines of these files, fit to be shown on a terminal."""
    return "\n".join(text for text in map(_tail, paths) if text)


def last_lines(text: str) -> str:
    """The last lines of a text, without control characters, which could do things to a terminal."""
    lines = re.sub(r"[^\S\n\t]", " ", text[-TAIL_BYTES:]).rstrip().splitlines()[-TAIL_LINES:]
    return "\n".join(shortened(_visible(line.expandtabs())) for line in lines)


def shortened(line: str) -> str:
    """A line of which no more is shown than helps."""
    return line if len(line) <= LINE else f"{line[: LINE - 3]}..."


def headline(error: BaseException) -> str:
    """An exception in one line; of b2luigi's own, and of the system's, the message says it all."""
    try:
        said = str(error).strip().splitlines()
    except Exception:  # an exception of the user's own may fail in any way
        said = []
    plain = said and isinstance(error, (ValueError, OSError)) and not users_frames(error)
    return said[0] if plain else ": ".join([type(error).__name__, *said[:1]])


def users_frames(error: BaseException) -> str:
    """Where an exception comes from, if that is code of the user's: empty if it is ours."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_OWN_FOLDERS)]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(error)]) if frames else ""


def summary(failures: Mapping[str, str]) -> str:
    """What is said at the end of a run: the stories again, but of each kind only the first, and others in a line each.

    `failures`: the stories, by task id.
    """
    if not failures:
        return ""
    kinds = defaultdict(list)
    for task_id, story in failures.items():
        kinds[_kind(story)].append(task_id)
    told = [_of_kind(task_ids, failures) for task_ids in list(kinds.values())[:KINDS]]
    left = sum(map(len, list(kinds.values())[KINDS:]))
    count = "1 task failed" if len(failures) == 1 else f"{len(failures):,} tasks failed"
    more = [f"... and {left:,} more, of other kinds, told above."] if left else []
    return "\n\n".join([f"===== {count} =====", *told, *more])


def _kind(story: str) -> str:
    """Failures are of one kind if their first lines differ in nothing but words with digits (numbers, ids, paths)."""
    return re.sub(r"\w*\d\w*", "0", story.partition("\n")[0])


def _of_kind(task_ids: list[str], failures: Mapping[str, str]) -> str:
    whole = len(task_ids) if len(task_ids) <= FEW else 1
    lines = [f"  {task_id}  {_logs(failures[task_id])}".rstrip() for task_id in task_ids[whole : whole + LISTED]]
    left = len(task_ids) - whole - len(lines)
    more = [f"  ... and {left:,} more, told above."] if left else []
    listed = ["\n".join([f"{len(task_ids) - whole:,} more failed in the same way:", *lines, *more])] if lines else []
    return "\n\n".join([*(failures[task_id] for task_id in task_ids[:whole]), *listed])


def _logs(story: str) -> str:
    found = (line.removeprefix(LOGS_LABEL) for line in story.splitlines() if line.startswith(LOGS_LABEL))
    return next(found, "").removesuffix(" (stdout, stderr)")


def _lines(failure: Failure) -> Iterator[str]:
    yield f"Task {failure.task.task_family} failed: {shortened(failure.what)}"
    for name, value in failure.task.to_str_params(only_public=True).items():
        yield f"    {name} = {_visible(value if len(value) <= 100 else value[:97] + '...')}"
    job = f"{failure.batch_system} job {failure.job_id}" if failure.job_id else f"{failure.batch_system}, no job"
    yield f"  task id: {failure.task.task_id}"
    yield f"  job:     {job}" + (f" on node {failure.node}" if failure.node else "")
    if failure.log_folder is not None:
        yield f"{LOGS_LABEL}{failure.log_folder}{os.sep} (stdout, stderr)"
    if failure.last_words:
        yield "  last words:"
        yield from (f"    | {line}" for line in failure.last_words.splitlines())
    yield from _wrapped(failure.advice)
    if failure.here:
        yield from ("  To run this one task here and now:", f"    {failure.here}")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _visible(text: str) -> str:
    """Without control characters, and without halves of characters, which no terminal can be told."""
    return re.sub(r"[^\x20-\x7e\u00a0-\ud7ff\ue000-\U0010ffff]", "?", text)


def _tail(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            return last_lines(file.read().decode(errors="replace"))
    except OSError:
        return ""
