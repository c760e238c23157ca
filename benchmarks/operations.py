"""Operations on files, counted with strace over a command and all processes and threads that it starts.

What counts are those that a network file system charges for: calls that name a path (stat, open, mkdir, rename, link,
unlink, chmod, utime, exec, opendir and their kin), `fsync` and `fchmod`; not `read`, `write`, `close`. And only those
in the folder of a project, on its parents, or in search of a settings.json: not those of the interpreter's own
installation. `of_interpreter` tells those that Python's start and luigi's cost, whatever b2luigi does.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|\?)(?:<[^>]*>)?(?: (E\w+))?")
_AT = re.compile(r'(?:AT_FDCWD|\d+)<([^>]*)>, "((?:[^"\\]|\\.)*)"')
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")
_OF_DESCRIPTORS = ("fsync", "fdatasync", "fchmod")
TRACED = ("%file", *_OF_DESCRIPTORS, "chdir", "fchdir")
_STATS = ("stat", "lstat", "newfstatat", "statx")
_SKIPPED = ("chdir", "fchdir", "getcwd")


@dataclass(frozen=True)
class Operation:
    """One call."""

    call: str
    path: str
    error: str = ""
    """Its error, `ENOENT` for example; empty if it succeeded."""


def traced(words: Sequence[str], folder: Path, env: Mapping[str, str], timeout: float = 120) -> list[Operation]:
    """The operations of a command that are those of a project in `folder`, in which it is started.

    Raises CalledProcessError if it fails, and FileNotFoundError where there is no strace.
    """
    with tempfile.TemporaryDirectory() as scratch:
        strace = ("strace", "-ff", "-y", "-qq", "-s", "4096", "-e", f"trace={','.join(TRACED)}", "-e", "signal=none")
        words = [*strace, "-o", f"{scratch}/trace", *words]
        subprocess.run(words, cwd=folder, env=dict(env), check=True, capture_output=True, timeout=timeout)
        traces = sorted(Path(scratch).iterdir())
        return [operation for trace in traces for operation in _operations(trace, folder) if _counts(operation, folder)]


def of_interpreter(operation: Operation, folder: Path) -> bool:
    """Whether it is one of Python's own start, or of luigi's: reading the script, and looking for modules beside it."""
    is_import = operation.path == str(folder) and operation.call in (*_STATS, "openat")
    is_script = operation.path.endswith(".py") or "__pycache__" in operation.path
    is_config = os.path.basename(operation.path) in ("luigi.cfg", "client.cfg", "luigi.toml")
    return is_import or is_script or is_config or operation.call == "readlink"


def _operations(trace: Path, folder: Path) -> Iterator[Operation]:
    """One process's; relative paths of calls without a descriptor start at `folder`."""
    for line in trace.read_text(errors="replace").splitlines():
        found = _CALL.match(line)
        if found is None or found[1] in _SKIPPED:
            continue
        call, arguments, error = found[1], found[2], found[4] or ""
        if call in _OF_DESCRIPTORS:
            named = _DESCRIPTOR.match(arguments)
            yield Operation(call, named[1] if named else "", error)
        elif at := _AT.match(arguments):
            if not at[2]:  # of an open file: its attributes came with it
                continue
            yield Operation(call, os.path.normpath(os.path.join(at[1], at[2])), error)
        elif path := _PATH.match(arguments):
            yield Operation(call, os.path.normpath(os.path.join(folder, path[1])), error)


def _counts(operation: Operation, folder: Path) -> bool:
    path = operation.path
    below = path == str(folder) or path.startswith(f"{folder}/")
    above = path != "/" and str(folder).startswith(f"{path}/")
    return below or above or os.path.basename(path) == "settings.json"
