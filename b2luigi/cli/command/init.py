"""`b2luigi init`: a project to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from b2luigi.cli.command.runs import CommandError, in_words

TASKS = '''\
import b2luigi


class MyNumber(b2luigi.Task):
    """Writes a number to a file. Its attributes may be settings of a batch system, such as `queue`."""

    number = b2luigi.IntParameter()

    def output(self):
        yield self.add_to_output("number.txt")

    def run(self):
        with open(self.get_output_file_name("number.txt"), "w") as file:
            file.write(f"{self.number}\\n")


class MyTask(b2luigi.Task):
    """Adds up the numbers from 1 to n."""

    n = b2luigi.IntParameter()

    def requires(self):
        for number in range(1, self.n + 1):
            yield MyNumber(number=number)

    def output(self):
        yield self.add_to_output("sum.txt")

    def run(self):
        numbers = [int(open(name).read()) for name in self.get_input_file_names("number.txt")]
        with open(self.get_output_file_name("sum.txt"), "w") as file:
            file.write(f"{sum(numbers)}\\n")
'''
PARAMETERS = """\
# Values of the parameters of tasks, by name. For several tasks, with all combinations of values, write
#     from b2luigi import ParameterGenerator
#     config = {"n": ParameterGenerator([3, 10])}
config = {"n": 3}
"""
FILES = {"tasks.py": TASKS, "parameters.py": PARAMETERS}
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]


@in_words
def init(force: Force = False) -> None:
    """Write a tasks.py and a parameters.py to start from."""
    for name, text in FILES.items():
        if not force and Path(name).exists():
            typer.echo(f"{name} exists already, and stays (--force overwrites it)")
            continue
        try:
            Path(name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{name} cannot be written: {error}") from error
        typer.echo(f"Wrote {name}")
    typer.echo("To run it: b2luigi run MyTask")
