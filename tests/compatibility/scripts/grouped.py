"""Tasks that 1.3.0 submits in groups; only with a batch system."""

import b2luigi


class Simulate(b2luigi.Task):
    seed = b2luigi.IntParameter(grouping=True)
    energy = b2luigi.FloatParameter(default=10.5)
    max_grouping_size = 3

    def output(self):
        yield self.add_to_output("events.txt")

    def run(self):
        with open(self.get_output_file_name("events.txt"), "w") as file:
            file.write(f"{self.seed!r} {self.energy}\n")


class Smear(Simulate):
    seed = b2luigi.BatchIntParameter(grouping=True, grouping_function=list)
    max_grouping_size = 2

    def output(self):
        yield self.add_to_output("smeared.txt")

    def run(self):
        with open(self.get_output_file_name("smeared.txt"), "w") as file:
            file.write("smeared\n")


class Reconstruct(b2luigi.Task):
    runs = b2luigi.ListParameter(hashed=True)
    lines = b2luigi.BatchIntParameter(default=1)

    def requires(self):
        for seed in self.runs:
            yield Simulate(seed=seed)
            yield Smear(seed=seed)

    def output(self):
        yield self.add_to_output("tracks.txt")

    def run(self):
        with open(self.get_output_file_name("tracks.txt"), "w") as file:
            file.writelines(sorted(open(name).read() for name in self.get_input_file_names("events.txt")))


if __name__ == "__main__":
    b2luigi.process([Reconstruct(runs=runs) for runs in ([2, 0, 1], [3])], batch=True, workers=30)
