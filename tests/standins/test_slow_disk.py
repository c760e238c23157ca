"""The stand-in of a slow disk: it charges for each file operation below a folder, and for none elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.standins.slow_disk import slow_disk

OPERATIONS = """
import os, sys, time
os.chdir(sys.argv[1])
here = os.getcwd()
for operation in (
    lambda: os.path.exists(f"{here}/a"), lambda: os.mkdir(f"{here}/b"), lambda: open(f"{here}/c", "w").close(),
    lambda: os.link(f"{here}/c", f"{here}/d"), lambda: os.rename(f"{here}/d", f"{here}/e"),
    lambda: os.listdir(here), lambda: os.lstat(f"{here}/e"), lambda: os.unlink(f"{here}/e"),
):
    began = time.monotonic()
    operation()
    print(time.monotonic() - began)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_each_operation_takes_its_time(tmp_path: Path) -> None:
    """stat, mkdir, open, link, rename, opendir, unlink: in the slow folder, and not in another one."""
    took: dict[str, list[float]] = {}
    for name in ("slow", "fast"):
        (tmp_path / name).mkdir()
        env = {**os.environ, **slow_disk(tmp_path, 50, below=tmp_path / "slow")}
        words = [sys.executable, "-c", OPERATIONS, str(tmp_path / name)]
        printed = subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout
        took[name] = [float(line) for line in printed.split()]
    assert min(took["slow"]) >= 0.05
    assert min(took["fast"]) < 0.05


def test_without_a_compiler_that_is_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="no C compiler: please install gcc"):
        slow_disk(tmp_path, 2)
