"""External tasks, wrappers, targets and parameters of plain luigi, and tasks of two batch systems in one graph."""

import os

import luigi

import b2luigi

HERE = os.path.dirname(os.path.abspath(__file__))


class Raw(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget(os.path.abspath(__file__))


class Plain(b2luigi.Task):
    number = luigi.IntParameter()

    def requires(self):
        return Raw()

    def output(self):
        return luigi.LocalTarget(os.path.join(HERE, "plain", f"{self.number}.txt"))

    def run(self):
        with self.output().open("w") as file:
            file.write(str(self.number))


class Here(b2luigi.Task):
    batch_system = "local"
    number = b2luigi.IntParameter()

    def requires(self):
        return Plain(number=self.number)

    def output(self):
        yield self.add_to_output("here.txt")

    def run(self):
        with open(self.get_output_file_name("here.txt"), "w") as file:
            file.write(open(next(self.get_all_input_file_names())).read())


class Everything(b2luigi.WrapperTask):
    def requires(self):
        return [Here(number=number) for number in range(3)]


if __name__ == "__main__":
    b2luigi.process(Everything(), batch=True, workers=10)
