"""Tasks that run themselves in a process of their own, without batch."""

import os

import b2luigi


class Apart(b2luigi.DispatchableTask):
    n = b2luigi.IntParameter()

    def output(self):
        yield self.add_to_output("apart.txt")

    def process(self):
        with open(self.get_output_file_name("apart.txt"), "w") as file:
            file.write(f"{self.n} {os.getpid() > 0}\n")


class Decorated(b2luigi.Task):
    def requires(self):
        return [Apart(n=n) for n in range(2)]

    def output(self):
        yield self.add_to_output("decorated.txt")

    @b2luigi.dispatch
    def run(self):
        with open(self.get_output_file_name("decorated.txt"), "w") as file:
            file.writelines(open(name).read() for name in self.get_input_file_names("apart.txt"))


if __name__ == "__main__":
    b2luigi.process(Decorated())
