"""A disk that charges for each file operation, as AFS, EOS, NFS and Lustre do: a library for LD_PRELOAD."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "benchmarks" / "scripts" / "slow_disk.c"


def slow_disk(folder: Path, milliseconds: float, below: Path | None = None) -> dict[str, str]:
    """The environment of a program that waits for each file operation; the library is compiled into `folder`.

    `below`: only operations in this folder are slow. Raises OSError if there is no C compiler, or if it fails.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise OSError("A slow disk is imitated by a library in C, and there is no C compiler: please install gcc.")
    library = folder / "slow_disk.so"
    words = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
    made = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if made.returncode != 0:
        raise OSError(f"{compiler} cannot compile {SOURCE}: {made.stderr}")
    where = {"B2LUIGI_DELAY_BELOW": str(below)} if below is not None else {}
    return {"LD_PRELOAD": str(library), "B2LUIGI_DELAY_MS": str(milliseconds), **where}
