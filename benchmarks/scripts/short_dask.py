"""The same short tasks with dask-jobqueue, from the environment: DURATIONS, FOLDER, SYSTEM, SLOTS."""

import json
import os
import time

from dask.distributed import Client
from dask_jobqueue import HTCondorCluster, SLURMCluster

FOLDER, SLOTS = os.environ["FOLDER"], int(os.environ["SLOTS"])
NODES = 2
"""Of the Slurm; the slots of the HTCondor have one processor each."""


def cluster():
    common = {"interface": "lo", "local_directory": FOLDER, "log_directory": f"{FOLDER}/logs"}
    if os.environ["SYSTEM"] == "slurm":
        workers = SLOTS // NODES
        return SLURMCluster(n_workers=SLOTS, cores=workers, processes=workers, memory="4GB", **common)
    return HTCondorCluster(n_workers=SLOTS, cores=1, processes=1, memory="200MB", disk="1MB", **common)


def short(seconds, path):
    time.sleep(seconds)
    with open(path, "w") as file:
        file.write("done\n")


if __name__ == "__main__":
    durations = json.loads(os.environ["DURATIONS"])
    with cluster() as workers, Client(workers) as client:
        paths = [f"{FOLDER}/short-{i}.txt" for i in range(len(durations))]
        client.gather(client.map(short, durations, paths, pure=False))
