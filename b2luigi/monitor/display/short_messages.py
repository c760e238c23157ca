"""What the terminal prints of all that luigi and b2luigi log: warnings, and each kind of failure twice."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from types import TracebackType

from b2luigi.batch.messages.failure import brief, kind_of

LUIGIS, OURS = "luigi-interface", "luigi-interface.b2luigi"
LUIGIS_FORMAT = "%(levelname)s: %(message)s"
"""Of the handler that luigi installs unless its configuration or the script has another one. (luigi 3.8.1)"""
SUMMARY = "===== Luigi Execution Summary ====="
"""In the message with which luigi ends a run."""
ENDS = ("timed out after", "died unexpectedly")
"""In messages of level INFO on tasks that luigi runs itself and that failed. (luigi 3.8.1)"""
FAILURES, MESSAGES = 2, 3
"""How many failures, and how many other messages, of one kind are printed."""
ALWAYS = ("outage", "outage_over", "progress")
"""Marks of records that are printed every time."""
NO_MORE = "(More messages like this one are counted, not printed; the log file has them.)"
LUIGIS_NO_MORE = "(More warnings like this one are not printed.)"
"""luigi warns while it schedules: a run that starts no job has no log file."""


class News(logging.Handler):
    """Takes from the log what the live block shows: outages that last, and the last failure."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.outages: dict[str, None] = {}
        """The sentences that are not true for now."""
        self.last_failure = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        failure = getattr(record, "failure", "")
        if failure:
            self.last_failure = brief(failure).partition("\n")[0]
        if hasattr(record, "outage"):
            self.outages[record.outage] = None
        if hasattr(record, "outage_over"):
            self.outages.pop(record.outage_over, None)


class ShortMessages:
    """While entered, the handler that luigi installs prints less. Handlers of the script itself print what they did.

    `least`: the level below which nothing is printed.
    """

    def __init__(self, least: int = logging.INFO) -> None:
        self.news = News()
        self._least = least
        self._changed: list[tuple[logging.Handler, logging.Formatter | None]] = []

    def __enter__(self) -> ShortMessages:
        logging.getLogger(LUIGIS).addHandler(self.news)
        return self

    def shorten(self) -> None:
        """Called once luigi has installed its handler."""
        for handler in _luigis_handlers():
            if handler not in (changed for changed, _ in self._changed):
                self._changed.append((handler, handler.formatter))
                handler.addFilter(_Few(self._least))
                handler.setFormatter(_Brief(LUIGIS_FORMAT))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger(LUIGIS).removeHandler(self.news)
        for handler, formatter in self._changed:
            handler.setFormatter(formatter)
            for one in [one for one in handler.filters if isinstance(one, _Few)]:
                handler.removeFilter(one)


def _luigis_handlers() -> Iterator[logging.Handler]:
    for handler in logging.getLogger(LUIGIS).handlers:
        formatter = getattr(handler.formatter, "_fmt", None)
        if type(handler) is logging.StreamHandler and formatter == LUIGIS_FORMAT:
            yield handler


class _Few(logging.Filter):
    """Drops luigi's lines on each task, and all but the first messages and warnings of a kind."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self._least = least
        self._counts: Counter[tuple[bool, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Called by logging: whether a record is printed."""
        if record.name == LUIGIS and any(words in str(record.msg) for words in ENDS):
            return True
        if record.levelno < self._least:
            return False
        if record.name == LUIGIS and record.levelno < logging.WARNING:
            return SUMMARY in str(record.msg)
        if not _is_counted(record):
            return True
        failure = getattr(record, "failure", "")
        kind = bool(failure), kind_of(failure or _message(record))
        most = FAILURES if failure else MESSAGES
        self._counts[kind] += 1
        record.is_last = self._counts[kind] == most
        return self._counts[kind] <= most


def _is_counted(record: logging.LogRecord) -> bool:
    if record.name == LUIGIS:
        return record.levelno == logging.WARNING
    return record.name == OURS and not any(hasattr(record, name) for name in ALWAYS)


def _message(record: logging.LogRecord) -> str:
    """What tells kinds of messages apart: luigi's own name the task, and end with what was raised."""
    if record.name == OURS:
        return record.getMessage()
    traceback = record.getMessage().rstrip().splitlines()[1:]
    return " ".join([*str(record.msg).splitlines()[:1], *traceback[-1:]])


class _Brief(logging.Formatter):
    """A failure in two lines: the whole story comes at the end, once for each kind."""

    def format(self, record: logging.LogRecord) -> str:
        failure = getattr(record, "failure", "")
        text = f"{record.levelname}: {brief(failure)}" if failure else super().format(record)
        no_more = NO_MORE if record.name == OURS else LUIGIS_NO_MORE
        return f"{text.rstrip()}\n    {no_more}" if getattr(record, "is_last", False) else text
