"""requires and inherits with fixed and left out parameters, clones, and products of parameters."""

import b2luigi
from b2luigi.core.utils import product_dict


class Generate(b2luigi.Task):
    channel = b2luigi.Parameter()
    year = b2luigi.IntParameter(default=2024)
    debug = b2luigi.BoolParameter(default=False, significant=False)

    def output(self):
        yield self.add_to_output("generated.txt")

    def run(self):
        with open(self.get_output_file_name("generated.txt"), "w") as file:
            file.write(f"{self.channel} {self.year}\n")


@b2luigi.requires(Generate)
class Select(b2luigi.Task):
    cut = b2luigi.FloatParameter(default=0.5)

    def output(self):
        yield self.add_to_output("selected.txt")

    def run(self):
        with open(self.get_output_file_name("selected.txt"), "w") as file:
            file.write(open(self.get_input_file_name("generated.txt")).read())


@b2luigi.requires(Generate, year=2023)
class Compare(b2luigi.Task):
    def output(self):
        yield self.add_to_output("compared.txt")

    def run(self):
        with open(self.get_output_file_name("compared.txt"), "w") as file:
            file.write(open(next(self.get_all_input_file_names())).read())


@b2luigi.inherits(Select, without="channel")
class Merge(b2luigi.Task):
    def requires(self):
        for one in product_dict(channel=["ee", "mumu"], cut=[self.cut, 0.9]):
            yield Select(year=self.year, **one)
        yield Compare(channel="ee")

    def output(self):
        yield self.add_to_output("merged.txt")

    def run(self):
        with open(self.get_output_file_name("merged.txt"), "w") as file:
            for name, paths in sorted(self.get_input_file_names().items()):
                file.write(f"{name} {len(paths)}\n")


if __name__ == "__main__":
    b2luigi.process(Merge(), batch=True, workers=20)
