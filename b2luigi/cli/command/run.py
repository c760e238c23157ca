"""`b2luigi run`: a script with its tasks as jobs, in this terminal or without it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from b2luigi.batch.messages.failure import visible
from b2luigi.cli.command.runs import CommandError, in_words
from b2luigi.cli.project_run import CODE
from b2luigi.core.project_words import is_project

FAILURE = "1"

Script = Annotated[Path, typer.Argument(help="Script that calls b2luigi.process().")]
Arguments = Annotated[list[str] | None, typer.Argument(help="After --: arguments of the script, and its other flags.")]
Detach = Annotated[bool, typer.Option("--detach", help="Go on without this terminal, also after you log out.")]


@in_words
def run(script: Script, arguments: Arguments = None, detach: Detach = False) -> None:
    """Run a script with its tasks as jobs, as `python SCRIPT --batch` does; the exit code is not 0 if it fails."""
    words = words_of(_script(script), arguments or [])
    if detach:
        from b2luigi.cli.command.detached import start

        start(script.absolute(), words)
        return
    become(words)


def words_of(script: Path, arguments: Sequence[str]) -> list[str]:
    """The command that runs a script with batch, by the interpreter of this process."""
    ours = [] if _has("--batch", arguments) else ["--batch"]
    program = ["-c", CODE] if is_project(script, arguments) else [str(script)]
    code = [] if _has("--failure-exit-code", arguments) else ["--failure-exit-code", FAILURE]
    return [sys.executable, *program, *ours, *code, *arguments]


def become(words: list[str]) -> NoReturn:
    """The script takes the place of this process: signals, exit code and terminal are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(words[0], words)


def _script(path: Path) -> Path:
    if not path.is_file():
        raise CommandError(f"There is no script {visible(str(path))} on {platform.node()}.")
    return path


def _has(flag: str, arguments: Sequence[str]) -> bool:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return any(word.partition("=")[0] == flag for word in own)
