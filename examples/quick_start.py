"""The smallest whole script: ten random numbers and their average, eleven tasks, one job each.

    $ python examples/quick_start.py --batch
    All 11 tasks done in 6.6 s.
    Log: /home/me/b2luigi/examples/task_files/runs/20261126-010336-230031/run.log

The average is in examples/results/average.txt, what the jobs print is in examples/logs/. On a cluster the tasks become
jobs of LSF, HTCondor or Slurm; elsewhere they run as jobs of the local machine. Without --batch they run one after the
other in this process.
"""

import random

import b2luigi


class MyNumberTask(b2luigi.Task):
    some_parameter = b2luigi.IntParameter()

    htcondor_settings = {"request_cpus": 1, "request_memory": "100 MB"}

    def output(self):
        yield self.add_to_output("output_file.txt")

    def run(self):
        print("I am now starting a task")
        random_number = random.random()

        with open(self.get_output_file_name("output_file.txt"), "w") as f:
            f.write(f"{random_number}\n")


class MyAverageTask(b2luigi.Task):
    htcondor_settings = {"request_cpus": 1, "request_memory": "200 MB"}

    def requires(self):
        for i in range(10):
            yield self.clone(MyNumberTask, some_parameter=i)

    def output(self):
        yield self.add_to_output("average.txt")

    def run(self):
        print("I am now starting the average task")
        numbers = []
        for input_file in self.get_input_file_names("output_file.txt"):
            with open(input_file) as f:
                numbers.append(float(f.read()))

        with open(self.get_output_file_name("average.txt"), "w") as f:
            f.write(f"{sum(numbers) / len(numbers)}\n")


if __name__ == "__main__":
    b2luigi.set_setting("result_dir", "results")
    b2luigi.process(MyAverageTask(), workers=200)
