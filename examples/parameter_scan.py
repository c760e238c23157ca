"""A scan over two parameters, merged at the end: how precisely can a good and a bad clock measure a lifetime?

    python examples/parameter_scan.py --batch

For each pair of lifetime and resolution, jobs simulate 2,000 particles each, and another job measures the mean
lifetime. If the measurement is not precise enough yet, it requests more particles (`yield`). The last task collects all
measurements in a table and in histograms. The results are in examples/results.
"""

import json
import math
import random
from collections import Counter
from pathlib import Path

import b2luigi

LIFETIMES = [1.0, 2.0]
RESOLUTIONS = [0.1, 1.0]
PARTICLES = 2000


class Simulate(b2luigi.Task):
    """A histogram of the decay times of particles, as measured by a clock of limited resolution."""

    lifetime = b2luigi.FloatParameter()
    resolution = b2luigi.FloatParameter()
    edges = b2luigi.ListParameter(hashed=True)  # a list makes a long folder name; use its hash
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
        yield self.add_to_output("decays.json")

    @b2luigi.on_temporary_files
    def run(self):
        dice = random.Random(f"{self.lifetime} {self.resolution} {self.part}")
        times = [dice.expovariate(1 / self.lifetime) + dice.gauss(0, self.resolution) for _ in range(PARTICLES)]
        bins = Counter(sum(time >= edge for edge in self.edges) for time in times)
        found = {
            "entries": len(times),
            "sum": sum(times),
            "sum of squares": sum(time**2 for time in times),
            "bins": [bins[number] for number in range(1, len(self.edges))],
        }
        Path(self.get_output_file_name("decays.json")).write_text(json.dumps(found))


@b2luigi.requires(Simulate, part=0)
class Measure(b2luigi.Task):
    """The mean lifetime, from as many simulated particles as the precision requires."""

    precision = b2luigi.FloatParameter()

    def output(self):
        yield self.add_to_output("measurement.json")

    def run(self):
        parts = 1
        while True:
            # Missing parts become jobs of their own; when they are done, this task runs again from the beginning.
            yield [self.clone(Simulate, part=part) for part in range(parts)]
            found = self.measure(parts)
            if found["error"] <= self.precision * found["mean"]:
                break
            parts += 1
        with open(self.get_output_file_name("measurement.json"), "w") as file:
            json.dump(found, file)

    def measure(self, parts):
        simulated = [self.clone(Simulate, part=part).get_output_file_name("decays.json") for part in range(parts)]
        histograms = [json.loads(Path(name).read_text()) for name in simulated]
        entries = sum(histogram["entries"] for histogram in histograms)
        mean = sum(histogram["sum"] for histogram in histograms) / entries
        variance = sum(histogram["sum of squares"] for histogram in histograms) / entries - mean**2
        return {
            "lifetime": self.lifetime,
            "resolution": self.resolution,
            "particles": entries,
            "mean": mean,
            "error": math.sqrt(variance / entries),
            "bins": [sum(numbers) for numbers in zip(*(histogram["bins"] for histogram in histograms), strict=True)],
        }


class Scan(b2luigi.Task):
    """All measurements in one table, each with its histogram."""

    edges = b2luigi.ListParameter(hashed=True)
    precision = b2luigi.FloatParameter()
    batch_system = "local"  # too small for a cluster

    def requires(self):
        for lifetime in LIFETIMES:
            for resolution in RESOLUTIONS:
                yield self.clone(Measure, lifetime=lifetime, resolution=resolution)

    def output(self):
        yield self.add_to_output("scan.json")
        yield self.add_to_output("scan.txt")

    def run(self):
        points = [json.loads(Path(name).read_text()) for name in self.get_input_file_names("measurement.json")]
        Path(self.get_output_file_name("scan.json")).write_text(json.dumps(points, indent=1))
        Path(self.get_output_file_name("scan.txt")).write_text("\n".join(map(self.text, points)))

    def text(self, point):
        title = "lifetime {lifetime}, resolution {resolution}: {mean:.2f} +- {error:.2f} ({particles} particles)"
        scale = 60 / max(point["bins"])
        bars = ["#" * round(scale * number) for number in point["bins"]]
        rows = [f"{low:4} {bar}".rstrip() for low, bar in zip(self.edges[:-1], bars, strict=True)]
        return "\n".join([title.format(**point), *rows, ""])


if __name__ == "__main__":
    b2luigi.set_setting("result_dir", "results/parameter_scan")
    scan = Scan(edges=list(range(-3, 9)), precision=0.028)
    if b2luigi.process(scan) and scan.complete():
        print(Path(scan.get_output_file_name("scan.txt")).read_text())
