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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import until

RUN = 250.0
"""Seconds after which a script, which normally ends within some, is taken to hang."""
WAIT_FOR = """
def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.05)

"""
"""For jobs that work until the test lets them end, by a file in the folder of the script."""
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
        """What was printed about failed tasks at the end of the run, by task id."""
        _, heading, text = self.text.partition("\n\nLog of this run: ")[0].rpartition(" failed =====")
        if not heading:
            return {}
        text = re.split(r"\n\n(?=[\d,]+ of [\d,]+ tasks done)", text)[0]
        found = re.split(r"\n(?=Task \S+ failed: )", text)
        return {match[1]: story for story in found if (match := re.search(r"task id: (\S+)", story))}


class Started(subprocess.Popen[str]):
    """A script that was started; what it prints, on both streams, goes to a file."""

    def __init__(self, words: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path) -> None:
        self._log = log
        with open(log, "wb") as file:
            super().__init__(
                words,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
            )

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def until_printed(self, words: str) -> None:
        """Waits until it has printed these words."""
        until(lambda: words in self.printed or self.poll() is not None, f"the script prints {words!r}")
        assert words in self.printed, self.printed


RECORD = re.compile(r"attempt-[0-9]+\.json")


class Project:
    """A folder with a script of a user."""

    def __init__(self, folder: Path, env: Mapping[str, str], python: str = sys.executable) -> None:
        """`env`: added to the environment of the script; `python`: the interpreter that runs it."""
        self.folder, self.python = folder, python
        self.env = {**os.environ, **env}
        self._starts = 0
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, text: str, name: str = "analysis.py") -> Path:
        """Writes the script; `import b2luigi` and short waits come first."""
        path = self.folder / name
        path.write_text(f"import os, sys, time\nimport b2luigi, luigi\n{FAST}{WAIT_FOR}" + textwrap.dedent(text))
        return path

    def start(self, *arguments: str, name: str = "analysis.py", cwd: Path | None = None) -> Started:
        """Starts the script like a shell does: with Ctrl-C enabled."""
        return self.start_python(str(self.folder / name), *arguments, cwd=cwd)

    def start_python(self, *words: str, cwd: Path | None = None) -> Started:
        """Starts Python with these words."""
        self._starts += 1
        log = self.folder.with_name(f"{self.folder.name}.printed-{self._starts}")
        return Started([self.python, *words], cwd or self.folder, self.env, log)

    def run(self, *arguments: str, name: str = "analysis.py", cwd: Path | None = None) -> Ended:
        """Runs the script to its end."""
        return end_of(self.start(*arguments, name=name, cwd=cwd))

    def touch(self, name: str) -> None:
        """Makes an empty file in the folder, for which jobs may wait."""
        (self.folder / name).touch()

    def read(self, path: str) -> str:
        """The text of a file in the folder."""
        return (self.folder / path).read_text()

    def records(self) -> list[dict[str, Any]]:
        """The records of all attempts."""
        # Not by rglob, which fails if a folder goes meanwhile.
        found = [Path(folder) / name for folder, _, names in os.walk(self.folder) for name in names]
        return [json.loads(path.read_text()) for path in sorted(found) if RECORD.fullmatch(path.name)]

    def inboxes(self) -> list[Path]:
        """Inboxes that were not removed."""
        return list(self.folder.rglob("inbox-*"))


def end_of(process: Started) -> Ended:
    """Waits for the end of a started script."""
    begin = time.monotonic()
    try:
        process.wait(RUN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"the script did not end within {RUN:.0f} s:\n{process.printed}") from None
    return Ended(process.returncode, process.printed, time.monotonic() - begin)
