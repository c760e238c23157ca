"""Jobs that the scheduling process only imagines."""

import os

import b2luigi
from b2luigi.batch.processes import BatchProcess, JobStatus


class Simulated(BatchProcess):
    """A job that is over at once and left its outputs, or (KIND=idle) that never ends."""

    never_ends = os.environ["KIND"] == "idle"

    def start_job(self):
        for target in b2luigi.task.flatten(self.task.output()) if not self.never_ends else ():
            target.makedirs()
            with open(target.path, "w"):
                pass

    def get_job_status(self):
        return JobStatus.running if self.never_ends else JobStatus.successful

    def terminate_job(self):
        pass
