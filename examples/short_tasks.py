"""Two hundred tasks of a moment, which share a few jobs.

    $ python examples/short_tasks.py --batch
    All 201 tasks done in 3.8 s.
    Log: /home/me/b2luigi/examples/task_files/runs/20261126-022530-4f1c2a/run.log
    $ cat examples/results/short_tasks/pi.txt
    pi = 3.1408 from 200 tasks

Each task has its own log, result and retries. Without `tasks_per_job` this takes ten times as long, since each of them
would be a job.
"""

import random
from pathlib import Path

import b2luigi


class Throw(b2luigi.Task):
    """How many of 1,000 random points lie in a circle."""

    seed = b2luigi.IntParameter()

    tasks_per_job = "auto"

    def output(self):
        yield self.add_to_output("hits.txt")

    @b2luigi.on_temporary_files
    def run(self):
        dice = random.Random(self.seed)
        hits = sum(dice.random() ** 2 + dice.random() ** 2 < 1 for _ in range(1000))
        with open(self.get_output_file_name("hits.txt"), "w") as file:
            file.write(f"{hits}\n")


class Pi(b2luigi.Task):
    """Their sum."""

    def requires(self):
        return [Throw(seed=seed) for seed in range(200)]

    def output(self):
        yield self.add_to_output("pi.txt")

    def run(self):
        files = self.get_input_file_names("hits.txt")
        hits = [int(Path(name).read_text()) for name in files]
        with open(self.get_output_file_name("pi.txt"), "w") as file:
            file.write(f"pi = {4 * sum(hits) / (1000 * len(hits)):.4f} from {len(hits)} tasks\n")


if __name__ == "__main__":
    b2luigi.set_setting("result_dir", "results/short_tasks")
    b2luigi.process(Pi())
