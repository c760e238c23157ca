"""The log of a run: all that luigi and b2luigi log, whatever the terminal shows."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator

LOGGERS = ("luigi-interface", "luigi")
LEVEL = logging.INFO
"""What the file has at least, even if the user wants less on the terminal."""


class LogHandler(logging.Handler):
    """Hands each record on as one text, from `attach` to `detach`.

    `add` takes a text; `add_now` takes one of a forked child, or of the time after the run, when nobody collects them.
    `note` is called with each record of this process.
    """

    def __init__(
        self,
        add: Callable[[str], object],
        add_now: Callable[[str], object],
        note: Callable[[logging.LogRecord], object],
    ) -> None:
        super().__init__()
        self._add, self._add_now, self._note = add, add_now, note
        self._pid = os.getpid()
        self.is_late = False
        """The run is over, but luigi's summary is still to come."""
        self._formatter = logging.Formatter()
        self._second, self._time = 0, ""
        self._lowered: list[tuple[logging.Logger, int, _NotBelow]] = []

    def handle(self, record: logging.LogRecord) -> bool:
        """Called by logging. Needs no lock: nothing here waits."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        try:
            text = f"{self._moment(record.created)} {record.levelname} {self._words(record)}"
            if self.is_late or os.getpid() != self._pid:
                self._add_now(text)
            else:
                self._add(text)
            if record.levelno < logging.WARNING:
                return
            self._note(record)
            if _is_alone(logging.getLogger(record.name)):
                _last_resort(record)
        except Exception:
            self.handleError(record)

    def attach(self) -> None:
        """Begins to listen. A run before this one is not listened to any more."""
        for logger in map(logging.getLogger, LOGGERS):
            for other in [other for other in logger.handlers if isinstance(other, LogHandler) and other.is_late]:
                other.detach()
            self._lower(logger)
            logger.addHandler(self)

    def detach(self) -> None:
        """Hears nothing more."""
        self.restore()
        for logger in map(logging.getLogger, LOGGERS):
            logger.removeHandler(self)

    def restore(self) -> None:
        """Loggers let pass again what the user wants."""
        for logger, level, below in self._lowered:
            if logger.level == LEVEL:
                logger.setLevel(level)
            for handler in _handlers(logger):
                handler.removeFilter(below)
        self._lowered = []

    def _lower(self, logger: logging.Logger) -> None:
        """The logger lets pass what belongs into the file, and its other handlers get what they got before."""
        before = logger.getEffectiveLevel()
        if logger.name == LOGGERS[0] and before > LEVEL and not logger.disabled:
            below = _NotBelow(before, logger.name)
            for handler in _handlers(logger):
                handler.addFilter(below)
            self._lowered.append((logger, logger.level, below))
            logger.setLevel(LEVEL)

    def _words(self, record: logging.LogRecord) -> str:
        is_plain = not (record.exc_info or record.exc_text or record.stack_info)
        return record.getMessage() if is_plain else self._formatter.format(record)

    def _moment(self, created: float) -> str:
        second = int(created)
        if second != self._second:
            self._second, self._time = second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return self._time


class _NotBelow(logging.Filter):
    """Keeps from a handler the records that are only for the file."""

    def __init__(self, level: int, name: str) -> None:
        super().__init__()
        self._level, self._name = level, name

    def filter(self, record: logging.LogRecord) -> bool:
        """Called by logging."""
        return record.levelno >= self._level or record.name.partition(".")[0] != self._name


def _handlers(logger: logging.Logger) -> Iterator[logging.Handler]:
    """All handlers that get its records, but ours."""
    found: logging.Logger | None = logger
    while found is not None:
        yield from (handler for handler in found.handlers if not isinstance(handler, LogHandler))
        found = found.parent if found.propagate else None


def _is_alone(logger: logging.Logger) -> bool:
    return next(_handlers(logger), None) is None


def _last_resort(record: logging.LogRecord) -> None:
    """What Python does for loggers without a handler: ours must not be a reason to say nothing."""
    if logging.lastResort is not None and record.levelno >= logging.lastResort.level:
        logging.lastResort.handle(record)
