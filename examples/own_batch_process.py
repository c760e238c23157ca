"""A batch system of your own in three hooks. Here, jobs are processes of the local machine.

    $ python examples/own_batch_process.py
    All 3 tasks done in 3.5 s.
    Log: /home/me/b2luigi/examples/task_files/runs/20261126-010453-9ef4f6/run.log
    $ cat examples/results/own_batch_process/n=2/output.txt
    2

own_batch_system/ shows the other way: some fifty lines, and everything that LSF, HTCondor and Slurm get.
"""

import os
import signal
import subprocess

import b2luigi
from b2luigi.batch.processes import BatchProcess, JobStatus
from b2luigi.core.executable import create_executable_wrapper
from b2luigi.core.utils import get_log_file_dir


class MyBatchProcess(BatchProcess):
    def start_job(self):
        logs = get_log_file_dir(self.task)
        with open(logs + "stdout", "w") as out, open(logs + "stderr", "w") as err:
            script = create_executable_wrapper(self.task)
            self.job = subprocess.Popen([script], stdout=out, stderr=err, start_new_session=True)

    def get_job_status(self):
        exit_code = self.job.poll()
        if exit_code is None:
            return JobStatus.running
        return JobStatus.successful if exit_code == 0 else JobStatus.aborted

    def kill_job(self):
        os.killpg(self.job.pid, signal.SIGTERM)  # the job script and everything it has started


class MyTask(b2luigi.Task):
    n = b2luigi.IntParameter()

    batch_system = "custom"
    process_class = MyBatchProcess

    def output(self):
        yield self.add_to_output("output.txt")

    def run(self):
        with open(self.get_output_file_name("output.txt"), "w") as file:
            file.write(f"{self.n}\n")


if __name__ == "__main__":
    b2luigi.set_setting("result_dir", "results/own_batch_process")
    b2luigi.process([MyTask(n=n) for n in range(3)], batch=True)
