"""Small files: atomic writes, so that nobody ever reads half of one, and reads that never block."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

BLOCK = 64 * 1024
"""Bytes that are read at once."""


class NotRegularError(OSError):
    """Something else than a file is in its place: a FIFO, a device, a folder."""


def read_text(path: str | Path, most: int = -1, errors: str = "strict") -> str:
    """The text of a file, at most `most` bytes of it. Raises OSError and UnicodeDecodeError.

    A FIFO in its place, to which nobody may ever write, raises NotRegularError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError(errno.EINVAL, "not a regular file", str(path))
        return _bytes_of(descriptor, most).decode(errors=errors)
    finally:
        os.close(descriptor)


def _bytes_of(descriptor: int, most: int) -> bytes:
    """`open()` would ask four questions about the file first, of which there are some for each job."""
    parts, left = [], most
    while left and (part := os.read(descriptor, BLOCK if most < 0 else min(left, BLOCK))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def write_atomically(path: Path, text: str, mode: int) -> None:
    """Writes a temporary file next to `path` and renames it. `mode`: its permissions, regardless of the umask.

    Surrogate escapes in the text are written as the original bytes. Raises OSError, and leaves no file behind then.
    """
    _write(path, text, mode, os.replace)


def create_atomically(path: Path, text: str, mode: int) -> None:
    """Like `write_atomically`, for a new file. Raises FileExistsError if it exists, even if created just now."""
    _write(path, text, mode, _link)


def replace_end(path: Path, size: int, end: str, text: str) -> bool:
    """Writes `text` in place of `end`, the last characters of a small file of ASCII with `size` bytes.

    False, and the file is as before, if it is another one by now, or cannot be written. It is not atomic: somebody who
    reads it at that moment may see it torn, and so may all if the machine breaks down.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return False
    start = size - len(end)
    try:
        status = os.fstat(descriptor)
        is_known = stat.S_ISREG(status.st_mode) and status.st_size == size
        if not is_known or os.pread(descriptor, len(end), start) != end.encode():
            return False
        try:
            if os.pwrite(descriptor, text.encode(), start) == len(text):
                return True
        except OSError:
            pass
        os.pwrite(descriptor, end.encode(), start)  # a full disk
        os.ftruncate(descriptor, size)
        return False
    finally:
        os.close(descriptor)


def _link(temporary: str, path: Path) -> None:
    try:
        os.link(temporary, path)  # atomic, and fails if the file exists, on network file systems as well
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(temporary, path)
    else:
        os.unlink(temporary)


def _write(path: Path, text: str, mode: int, put: Callable[[str, Path], None]) -> None:
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            if mode & 0o077:  # what is its owner's alone is so with any umask
                os.fchmod(descriptor, mode)
            rest = memoryview(text.encode(errors="surrogateescape"))
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
        put(temporary, path)
    except OSError as error:
        _remove(temporary)
        if error.filename is None:  # the error of a full disk names no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def in_folder(folder: Path, write: Callable[[], None]) -> None:
    """Writes something into a folder, which is made if it is not there. Raises what `write` raises, and OSError."""
    try:
        write()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        write()


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Like `os.makedirs(folder, exist_ok=True)`, in fewer operations: where its parent is there, in one."""
    try:
        os.mkdir(folder)
    except FileNotFoundError:
        parent = os.path.dirname(os.fspath(folder).rstrip("/"))
        if not parent:
            raise
        make_folder(parent)
        with contextlib.suppress(FileExistsError):  # by somebody else, meanwhile
            os.mkdir(folder)
    except OSError:  # where we may not write, some file systems do not say that it exists
        if not os.path.isdir(folder):
            raise


class Folders:
    """Makes folders with few operations, since it remembers some that are there. Any thread may call it."""

    REMEMBERED = 1000
    """Folders, and at most twice as many; those of 100,000 tasks would take memory for nothing."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        self._was_new = False

    def make(self, folder: Path) -> bool:
        """Makes a folder with its parents; True if it was not there before. Raises OSError."""
        # Where tasks are new, most of their folders' parents are new, too; where they are not, nothing is.
        path = self._missing(str(folder)) if self._was_new else []
        try:
            made = [_make(one) for one in path]
        except FileNotFoundError:  # what was known to be there has gone
            self._known.clear()
            made = []
        if not made:
            path, made = _make_with_parents(str(folder))
        self._was_new = made[-1]
        self._remember(_above(path[0]), *path[:-1])
        return made[-1]

    def _missing(self, folder: str) -> list[str]:
        """From above: what is not known to be there of a folder and its parents; empty if none of these is known."""
        path = [folder]
        while (parent := _above(path[-1])) != path[-1]:
            if parent in self._known:
                return path[::-1]
            path.append(parent)
        return []

    def _remember(self, *folders: str) -> None:
        for folder in folders:
            self._known.pop(folder, None)  # the last that were used stay
            self._known[folder] = None
        if len(self._known) > 2 * self.REMEMBERED:  # seldom, since this looks at all of them
            for folder in list(self._known)[: -self.REMEMBERED]:
                self._known.pop(folder, None)


def _above(folder: str) -> str:
    return os.path.dirname(folder) or folder


def _make(folder: str) -> bool:
    try:
        os.mkdir(folder)
    except FileNotFoundError:
        raise
    except FileExistsError:  # a file in its place is reported by whoever looks into the folder
        return False
    except OSError:  # where we may not write, some file systems say that first
        if not os.path.isdir(folder):
            raise
        return False
    return True


def _make_with_parents(folder: str) -> tuple[list[str], list[bool]]:
    """What was missing, or at least tried, from above, and whether it is new."""
    try:
        return [folder], [_make(folder)]
    except FileNotFoundError:
        if folder == _above(folder):  # the current folder is gone
            raise
        above, made = _make_with_parents(_above(folder))
        return [*above, folder], [*made, _make(folder)]
