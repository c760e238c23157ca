"""Makes the picture of a run, docs/_static/run.svg:  pip install -e '.[dev]' && python docs/make_picture.py

A real run of the project of the quick start, with more and slower simulations, one of which fails. A terminal shows its
live block; when enough tasks are done, what the terminal shows becomes the picture, and Ctrl-C ends the run.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import platform
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import pyte
from pyte.screens import Char
from rich.console import Console
from rich.text import Text

from b2luigi.cli.command.init import PARAMETERS, TASKS

PICTURE = Path(__file__).with_name("_static") / "run.svg"
COLUMNS, ROWS = 96, 24
FOLDER, HOST = "/home/me/scan", "laptop"
"""What the picture says instead of the temporary folder and the name of this machine."""
SCAN, SLOW = "[0.5, 1.0, 1.5, 2.0, 2.5]", "        dice = "
WORK = """        time.sleep(1)
        if (self.lifetime, self.seed) == (UNLUCKY, 2):
            raise ValueError("no such detector")
"""
SETTINGS = {"result_dir": "results", "batch_system": "local", "local_slots": 6}
COLOURS = {"brown": "yellow", "brightblack": "bright_black", "default": ""}
"""Colours that rich calls by other names than pyte."""
FONTS = re.compile(r"@font-face \{.*?\}\s*", flags=re.DOTALL)
"""Fonts that a viewer would have to load from elsewhere."""


def picture(lifetimes: int, done: int) -> str:
    """An SVG of the run of a scan of so many lifetimes, when so many tasks are done and one has failed."""
    with tempfile.TemporaryDirectory() as folder:
        _write_project(Path(folder), lifetimes)
        screen = _screen_of_run(folder, done)
        names = {folder: FOLDER, f"on node {platform.node()}": f"on node {HOST}"}
        return _svg([_line(screen.buffer[row], names) for row in range(ROWS)])


def _write_project(folder: Path, lifetimes: int) -> None:
    values = [round(0.1 * n, 1) for n in range(5, 5 + lifetimes)]
    work = WORK.replace("UNLUCKY", str(values[lifetimes // 2]))
    tasks = TASKS.replace(SCAN, str(values)).replace(SLOW, work + SLOW)
    (folder / "tasks.py").write_text(f"import time\n{tasks}")
    (folder / "parameters.py").write_text(PARAMETERS)
    (folder / "settings.json").write_text(json.dumps(SETTINGS))


def _screen_of_run(folder: str, done: int) -> pyte.Screen:
    screen = pyte.Screen(COLUMNS, ROWS)
    screen.set_mode(pyte.modes.LNM)
    stream = pyte.ByteStream(screen)
    stream.feed(b"$ b2luigi run Plot\n")
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "b2luigi", "run", "Plot"],
        cwd=folder,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    while not _is_shown(screen.display, done):
        stream.feed(os.read(master, 65536))  # fails if the run ends before
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # nobody has the terminal open any more
        while os.read(master, 65536):
            pass
    os.close(master)
    process.wait()
    return screen


def _is_shown(lines: Sequence[str], done: int) -> bool:
    found = re.search(r"(\d+) of \d+ tasks done, 1 failed", "\n".join(lines))
    return found is not None and int(found[1]) >= done and lines[-1].startswith("Last failure: ")


def _line(row: Mapping[int, Char], names: Mapping[str, str]) -> Text:
    line = Text()
    for style, chars in groupby((row[column] for column in range(COLUMNS)), _style):
        line.append("".join(char.data for char in chars), style)
    for ours, theirs in names.items():
        before, found, after = line.plain.partition(ours)
        if found:
            line = Text.assemble(line[: len(before)], theirs, line[len(line) - len(after) :])
    line.rstrip()
    return line


def _style(char: Char) -> str:
    return f"{'bold ' if char.bold else ''}{COLOURS.get(char.fg, char.fg)}".strip()


def _svg(lines: Sequence[Text]) -> str:
    """Without the empty lines between the messages and the block, but for one."""
    shown = [line for before, line in zip(["", *map(str, lines)], lines, strict=False) if before or line.plain]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="standard")
    for line in shown:
        console.print(line, no_wrap=True, overflow="crop")
    return FONTS.sub("", console.export_svg(title="b2luigi", unique_id="run"))


if __name__ == "__main__":
    PICTURE.write_text(picture(lifetimes=16, done=40))
