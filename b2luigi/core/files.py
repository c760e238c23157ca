"""Small files written so that nobody ever reads half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write_aside(path: Path, text: str, mode: int) -> None:
    """Writes a file beside its place and renames it there. `mode`: its permissions, whatever the umask.

    File names that are no UTF-8 keep their bytes. Raises OSError; nothing is left behind then.
    """
    _write(path, text, mode, os.replace)


def create_aside(path: Path, text: str, mode: int) -> None:
    """The same for a file that must not be there yet. Raises FileExistsError if it is, even if made just now."""
    _write(path, text, mode, _link)


def _link(aside: Path, path: Path) -> None:
    try:
        os.link(aside, path)  # the classic way to create a file that is whole at once, on network file systems, too
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(aside, path)
    else:
        os.unlink(aside)


def _write(path: Path, text: str, mode: int, put: Callable[[Path, Path], None]) -> None:
    aside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text.encode(errors="surrogateescape"))
        put(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        if error.filename is None:  # a full disk does not say which
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
