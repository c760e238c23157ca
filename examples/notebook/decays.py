"""The tasks of the notebook: jobs can only run tasks of a module, not those of a cell."""

import random

import b2luigi


class Simulate(b2luigi.Task):
    """Decay times of 1,000 particles."""

    lifetime = b2luigi.FloatParameter()
    seed = b2luigi.IntParameter()

    def output(self):
        yield self.add_to_output("times.txt")

    def run(self):
        dice = random.Random(f"{self.lifetime} {self.seed}")
        with open(self.get_output_file_name("times.txt"), "w") as file:
            for _ in range(1000):
                print(dice.expovariate(1 / self.lifetime), file=file)
