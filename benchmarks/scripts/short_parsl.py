"""The same short tasks with Parsl, from the environment: DURATIONS, FOLDER, SYSTEM, SLOTS."""

import json
import os
import sys

import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import CondorProvider, SlurmProvider

FOLDER, SLOTS = os.environ["FOLDER"], int(os.environ["SLOTS"])
ENVIRONMENT = f"export PATH={os.path.dirname(sys.executable)}:$PATH"
NODES = 2
"""Of the Slurm; the slots of the HTCondor have one processor each."""


def provider():
    if os.environ["SYSTEM"] == "slurm":
        blocks, more = NODES, {"cores_per_node": SLOTS // NODES, "exclusive": False, "partition": "main"}
        return SlurmProvider(init_blocks=blocks, max_blocks=blocks, worker_init=ENVIRONMENT, **more)
    return CondorProvider(init_blocks=SLOTS, max_blocks=SLOTS, cores_per_slot=1, worker_init=ENVIRONMENT)


@parsl.python_app
def short(seconds, path):
    import time

    time.sleep(seconds)
    with open(path, "w") as file:
        file.write("done\n")


if __name__ == "__main__":
    workers = SLOTS // NODES if os.environ["SYSTEM"] == "slurm" else 1
    executor = HighThroughputExecutor(
        address="127.0.0.1",
        loopback_address="127.0.0.1",
        cores_per_worker=1e-3,  # the nodes share this machine, which has fewer processors than slots
        max_workers_per_node=workers,
        provider=provider(),
    )
    config = Config(executors=[executor], strategy="none", run_dir=f"{FOLDER}/runinfo")
    with parsl.load(config):
        durations = json.loads(os.environ["DURATIONS"])
        futures = [short(seconds, f"{FOLDER}/short-{i}.txt") for i, seconds in enumerate(durations)]
        for future in futures:
            future.result()
