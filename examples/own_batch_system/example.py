"""Five numbers and their sum, as jobs of the toy batch system."""

from pathlib import Path

import b2luigi


class Number(b2luigi.Task):
    n = b2luigi.IntParameter()
    job_name = "numbers"

    def output(self):
        yield self.add_to_output("number.txt")

    def run(self):
        with open(self.get_output_file_name("number.txt"), "w") as file:
            file.write(str(self.n**2))


class Sum(b2luigi.Task):
    def requires(self):
        return [Number(n=n) for n in range(5)]

    def output(self):
        yield self.add_to_output("sum.txt")

    def run(self):
        numbers = [int(Path(name).read_text()) for name in self.get_input_file_names("number.txt")]
        with open(self.get_output_file_name("sum.txt"), "w") as file:
            file.write(str(sum(numbers)))


if __name__ == "__main__":
    b2luigi.set_setting("result_dir", "results")
    b2luigi.set_setting("batch_system", "toy")  # optional: "auto" finds it where toysub is on PATH
    b2luigi.process(Sum(), batch=True)
