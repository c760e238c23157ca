"""Atomic writes of small files: nobody ever reads half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


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
