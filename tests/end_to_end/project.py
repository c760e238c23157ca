"""A user's project in a folder of its own: a script, run as a user runs it, and what is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAST = "b2luigi.set_setting('poll_interval', 3)\nb2luigi.set_setting('result_grace', 4)\n"
"""Waits of a test: a cluster would suffer from them."""


@dataclass(frozen=True)
class Ended:
    """How a run of the script ended."""

    rc: int
    text: str
    """What it printed, both streams."""
    seconds: float

    @property
    def stories(self) -> dict[str, str]:
        """What was told about failed tasks at the end of the run, by task id."""
        _, heading, told = self.text.rpartition(" failed =====")
        if not heading:
            return {}
        found = re.split(r"\n(?=Task \S+ failed: )", told)
        return {match[1]: story for story in found if (match := re.search(r"task id: (\S+)", story))}


class Project:
    """A folder with a script of a user."""

    def __init__(self, folder: Path, env: Mapping[str, str], python: str = sys.executable) -> None:
        """`env`: added to the environment of the script; `python`: the interpreter that runs it."""
        self.folder, self.python = folder, python
        self.env = {**os.environ, **env}
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, text: str, name: str = "analysis.py") -> Path:
        """Writes the script; `import b2luigi` and short waits come first."""
        path = self.folder / name
        path.write_text(f"import os, sys, time\nimport b2luigi, luigi\n{FAST}" + textwrap.dedent(text))
        return path

    def start(self, *arguments: str, name: str = "analysis.py", cwd: Path | None = None) -> subprocess.Popen[str]:
        """Starts the script like a shell does: with Ctrl-C enabled."""
        return subprocess.Popen(
            [self.python, str(self.folder / name), *arguments],
            cwd=cwd or self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )

    def run(self, *arguments: str, name: str = "analysis.py", cwd: Path | None = None, timeout: float = 110) -> Ended:
        """Runs the script to its end."""
        return end_of(self.start(*arguments, name=name, cwd=cwd), timeout)

    def read(self, path: str) -> str:
        """The text of a file in the folder."""
        return (self.folder / path).read_text()

    def records(self) -> list[dict[str, Any]]:
        """The records of all attempts."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.rglob("attempt-*.json"))]

    def inboxes(self) -> list[Path]:
        """Inboxes that were not removed."""
        return list(self.folder.rglob("inbox-*"))


def end_of(process: subprocess.Popen[str], timeout: float = 110) -> Ended:
    """Waits for the end of a started script."""
    begin = time.monotonic()
    try:
        text, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        text, _ = process.communicate()
        raise AssertionError(f"the script did not end within {timeout} s:\n{text}") from None
    return Ended(process.returncode, text, time.monotonic() - begin)


def until(condition: Callable[[], object], what: str, timeout: float = 40.0) -> None:
    """Waits until something is true."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"waited {timeout} s in vain until {what}"
        time.sleep(0.05)
