"""The same short tasks with HyperQueue, from the environment: DURATIONS, FOLDER, SLOTS, KIND.

KIND "programs" starts a shell for each task, "functions" a Python. The package of the registry has no program `hq` that
could start workers elsewhere: this one process is both the server and the worker. So it runs as one job, which writes
its own CPU time, in seconds, to the file `cpu`.
"""

import json
import os
import time
from pathlib import Path

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

FOLDER, SLOTS = os.environ["FOLDER"], int(os.environ["SLOTS"])


def short(seconds, path):
    time.sleep(seconds)
    with open(path, "w") as file:
        file.write("done\n")


if __name__ == "__main__":
    job = Job(default_workdir=FOLDER)
    for i, seconds in enumerate(json.loads(os.environ["DURATIONS"])):
        path = f"{FOLDER}/short-{i}.txt"
        if os.environ["KIND"] == "programs":
            job.program(["sh", "-c", f"sleep {seconds} && echo done > {path}"])
        else:
            job.function(short, args=(seconds, path))
    with LocalCluster(f"{FOLDER}/server") as cluster:
        cluster.start_worker(WorkerConfig(cores=SLOTS))
        client = cluster.client()
        client.wait_for_jobs([client.submit(job)])
    Path(FOLDER, "cpu").write_text(str(time.process_time()))
