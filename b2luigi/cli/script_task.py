"""A script as a task, for `b2luigi test`; and the process that runs it."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from typing import Any, NoReturn

import b2luigi
from b2luigi.core.paths import create_output_file_name
from b2luigi.core.process_call import ProcessCall, running
from b2luigi.core.target import (
    LocalTarget,
    make_folder_of,
    new_number,
    put_in_place,
    remove_if_exists,
    temporary_path_of,
)

CODE = "from b2luigi.cli.script_task import main; main()"


class ScriptInput(b2luigi.ExternalTask):
    """A file that a script reads."""

    path = b2luigi.Parameter(hashed=True)

    def output(self) -> b2luigi.LocalTarget:
        """The file."""
        return LocalTarget(self.path)


class ScriptTask(b2luigi.Task):
    """Runs a script with `-o OUTPUT`, and `-i INPUT` if it has one."""

    output_file = b2luigi.Parameter(hashed=True)
    script = b2luigi.Parameter(significant=False)
    input_file = b2luigi.Parameter(default="", significant=False)
    arguments = b2luigi.ListParameter(default=[], significant=False)
    program = b2luigi.Parameter(default="", significant=False)
    """Words of a shell that start the script; empty: this Python."""
    literal = b2luigi.BoolParameter(default=True, significant=False)
    newer_than = b2luigi.FloatParameter(default=0.0, significant=False)
    """An output that is older does not count; seconds since the epoch."""

    def requires(self) -> Any:
        """The input."""
        return [ScriptInput(path=self.input_file)] if self.input_file else []

    def output(self) -> Any:
        """The output."""
        name = os.path.basename(self.output_file)
        return LocalTarget(self.output_file if self.literal else create_output_file_name(self, name))

    def complete(self) -> bool:
        """Whether the output exists, and is new enough."""
        path = self.output().path
        return os.path.exists(path) and os.stat(path).st_mtime >= self.newer_than

    def run(self) -> None:
        """Raises RuntimeError if the script fails: then there is no output."""
        target = self.output()
        path = temporary_path_of(target, new_number())
        make_folder_of(target)
        try:
            self._run_script(path)
            put_in_place(target, path, replace=bool(self.newer_than))
        finally:
            remove_if_exists(target, path)

    def _run_script(self, path: str) -> None:
        words = [*(shlex.split(self.program) or [sys.executable]), self.script, "-o", path]
        words += ["-i", self.input_file] if self.input_file else []
        words += ["--", *self.arguments] if self.program and self.arguments else self.arguments
        print(shlex.join(words), flush=True)
        code = subprocess.run(words, check=False).returncode
        if code:
            raise RuntimeError(f"{self.script} ended with exit code {code}.")
        if not os.path.exists(path):
            raise RuntimeError(f"{self.script} wrote no file to the path after -o.")


def main() -> NoReturn:
    """Runs a script; all arguments but `--spec` are flags of `process`."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--spec", type=json.loads)
    spec = parser.parse_known_args()[0].spec
    for key, value in spec["settings"].items():
        b2luigi.set_setting(key, value)
    with running(ProcessCall(of_project=True)):
        succeeded = b2luigi.process(ScriptTask(**spec["task"]), ignore_additional_command_line_args=True)
    sys.exit(0 if succeeded else 1)
