"""Small files written so that nobody ever reads half of one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_aside(path: Path, text: str, mode: int) -> None:
    """Writes a file beside its place and renames it there. `mode`: its permissions, whatever the umask.

    File names that are no UTF-8 keep their bytes. Raises OSError; nothing is left behind then.
    """
    aside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text.encode(errors="surrogateescape"))
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        if error.filename is None:  # a full disk does not say which
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
