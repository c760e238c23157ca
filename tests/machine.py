"""This machine as the tests find it, and as one without any batch system."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

PATH = os.environ.get("PATH", os.defpath)
"""Where programs are found, those of real batch systems among them."""

MARK = "B2LUIGI_TESTS"
"""Variable by which processes are known that a test has started, itself or by others."""


def no_room(thread: threading.Thread) -> None:
    """What Python does where the user has as many processes as the machine allows."""
    raise RuntimeError("can't start new thread")


def without_mark() -> dict[str, str]:
    """The environment for what outlives a test: clusters that many tests use."""
    return {name: value for name, value in os.environ.items() if name != MARK}


def path_without(programs: Iterable[str], folder: Path) -> str:
    """A PATH with everything that is on this machine's but these programs; `folder` is made and filled if needed."""
    unwanted = {name for name in programs if shutil.which(name, path=PATH)}
    if not unwanted:
        return PATH
    folder.mkdir()
    for place in filter(os.path.isdir, PATH.split(os.pathsep)):
        for name in os.listdir(place):
            link = folder / name
            if name not in unwanted and not link.is_symlink():
                link.symlink_to(os.path.join(place, name))
    return str(folder)


def processes_with(variable: str) -> dict[int, str]:
    """The processes of this machine that were started with a variable `NAME=value`: id and command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # somebody else's, or it has ended
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                found[int(folder.name)] = b" ".join(words).decode(errors="replace")
    return found
