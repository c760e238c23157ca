"""How a failed job is told: what happened, where, its last words, what to do."""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import luigi

TAIL_BYTES, TAIL_LINES, LINE = 8192, 20, 300
"""How much of a text is shown: bytes, lines, characters of a line."""
_OWN_FOLDERS = (str(Path(__file__).parent.parent), *(sysconfig.get_path(name) for name in ("stdlib", "purelib")))
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


def summary(stories: Iterable[str], most: int = 10) -> str:
    """What is said at the end of a run: the stories again, the first few of them."""
    told = list(stories)
    if not told:
        return ""
    more = [f"... and {len(told) - most} more, told above."] if len(told) > most else []
    count = "1 task failed" if len(told) == 1 else f"{len(told)} tasks failed"
    return "\n\n".join([f"===== {count} =====", *told[:most], *more])


def _lines(failure: Failure) -> Iterator[str]:
    yield f"Task {failure.task.task_family} failed: {shortened(failure.what)}"
    for name, value in failure.task.to_str_params(only_public=True).items():
        yield f"    {name} = {_visible(value if len(value) <= 100 else value[:97] + '...')}"
    job = f"{failure.batch_system} job {failure.job_id}" if failure.job_id else f"{failure.batch_system}, no job"
    yield f"  task id: {failure.task.task_id}"
    yield f"  job:     {job}" + (f" on node {failure.node}" if failure.node else "")
    if failure.log_folder is not None:
        yield f"  logs:    {failure.log_folder}{os.sep} (stdout, stderr)"
    if failure.last_words:
        yield "  last words:"
        yield from (f"    | {line}" for line in failure.last_words.splitlines())
    yield f"  {failure.advice}"


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
