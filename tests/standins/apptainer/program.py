"""The program of a stand-in of Apptainer."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

KIND = "bare"
WORDS = sys.argv[1:]
FLAGS = ("--cleanenv", "-e", "--nv", "--contain", "--containall")
KEPT = ("TERM", "USER", "HOME", "B2LUIGI_TESTS")
"""Variables that pass into the container; the tests know what they started by the last."""
FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


def fatal(text: str) -> NoReturn:
    print(f"FATAL:   {text}", file=sys.stderr)
    sys.exit(255)


def options(words: list[str]) -> tuple[list[str], list[str]]:
    """The binds, and the words from the image on."""
    binds: list[str] = []
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in ("--bind", "-B"):
            binds += re.split(r"(?<!\\),", words.pop(0))
        elif option not in FLAGS:
            print(f'Error for command "exec": unknown flag: {option}', file=sys.stderr)
            sys.exit(1)
    return binds, words


def mount(bind: str) -> tuple[str, str, bool]:
    """Source, destination, and whether it is read-only."""
    source, *rest = (re.sub(r"\\([:,])", r"\1", part) for part in re.split(r"(?<!\\):", bind))
    if not os.path.exists(source):
        fatal(f"container creation failed: mount hook function failure: mount source {source} doesn't exist")
    return source, rest[0] if rest else source, rest[1:] == ["ro"]


def is_shown(path: str, shown: list[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in shown)


def container(folders: list[str], mounts: list[tuple[str, str, bool]]) -> list[str]:
    """The words of bubblewrap."""
    words = ["bwrap", "--unshare-user", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for folder in folders:
        words += ["--ro-bind", folder, folder]
    for source, destination, read_only in mounts:
        words += ["--ro-bind" if read_only else "--bind", source, destination]
    return words


def main() -> None:
    if WORDS[:1] != ["exec"]:
        fatal(f"unknown command {WORDS[:1]}")
    binds, (image, *command) = options(WORDS[1:])
    try:
        folders = Path(image).read_text().split()
    except OSError:
        fatal(f"could not open image {os.path.abspath(image)}: failed to retrieve path for {image}")
    mounts = [mount(bind) for bind in binds]
    shown = [*folders, *(destination for _, destination, _ in mounts)]
    if not os.path.exists(command[0]) or not is_shown(command[0], shown):
        fatal(f"stat {command[0]}: no such file or directory")
    for word in command[1:]:
        if KIND == "bare" and os.path.exists(word) and not is_shown(word, shown):
            fatal(f"this container does not show {word}")
    env = {name: os.environ[name] for name in KEPT if name in os.environ}
    env["PATH"] = "/usr/local/bin:/usr/bin:/bin"
    run(container(folders, mounts) if KIND == "real" else [], command, env)


def run(enter: list[str], command: list[str], env: dict[str, str]) -> None:
    """Runs the command as a child, passes signals on to it, and ends as it does."""
    read, write = os.pipe()
    info = ["--info-fd", str(write), "--chdir", "/", "--"] if enter else []
    pid = 0

    def forward(number: int, frame: object) -> None:
        if pid:
            os.kill(pid, number)

    for number in FORWARDED:
        signal.signal(number, forward)
    child = subprocess.Popen([*enter, *info, *command], env=env, pass_fds=(write,), cwd=None if enter else "/")
    os.close(write)
    with open(read) as file:
        pid = json.load(file)["child-pid"] if enter else child.pid
    code = child.wait()
    sys.exit(code if code >= 0 else 128 - code)


main()
