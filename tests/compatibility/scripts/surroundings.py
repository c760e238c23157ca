"""A job with surroundings: env_script, env, working_dir, prefix, arguments of its own, own log folders."""

import os
import sys

import b2luigi

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "setup.sh"), "w") as script:
    script.write("export FROM_SCRIPT=yes\n")


class Job(b2luigi.Task):
    n = b2luigi.IntParameter()
    env_script = os.path.join(HERE, "setup.sh")
    env = {"FROM_SETTING": "7"}
    working_dir = HERE
    executable_prefix = ["env", "PREFIXED=1"]
    executable = [sys.executable]
    task_cmd_additional_args = ["--mode", "fast"]
    job_name = "job"
    queue = "l"
    job_slots = "1"

    def get_log_file_dir(self):
        return os.path.join(HERE, "own_logs", str(self.n))

    def output(self):
        yield self.add_to_output("seen.txt")

    def run(self):
        names = ("FROM_SCRIPT", "FROM_SETTING", "PREFIXED")
        with open(self.get_output_file_name("seen.txt"), "w") as file:
            file.write(f"{[os.environ.get(name) for name in names]} {sys.argv[-2:]} {os.getcwd() == HERE}\n")


if __name__ == "__main__":
    b2luigi.process([Job(n=n) for n in range(2)], batch=True, workers=10, ignore_additional_command_line_args=True)
