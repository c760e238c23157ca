"""Small files: atomic writes, so that nobody ever reads half of one, and reads that never block."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path


class NotRegularError(OSError):
    """Something else than a file is in its place: a FIFO, a device, a folder."""


def read_text(path: Path, most: int = -1, errors: str = "strict") -> str:
    """The text of a file, at most `most` bytes of it. Raises OSError and UnicodeDecodeError.

    A FIFO in its place, to which nobody may ever write, raises NotRegularError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError(errno.EINVAL, "not a regular file", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most).decode(errors=errors)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, text: str, mode: int) -> None:
    """Writes a temporary file next to `path` and renames it. `mode`: its permissions, regardless of the umask.

    Surrogate escapes in the text are written as the original bytes. Raises OSError, and leaves no file behind then.
    """
    _write(path, text, mode, os.replace)


def create_atomically(path: Path, text: str, mode: int) -> None:
    """Like `write_atomically`, for a new file. Raises FileExistsError if it exists, even if created just now."""
    _write(path, text, mode, _link)


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # atomic, and fails if the file exists, on network file systems as well
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(temporary, path)
    else:
        os.unlink(temporary)


def _write(path: Path, text: str, mode: int, put: Callable[[Path, Path], None]) -> None:
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text.encode(errors="surrogateescape"))
        put(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.filename is None:  # the error of a full disk names no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
