"""Requirements that are known only while a task runs: as many simulations as the precision needs.

    $ python examples/dynamic_requirements.py --batch
    All 4 tasks done in 21 s.
    Log: /home/me/b2luigi/examples/task_files/runs/20261126-010414-85216d/run.log
    $ cat examples/results/dynamic_requirements/precision=0.02/measurement.txt
    1.011 +- 0.018 from 3 simulations

`yield` in `run` makes jobs of the tasks that it names. When they are done, the task runs again from the beginning, in a
job of its own: keep what comes before a `yield` short.
"""

import math
import random
from pathlib import Path

import b2luigi


class Simulate(b2luigi.Task):
    """Decay times of 1,000 particles of lifetime 1."""

    part = b2luigi.IntParameter()

    def output(self):
        yield self.add_to_output("times.txt")

    @b2luigi.on_temporary_files
    def run(self):
        dice = random.Random(self.part)
        times = [dice.expovariate(1) for _ in range(1000)]
        Path(self.get_output_file_name("times.txt")).write_text("\n".join(map(str, times)))


class Measure(b2luigi.Task):
    """The lifetime, with the relative precision that it is asked for."""

    precision = b2luigi.FloatParameter()

    def output(self):
        yield self.add_to_output("measurement.txt")

    def run(self):
        parts = 1
        while True:
            simulations = [Simulate(part=part) for part in range(parts)]
            yield simulations  # those that are not done become jobs
            mean, error = self.measure(simulations)
            if error <= self.precision * mean:
                break
            parts += 1
        with open(self.get_output_file_name("measurement.txt"), "w") as file:
            file.write(f"{mean:.3f} +- {error:.3f} from {parts} simulations\n")

    def measure(self, simulations):
        files = [Path(simulation.get_output_file_name("times.txt")) for simulation in simulations]
        times = [float(line) for file in files for line in file.read_text().splitlines()]
        mean = sum(times) / len(times)
        return mean, math.sqrt(sum((time - mean) ** 2 for time in times)) / len(times)


if __name__ == "__main__":
    b2luigi.set_setting("result_dir", "results/dynamic_requirements")
    b2luigi.process(Measure(precision=0.02))
