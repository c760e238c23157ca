"""Spool: lines for the files of a run, appended in batches by a thread, so that nobody waits for a disk."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

logger = logging.getLogger("luigi-interface.b2luigi")

EVERY = 1.0
"""Seconds between two batches, and so what a run that is killed loses at most."""
PATIENCE = 5.0
"""Seconds that the end of a run waits for the last batch: a network file system may be away."""


class File:
    """One file that grows, with its mode; both are asked for when they are needed."""

    def __init__(self, path: Callable[[], Path], mode: Callable[[], int]) -> None:
        self._path, self._mode = path, mode
        self._rest = b""

    def append(self, text: str) -> None:
        """Writes a text, after what could not be written before. Raises OSError; nothing is lost then."""
        self._rest += _encoded(text)
        if not self._rest:
            return
        descriptor = os.open(self._path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, self._mode())
        try:
            while self._rest:
                self._rest = self._rest[os.write(descriptor, self._rest) :]
        finally:
            os.close(descriptor)  # an error of close() is an error of a file server: it has the text, or has lost it


class Spool:
    """The thread that writes.

    `make`: makes the folder of the files, or raises OSError; `parts`: the files, and what gives the text that is new
    for each; `then`: called once, after the first batch.
    """

    def __init__(
        self,
        make: Callable[[], object],
        parts: Sequence[tuple[File, Callable[[], str]]],
        then: Callable[[], object] = lambda: None,
    ) -> None:
        self._make, self._parts, self._then = make, parts, then
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_failing = False

    def start(self, every: float = EVERY) -> None:
        """Begins to write, now and then every so many seconds."""
        thread = threading.Thread(target=self._work, args=(every,), name="b2luigi-journal", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no room for a thread: all is written at the end
            return
        self._thread = thread

    def stop(self, patience: float = PATIENCE) -> None:
        """Writes the last batch, and waits so many seconds for that."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(patience)
        else:
            self.write()

    def _work(self, every: float) -> None:
        self.write()
        try:
            self._then()
        except Exception as error:  # a setting that cannot work
            logger.warning("Could not remove the folders of old runs: %s: %s", type(error).__name__, error)
        while not self._stopped.wait(every):
            self.write()
        self.write()

    def write(self) -> None:
        """Writes what is new. What cannot be written is kept for the next time."""
        try:
            self._make()
            for file, text in self._parts:
                file.append(text())
        except OSError as error:
            if not self._is_failing:
                self._is_failing = True
                logger.warning("The journal of this run cannot be written for now, its jobs keep running: %s", error)
        else:
            self._is_failing = False


class Lines:
    """Lines, added by any thread and taken by one. No locks: a process that is forked would inherit them."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self.add = self._lines.append

    def take(self) -> str:
        """All lines so far as one text, each with its end."""
        taken = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._lines.popleft())
        taken.append("")
        return "\n".join(taken)


def _encoded(text: str) -> bytes:
    """As the bytes it was read from; what comes from no bytes, as Python shows it."""
    try:
        return text.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", errors="backslashreplace")


def file_mode(base: Path) -> int:
    """Who may write to the task file folder may read what happens in it, and nobody else."""
    return 0o640 if _is_shared(base) else 0o600


def make_folder(base: Path, folder: Path) -> None:
    """Makes the folder of a run, two levels below the task file folder, where it is not there. Raises OSError."""
    if folder.is_dir():
        return
    runs = folder.parent
    if not runs.is_dir():
        runs.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # a colleague was faster
            runs.chmod(stat.S_IMODE(base.stat().st_mode))  # whoever may run in this folder makes folders here, too
    folder.mkdir(mode=0o700, exist_ok=True)
    if _is_shared(base):
        folder.chmod(0o750)


def _is_shared(base: Path) -> bool:
    return bool(base.stat().st_mode & stat.S_IWGRP)
