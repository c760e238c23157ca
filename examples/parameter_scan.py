"""A scan over two parameters: simulate in parts, merge the parts of each point, put all points into a table and a plot.

    $ python examples/parameter_scan.py --batch
    All 17 tasks done in 24 s.
    Log: /home/me/b2luigi/examples/task_files/runs/20261126-010344-584cf4/run.log
    $ cat examples/results/parameter_scan/scan.txt
    lifetime 1.0, resolution 0.1: 1.00 +- 0.03
    lifetime 1.0, resolution 1.0: 1.05 +- 0.04
    lifetime 2.0, resolution 0.1: 1.99 +- 0.05
    lifetime 2.0, resolution 1.0: 1.89 +- 0.06

The plot is scan.svg beside the table: open it in a browser. The twelve simulations and four measurements are jobs; the
scan itself is too small for a cluster and runs on this machine. To add a point, add a value to LIFETIMES or RESOLUTIONS
and run the script again: only what is new runs.
"""

import json
import math
import random
from pathlib import Path

import b2luigi

LIFETIMES = [1.0, 2.0]
RESOLUTIONS = [0.1, 1.0]
PARTS = 3


class Simulate(b2luigi.Task):
    """Decay times of 500 particles, as measured by a clock of limited resolution."""

    lifetime = b2luigi.FloatParameter()
    resolution = b2luigi.FloatParameter()
    part = b2luigi.IntParameter()

    @property
    def queue(self):  # LSF: settings can depend on parameters ...
        return "s" if self.lifetime < 10 else "l"

    @property
    def htcondor_settings(self):  # ... and on the attempt: more memory if it was not enough
        return {"request_memory": f"{500 * self.job_attempt} MB"}

    @property
    def slurm_settings(self):
        return {"mem": f"{500 * self.job_attempt}M"}

    def output(self):
        yield self.add_to_output("times.json")

    @b2luigi.on_temporary_files
    def run(self):
        dice = random.Random(f"{self.lifetime} {self.resolution} {self.part}")
        times = [dice.expovariate(1 / self.lifetime) + dice.gauss(0, self.resolution) for _ in range(500)]
        Path(self.get_output_file_name("times.json")).write_text(json.dumps(times))


class Measure(b2luigi.Task):
    """Merges the parts of one point: its mean decay time."""

    lifetime = b2luigi.FloatParameter()
    resolution = b2luigi.FloatParameter()

    def requires(self):
        for part in range(PARTS):
            yield self.clone(Simulate, part=part)

    def output(self):
        yield self.add_to_output("measurement.json")

    @b2luigi.on_temporary_files
    def run(self):
        times = [
            time for name in self.get_input_file_names("times.json") for time in json.loads(Path(name).read_text())
        ]
        mean = sum(times) / len(times)
        error = math.sqrt(sum((time - mean) ** 2 for time in times)) / len(times)
        point = {"lifetime": self.lifetime, "resolution": self.resolution, "mean": mean, "error": error}
        Path(self.get_output_file_name("measurement.json")).write_text(json.dumps(point))


class Scan(b2luigi.Task):
    """Merges all points: a table and a plot."""

    batch_system = "local"  # too small for a cluster

    def requires(self):
        for lifetime in LIFETIMES:
            for resolution in RESOLUTIONS:
                yield Measure(lifetime=lifetime, resolution=resolution)

    def output(self):
        yield self.add_to_output("scan.txt")
        yield self.add_to_output("scan.svg")

    def run(self):
        points = [json.loads(Path(name).read_text()) for name in self.get_input_file_names("measurement.json")]
        row = "lifetime {lifetime}, resolution {resolution}: {mean:.2f} +- {error:.2f}\n"
        Path(self.get_output_file_name("scan.txt")).write_text("".join(row.format(**point) for point in points))
        Path(self.get_output_file_name("scan.svg")).write_text(svg(points))


def svg(points):
    """Measured against true lifetimes, a colour for each resolution. With matplotlib this would be `errorbar`."""
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="300" font-family="sans-serif" font-size="14">',
        '<rect width="300" height="300" fill="white"/>',
        '<path d="M40 20 V260 H280 M40 260 L280 20" fill="none" stroke="gray"/>',
        '<text x="160" y="290" text-anchor="middle">true lifetime</text>',
        '<text x="-140" y="15" text-anchor="middle" transform="rotate(-90)">measured lifetime</text>',
    ]
    for point in points:
        number = RESOLUTIONS.index(point["resolution"])
        colour = ("navy", "darkorange")[number % 2]
        x, y, size = 40 + 100 * point["lifetime"] + 6 * number, 260 - 100 * point["mean"], 100 * point["error"]
        lines.append(f'<path d="M{x:.0f} {y - size:.1f} V{y + size:.1f}" stroke="{colour}"/>')
        lines.append(f'<circle cx="{x:.0f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
    for number, resolution in enumerate(RESOLUTIONS):
        colour = ("navy", "darkorange")[number % 2]
        lines.append(f'<text x="55" y="{40 + 20 * number}" fill="{colour}">resolution {resolution}</text>')
    return "\n".join([*lines, "</svg>\n"])


if __name__ == "__main__":
    b2luigi.set_setting("result_dir", "results/parameter_scan")
    b2luigi.process(Scan())
