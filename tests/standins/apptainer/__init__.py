"""Stand-ins for Apptainer, as programs to be put on PATH: one that only clears, and one that really hides.

Both know the command `exec` and a few of its options, and refuse what Apptainer refuses, with its words. An image is a
text file that lists the folders of this machine that are in it. The environment does not pass into the container.
`bare` hides nothing, but refuses a command with a path that the container would not show. `real` makes a container of
namespaces with bubblewrap (package bubblewrap of Debian).
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path

import b2luigi

PROGRAM = Path(__file__).with_name("program.py")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")
"""What the images of tests contain."""


@functools.cache
def why_not_real() -> str:
    """Why this machine can have no real container; empty if it can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    try_it = ["bwrap", "--unshare-user", "--ro-bind", "/", "/", "true"]
    done = subprocess.run(try_it, capture_output=True, text=True)
    return f"bubblewrap cannot make a container: {done.stderr.strip()}" if done.returncode else ""


def put_apptainer(folder: Path, kind: str, name: str = "apptainer") -> Path:
    """Writes a stand-in into a folder, which is made if needed. `kind`: "bare" or "real"."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    text = PROGRAM.read_text().replace('KIND = "bare"', f"KIND = {kind!r}")
    path.write_text(f"#!{sys.executable} -IS\n{text}")
    path.chmod(0o755)
    return path


def put_image(path: Path) -> Path:
    """Writes an image with the programs of this machine, but for its Python."""
    path.write_text("\n".join(SYSTEM) + "\n")
    return path


def python_mounts() -> list[str]:
    """What a container has to show so that this Python, with this b2luigi, runs in it."""
    root = str(Path(b2luigi.__file__).parents[1])
    return list(dict.fromkeys((sys.prefix, sys.base_prefix, root)))
