"""What a person types at a terminal, and what the terminal then shows: run, and compared with what a page shows.

Both are compared after `same` has replaced what differs from run to run, by its name: a time, an id, a folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import platform
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import luigi
import pyte

import b2luigi

COLUMNS, ROWS = 300, 200
"""So large a terminal neither wraps a line nor scrolls."""
SIZE = ("COLUMNS", "LINES")
"""Variables that would count more than the size of the terminal; pytest-xdist sets the first."""
USER, HOST, VENV = "me", "laptop", "/home/me/venv/lib/python3/site-packages"
"""Who runs the commands of the pages, on which machine, and where packages are."""
WILDCARDS: Mapping[str, str] = {
    "run": r"\d{8}-\d{6}-[0-9a-f]{6}",
    "moment": r"\b\d\d:\d\d:\d\d\b",
    "duration": r"\b\d+(\.\d)? (s|min)\b( \d+ s\b)?",
    "memory": r"\b\d+(\.\d+)? [kMG]B\b",
    "job": r"(?<=local job )\d+",
    "process": r"(?<=pid )\d+|(?<=pid=)\d+|(?<=process )\d+",
    "salt": r"(?<=salt=)\d+",
    "line": r"(?<=luigi/worker.py\", line )\d+",
    "version": r"(?<=^b2luigi )\d\S*",
    "system": r"(?<= computed on ).*",
}
"""What is different in each run: its name, and how it looks."""
MARKS = re.compile(r"^[ |]*[\^~]+\n", flags=re.MULTILINE)
"""The line below a line of code in a traceback, which Python 3.10 does not print."""


@dataclass(frozen=True)
class Step:
    """A command, and what the terminal shows before the next one."""

    command: str
    shown: str


def steps(text: str) -> list[Step]:
    """The commands of a console block, each with its output."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [Step(command, shown.rstrip()) for command, _, shown in (part.partition("\n") for part in parts)]


def same(text: str) -> str:
    """A text in which everything that differs from run to run is replaced by its name."""
    for name, pattern in WILDCARDS.items():
        text = re.sub(pattern, f"<{name}>", text, flags=re.MULTILINE)
    return MARKS.sub("", text + "\n").rstrip()


class Person:
    """Somebody at a terminal in a folder, with the command `b2luigi` and, on the pages, another name for the folder."""

    def __init__(self, folder: Path, name: str, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        programs = folder.with_name(f"{folder.name}.programs")
        for path in (folder, programs):
            path.mkdir(parents=True, exist_ok=True)
        for program, words in (("b2luigi", "-m b2luigi"), ("python", "")):
            (programs / program).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
            (programs / program).chmod(0o755)
        tree = str(Path(b2luigi.__file__).parents[1])
        base = {name: value for name, value in os.environ.items() if name not in SIZE} | dict(env or {})
        self._env = {
            **base,
            "TERM": "xterm",
            "PATH": f"{programs}{os.pathsep}{base['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, (tree, base.get("PYTHONPATH")))),
        }
        self._names = {
            str(folder): name,
            tree: VENV,
            str(Path(luigi.__file__).parents[1]): VENV,
            f"of {getpass.getuser()} on {platform.node()}": f"of {USER} on {HOST}",
            f"on node {platform.node()}": f"on node {HOST}",
            f"host={platform.node()}, username={getpass.getuser()}": f"host={HOST}, username={USER}",
        }

    def types(self, command: str) -> tuple[int, str]:
        """The exit code of a command, and what the terminal shows when it has ended."""
        screen = pyte.Screen(COLUMNS, ROWS)
        screen.set_mode(pyte.modes.LNM)
        stream = pyte.ByteStream(screen)
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._env,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
        )
        os.close(slave)
        with contextlib.suppress(OSError):  # nobody has the terminal open any more
            while data := os.read(master, 65536):
                stream.feed(data)
        os.close(master)
        text = "\n".join(line.rstrip() for line in screen.display).rstrip()
        return process.wait(), self.named(text)

    def named(self, text: str) -> str:
        """A text with the names of the pages for folder, user and machine."""
        for ours in sorted(self._names, key=len, reverse=True):  # the one may be in the other
            text = text.replace(ours, self._names[ours])
        return text

    def follows(self, step: Step) -> None:
        """Types a command, and compares: the exit code is 1 where the page says so, else 0."""
        code, text = self.types(step.command)
        assert same(text) == same(step.shown), f"$ {step.command}\n{text}"
        assert code == (1 if "The script ends with exit code 1" in step.shown else 0), step.command
