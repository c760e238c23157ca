"""One task fails: what does not need it is done, what needs it is not, and on_failure leaves a file."""

import os

import b2luigi

HERE = os.path.dirname(os.path.abspath(__file__))


class Part(b2luigi.Task):
    n = b2luigi.IntParameter()

    def output(self):
        yield self.add_to_output("part.txt")

    def run(self):
        if self.n == 1:
            raise ValueError("one is unlucky")
        with open(self.get_output_file_name("part.txt"), "w") as file:
            file.write(str(self.n))

    def on_failure(self, exception):
        with open(os.path.join(HERE, f"failed_{self.n}.txt"), "w") as file:
            file.write(str(exception))
        return super().on_failure(exception)


class Pair(b2luigi.Task):
    first = b2luigi.IntParameter()

    def requires(self):
        return [Part(n=self.first), Part(n=self.first + 1)]

    def output(self):
        yield self.add_to_output("pair.txt")

    def run(self):
        with open(self.get_output_file_name("pair.txt"), "w") as file:
            file.writelines(open(name).read() for name in self.get_input_file_names("part.txt"))


if __name__ == "__main__":
    b2luigi.process([Pair(first=first) for first in range(3)], batch=True, workers=10)
