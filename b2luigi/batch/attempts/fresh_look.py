"""A look at a folder of a network file system itself, instead of at what this machine remembers of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def look_again(folder: Path) -> bool:
    """Makes a network file system look at the folder itself instead of at what it remembers of it.

    False if it cannot be read for now.
    """
    with contextlib.suppress(OSError):
        os.utime(folder)
    try:
        os.listdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def look_at_folders_of(targets: Iterable[Any]) -> None:
    """The same for the folders of targets that are files of this machine."""
    paths = (getattr(target, "path", None) for target in targets)
    for folder in {os.path.dirname(path) for path in paths if isinstance(path, str) and os.path.isabs(path)}:
        look_again(Path(folder))
