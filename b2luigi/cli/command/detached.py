"""A run that goes on without the terminal: how it starts, and what may end it."""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import NoReturn

import typer

from b2luigi.batch.messages.failure import tail
from b2luigi.cli.command.leaving import dangers
from b2luigi.cli.command.runs import CommandError

PATIENCE = 60.0
"""Seconds to wait until the run has submitted its first job, or has failed to."""
GLANCE = 0.1
_LOG = re.compile(r"Log of this run: (.+)")


def start(script: Path, words: list[str]) -> None:
    """Starts a script in a session of its own; ends the command with its exit code if it ends at once."""
    output = _output_of(script)
    pid = _spawn(words, output)
    typer.echo(f"Process {pid} on {platform.node()}; output: {output}")
    log = _begun(pid, output)
    if log:
        typer.echo(f"log: {log}")
    else:
        typer.echo(f"It has been checking its tasks for more than {PATIENCE:.0f} s, and has no job yet.")
    typer.echo(f"To see it: b2luigi attach --in {script}")
    for danger in dangers():
        typer.echo(f"Note: {danger}", err=True)


def _output_of(script: Path) -> Path:
    """A new file beside the script, or here if that folder is not ours."""
    name = f"{script.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    for folder in (script.parent, Path.cwd()):
        for number in ("", *(f"-{count}" for count in range(1, 100))):
            path = folder / f"{name}{number}.out"
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                continue
            except OSError:
                break
            return path
    raise CommandError(f"The output of the run cannot be written, neither in {script.parent} nor here.")


def _spawn(words: list[str], output: Path) -> int:
    """The process id of a child that has no terminal, and gets none of the signals of ours."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _become_detached(words, output)
    return pid


def _become_detached(words: list[str], output: Path) -> NoReturn:
    try:
        os.setsid()
        nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_APPEND)
        for source, target in ((nothing, 0), (file, 1), (file, 2)):
            os.dup2(source, target)
        os.execv(words[0], words)
    finally:
        os._exit(127)


def _begun(pid: int, output: Path) -> str:
    """The log of a run once it has one; empty if that takes long. Ends the command if the run ends before."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        text = output.read_text(errors="replace")
        if ended:
            typer.echo(tail([output]), err=True)
            code = os.waitstatus_to_exitcode(status)
            typer.echo(f"It has ended already, with exit code {code}.", err=True)
            raise typer.Exit(code if code >= 0 else 128 - code)
        found = _LOG.search(text)
        if found is not None:
            return found[1]
        time.sleep(GLANCE)
    return ""
