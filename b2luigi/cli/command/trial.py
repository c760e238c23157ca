"""`b2luigi test`: a script as a task, to try it here or as a job."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from b2luigi.cli.command.run import become
from b2luigi.cli.command.runs import CommandError, in_words
from b2luigi.cli.script_task import CODE

Script = Annotated[Path, typer.Option("-s", help="Script; it gets -o OUTPUT, and -i INPUT if there is one.")]
Output = Annotated[str, typer.Option("-o", help="Output file.")]
Input = Annotated[str, typer.Option("-i", help="Input file, which must exist.")]
Extra = Annotated[list[str] | None, typer.Argument(help="More arguments of the script; options after --.")]
Force = Annotated[bool, typer.Option("--force", help="Run although the output exists.")]
Batch = Annotated[bool, typer.Option("--batch", help="As a job of the batch system.")]
BatchSystem = Annotated[str, typer.Option("--batch-system", help="As a job of this batch system.")]
EnvScript = Annotated[str, typer.Option("--env-script", help="Script that sets up the environment of the job.")]
Setting = Annotated[list[str] | None, typer.Option("--setting", help="A setting: key=value; values are JSON or text.")]
Literal = Annotated[
    bool, typer.Option("--literal-path/--no-literal-path", help="Write to -o itself, or to a file in result_dir.")
]
Executable = Annotated[str, typer.Option("--executable", help="Program that runs the script, such as basf2.")]


@in_words
def trial(
    script: Script,
    output: Output,
    extra: Extra = None,
    input_file: Input = "",
    force: Force = False,
    batch: Batch = False,
    batch_system: BatchSystem = "",
    env_script: EnvScript = "",
    setting: Setting = None,
    literal: Literal = True,
    executable: Executable = "",
) -> None:
    """Make a task of a script, and run it here or as a job."""
    if not script.is_file():
        raise CommandError(f"There is no script {script}.")
    settings = dict(map(_setting, setting or []))
    settings.update({"batch_system": batch_system} if batch_system else {})
    settings.update({"env_script": os.path.abspath(env_script)} if env_script else {})
    task = {
        "script": os.path.abspath(script),
        "output_file": os.path.abspath(output) if literal else output,
        "input_file": os.path.abspath(input_file) if input_file else "",
        "arguments": extra or [],
        "program": executable,
        "literal": literal,
        "newer_than": time.time() if force else 0.0,
    }
    flags = ["--batch"] if batch or batch_system else []
    spec = json.dumps({"task": task, "settings": settings})
    become([sys.executable, "-c", CODE, *flags, "--failure-exit-code", "1", f"--spec={spec}"])


def _setting(word: str) -> tuple[str, Any]:
    key, sign, text = word.partition("=")
    if not sign:
        raise CommandError(f"A setting is given as key=value, not as {word}.")
    try:
        return key, json.loads(text)
    except ValueError:
        return key, text
