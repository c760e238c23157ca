"""The text of a failure: what happened, where, its last words, and what to do."""

from __future__ import annotations

import itertools
import os
import re
import sysconfig
import textwrap
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import luigi  # the command, which reads journals only, does without it

TAIL_BYTES, TAIL_LINES, LINE = 8192, 20, 300
"""How much of a text is shown: bytes, lines, characters per line."""
WIDTH = 79
"""Columns of our own sentences; quoted output and paths are not wrapped."""
FEW, NAMES, NAME = 2, 3, 60
"""At the end of a run, up to `FEW` failures of a kind are repeated in full; of more, one, and up to `NAMES` lines with
the names of the others, of at most `NAME` characters each."""
KINDS = 10
"""Maximum number of kinds of failures to repeat at the end of a run."""
LOGS_LABEL = "  logs:    "
"""Prefix of the line of a story that names the log folder."""
_FOREIGN_FOLDERS = (str(Path(__file__).parents[2]), *(sysconfig.get_path(name) for name in ("stdlib", "purelib")))
"""Folders of code that is not the user's: b2luigi, Python, installed packages."""
_FRAME = re.compile(r'  File "(.*)", line \d+ in ')
"""A line of the stack that `faulthandler` prints, the most recent call first."""
_FOREIGN = re.compile(r"/(?:b2luigi/(?:batch|cli)|site-packages|lib/python3\.\d+)/")
"""What is in paths of code that is not the user's on a node, which may have it in other folders."""


@dataclass(frozen=True)
class Failure:
    """What is known of one failed job."""

    task: luigi.Task
    what: str
    """What happened, in one sentence."""
    advice: str
    """What the user can do."""
    batch_system: str
    job_id: str | None = None
    node: str | None = None
    log_folder: Path | None = None
    last_words: str = ""
    """The end of a traceback or of stderr."""
    here: str = ""
    """The command that runs the task by hand, if that helps."""


def render(failure: Failure) -> str:
    """The text of a failure (its story), for the console and for luigi's scheduler."""
    return "\n".join(_lines(failure))


def tail(paths: Iterable[Path]) -> str:
    """The last lines of these files, safe to print to a terminal."""
    return "\n".join(text for text in map(_tail, paths) if text)


def last_lines(text: str) -> str:
    """The last lines of a text, without control characters, which could affect a terminal."""
    lines = re.sub(r"[^\S\n\t]", " ", text[-TAIL_BYTES:]).rstrip().splitlines()
    return "\n".join(shortened(visible(line.expandtabs())) for line in list(_without_our_calls(lines))[-TAIL_LINES:])


def _without_our_calls(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a log; the stack of a crash without the calls that led to the user's code."""
    is_below = False
    for line in lines:
        frame = _FRAME.match(line)
        is_foreign = frame is not None and bool(_FOREIGN.search(frame[1]))
        if not (is_foreign and is_below):
            yield line
        is_below = frame is not None and (is_below or not is_foreign)


def shortened(line: str, most: int = LINE) -> str:
    """A line, truncated if it is too long."""
    return line if len(line) <= most else f"{line[: most - 3]}..."


def headline(error: BaseException) -> str:
    """An exception in one line; for errors of b2luigi or the system, the message is enough."""
    try:
        message = str(error).strip().splitlines()
    except Exception:  # an exception of the user's own may fail in any way
        message = []
    is_plain = message and isinstance(error, (ValueError, OSError)) and not users_frames(error)
    return message[0] if is_plain else ": ".join([type(error).__name__, *message[:1]])


def users_frames(error: BaseException) -> str:
    """The traceback of an exception, limited to the user's code; empty if there is none."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_FOREIGN_FOLDERS)]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(error)]) if frames else ""


def summary(failures: Mapping[str, str]) -> str:
    """The failures at the end of a run: the story of one for each kind, and the names of the others.

    `failures`: the stories by task id.
    """
    if not failures:
        return ""
    kinds = defaultdict(list)
    for story in failures.values():
        kinds[kind_of(story)].append(story)
    shown = [_of_kind(stories) for stories in list(kinds.values())[:KINDS]]
    omitted = sum(map(len, list(kinds.values())[KINDS:]))
    more = [f"... and {omitted:,} more of other kinds; the log file has them."] if omitted else []
    count = "1 task failed" if len(failures) == 1 else f"{len(failures):,} tasks failed"
    return "\n\n".join([f"===== {count} =====", *shown, *more])


def kind_of(story: str) -> str:
    """Failures are of the same kind if their first lines differ only in words with digits (numbers, ids, paths), or in
    the node."""
    line = re.sub(r"\(on \S+, before", "(on 0, before", story.partition("\n")[0])
    return re.sub(r"\w*\d\w*", "0", line)


def brief(story: str) -> str:
    """A story in two lines: what happened to which task, and where."""
    first, *lines = story.splitlines()
    what = first.partition(" failed: ")[2]
    if not first.startswith("Task ") or not what:
        return shortened(first)
    found = dict(line.strip().partition(":")[::2] for line in lines if line.startswith(("  job:", LOGS_LABEL.rstrip())))
    where = [found.get("job", "").strip(), found.get("logs", "").strip().removesuffix(" (stdout, stderr)")]
    return "\n    ".join(filter(None, [f"{name_of(story)} failed: {what}", "; logs in ".join(filter(None, where))]))


def name_of(story: str) -> str:
    """The task of a story as `Class(parameter=value)`."""
    first, *lines = story.splitlines()
    family = first.removeprefix("Task ").partition(" ")[0]
    values = itertools.takewhile(lambda line: line.startswith("    "), lines)
    parameters = ", ".join(value.strip().replace(" = ", "=", 1) for value in values)
    return shortened(family if "(" in family else f"{family}({parameters})", NAME)


def _of_kind(stories: list[str]) -> str:
    if len(stories) <= FEW:
        return "\n\n".join(stories)
    first, *others = stories
    unbroken = ", ".join(name_of(story).replace(" ", "\0") for story in others)
    names = textwrap.wrap(unbroken, WIDTH - 8, break_long_words=False, break_on_hyphens=False)
    listed = "\n".join(f"    {line}" for line in names[:NAMES]).replace("\0", " ")
    more = " ..." if len(names) > NAMES else ""
    return f"{first}\n\n{len(others):,} more failed in the same way:\n{listed}{more}"


def _lines(failure: Failure) -> Iterator[str]:
    yield f"Task {failure.task.task_family} failed: {shortened(visible(failure.what))}"
    for name, value in failure.task.to_str_params(only_public=True).items():
        yield f"    {name} = {visible(value if len(value) <= 100 else value[:97] + '...')}"
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


def visible(text: str) -> str:
    """The text without control characters and surrogates, which cannot be printed."""
    return re.sub(r"[^\x20-\x7e\u00a0-\ud7ff\ue000-\U0010ffff]", "?", text)


def _tail(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            return last_lines(file.read().decode(errors="replace"))
    except OSError:
        return ""
