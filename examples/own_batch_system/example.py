"""Five numbers and their sum, as jobs of the toy batch system.

    $ python example.py
    All 6 tasks done in 1.2 s.
    Log: /home/me/b2luigi/examples/own_batch_system/task_files/runs/20261126-010453-9ef4f6/run.log
    $ cat results/sum.txt
    30

Run it in this folder, with the package installed: see README.md.
"""

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
