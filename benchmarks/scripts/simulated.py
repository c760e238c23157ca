"""Jobs that the scheduling process simulates, and a disk that is slowed down by sleeping."""

import json
import os
import time

import b2luigi
from b2luigi.batch.processes import BatchProcess, JobStatus


class Simulated(BatchProcess):
    """A job that ends at once with its outputs, or (KIND=idle) never ends."""

    never_ends = os.environ["KIND"] == "idle"

    def start_job(self):
        if "BEGAN" in os.environ:  # measure only the time to the first job
            print("\n" + json.dumps({"first": time.time() - float(os.environ["BEGAN"])}), flush=True)
            os._exit(0)
        for target in b2luigi.task.flatten(self.task.output()) if not self.never_ends else ():
            target.makedirs()
            with open(target.path, "w"):
                pass

    def get_job_status(self):
        return JobStatus.running if self.never_ends else JobStatus.successful

    def terminate_job(self):
        pass


def slow_disk(folder, seconds):
    """Each stat of a file below a folder takes this long; those of several threads run in parallel."""
    real_stat = os.stat

    def stat(path, *args, **kwargs):
        if str(path).startswith(folder):
            time.sleep(seconds)
        return real_stat(path, *args, **kwargs)

    os.stat = stat
