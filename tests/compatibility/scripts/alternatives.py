"""A stage that leaves one of two sets of files, as its complete() says; settings are properties of a configuration."""

import os
import sys

import b2luigi

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = {"results": os.path.join(HERE, "run"), "python": sys.executable}


class Stage(b2luigi.Task):
    seed = b2luigi.IntParameter()

    @property
    def result_dir(self):
        return CONFIG["results"]

    @property
    def task_file_dir(self):
        return os.path.join(CONFIG["results"], "task_files")

    @property
    def executable(self):
        return [CONFIG["python"]]

    @property
    def job_name(self):
        return f"stage_{self.seed}"

    def get_log_file_dir(self):
        return f"{HERE}/logs/s{self.seed:04d}"

    def target(self, name):
        return b2luigi.LocalTarget(os.path.join(CONFIG["results"], name))

    def output(self):
        kinds = (("grid", "stat"), ("info", "summary"))
        return [[self.target(f"{kind}-{self.seed}.dat") for kind in pair] for pair in kinds]

    def complete(self):
        return any(all(target.exists() for target in pair) for pair in self.output())

    def run(self):
        for target in self.output()[self.seed % 2]:
            with target.open("w") as file:
                file.write("x")


class Timings(b2luigi.Task):
    def requires(self):
        return {"stages": [Stage(seed=seed) for seed in range(2)], "note": Note()}

    def output(self):
        return b2luigi.LocalTarget(os.path.join(CONFIG["results"], "timings.yaml"))

    def run(self):
        with self.output().open("w") as file:
            file.write("stage1: 1\n")


class Note(b2luigi.Task):
    """Its second output is optional."""

    def output(self):
        yield self.add_to_output("note.txt")
        yield self.add_to_output("remarks.txt")

    def complete(self):
        return self._get_output_target("note.txt").exists()

    def run(self):
        with open(self.get_output_file_name("note.txt"), "w") as file:
            file.write("done")


if __name__ == "__main__":
    b2luigi.process(Timings(), batch=True, workers=10)
