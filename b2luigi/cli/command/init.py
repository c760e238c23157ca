"""`b2luigi init`: the project of the quick start, to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from b2luigi.cli.command.runs import CommandError, in_words

TASKS = '''\
import random
import statistics

import b2luigi


class Simulate(b2luigi.Task):
    """Writes the decay times of 100 particles."""

    lifetime = b2luigi.FloatParameter()
    seed = b2luigi.IntParameter()

    def output(self):
        yield self.add_to_output("times.txt")

    def run(self):
        dice = random.Random(f"{self.lifetime} {self.seed}")
        with open(self.get_output_file_name("times.txt"), "w") as file:
            for _ in range(100):
                print(dice.expovariate(1 / self.lifetime), file=file)


class Merge(b2luigi.Task):
    """Puts the decay times of four simulations into one file."""

    lifetime = b2luigi.FloatParameter()

    def requires(self):
        for seed in range(1, 5):
            yield Simulate(lifetime=self.lifetime, seed=seed)

    def output(self):
        yield self.add_to_output("all_times.txt")

    def run(self):
        with open(self.get_output_file_name("all_times.txt"), "w") as merged:
            for name in self.get_input_file_names("times.txt"):
                with open(name) as part:
                    merged.write(part.read())


class Fit(b2luigi.Task):
    """Estimates the lifetime as the mean decay time, with its error."""

    lifetime = b2luigi.FloatParameter()

    def requires(self):
        yield Merge(lifetime=self.lifetime)

    def output(self):
        yield self.add_to_output("fit.txt")

    def run(self):
        with open(self.get_input_file_name("all_times.txt")) as file:
            times = list(map(float, file))
        mean = statistics.mean(times)
        error = statistics.stdev(times) / len(times) ** 0.5
        with open(self.get_output_file_name("fit.txt"), "w") as file:
            print(f"{self.lifetime} {mean:.3f} {error:.3f}", file=file)


class Plot(b2luigi.Task):
    """Scans the lifetime, merges the fits into a table, and plots them."""

    def requires(self):
        for lifetime in [0.5, 1.0, 1.5, 2.0, 2.5]:
            yield Fit(lifetime=lifetime)

    def output(self):
        yield self.add_to_output("scan.txt")
        yield self.add_to_output("scan.svg")

    def run(self):
        rows = []
        for name in self.get_input_file_names("fit.txt"):
            with open(name) as file:
                rows.append(file.read())
        with open(self.get_output_file_name("scan.txt"), "w") as file:
            file.writelines(rows)
        points = [[float(word) for word in row.split()] for row in rows]
        with open(self.get_output_file_name("scan.svg"), "w") as file:
            file.write(svg(points))


def svg(points):
    """Measured against true lifetimes, as a picture that every browser shows."""
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="340" height="340" font-family="sans-serif" font-size="14">',
        '<rect width="340" height="340" fill="white"/>',
        '<path d="M50 20 V290 H320 M50 290 L310 30" fill="none" stroke="gray"/>',
        '<text x="185" y="330" text-anchor="middle">true lifetime</text>',
        '<text x="-155" y="15" text-anchor="middle" transform="rotate(-90)">measured lifetime</text>',
    ]
    for true, mean, error in points:
        x, y, size = 50 + 100 * true, 290 - 100 * mean, 100 * error
        lines.append(f'<text x="{x:.0f}" y="308" text-anchor="middle">{true}</text>')
        lines.append(f'<text x="44" y="{295 - 100 * true:.0f}" text-anchor="end">{true}</text>')
        lines.append(f'<path d="M{x:.0f} {y - size:.1f} V{y + size:.1f}" stroke="navy"/>')
        lines.append(f'<circle cx="{x:.0f}" cy="{y:.1f}" r="3" fill="navy"/>')
    return "\\n".join([*lines, "</svg>\\n"])
'''
PARAMETERS = """\
config = {"lifetime": 1.5, "seed": 1}
"""
SETTINGS = """\
{
    "result_dir": "results"
}
"""
FILES = {"tasks.py": TASKS, "parameters.py": PARAMETERS, "settings.json": SETTINGS}
"""The files of the project, as docs/quick-start.md shows them."""
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]


@in_words
def init(force: Force = False) -> None:
    """Write the project of the quick start: tasks.py, parameters.py and settings.json."""
    present = [name for name in FILES if Path(name).exists()]
    if present and not force:
        raise CommandError(
            f"Nothing was written, since {Path.cwd()} already has {', '.join(present)}. "
            "Call `b2luigi init` in an empty folder, or with --force to overwrite."
        )
    for name, text in FILES.items():
        try:
            Path(name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"Could not write {name}: {error}") from error
        typer.echo(f"Wrote {name}")
    typer.echo("Run it with: b2luigi run Plot")
