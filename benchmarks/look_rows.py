"""The loop of a run with ten thousand jobs: how long it sees nothing else while the batch system lists them all."""

from __future__ import annotations

import gc
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import b2luigi
from b2luigi.batch import systems
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.attempts.runs import Runs
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.processes.job import JobInFlight
from b2luigi.batch.processes.run import Run
from b2luigi.batch.queue.command import NOT_FOUND, Answered, Running
from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.systems.model import Answer, Command, JobSpec, JobStatus
from b2luigi.batch.workers.jobs import Jobs
from benchmarks.table import Row

LOOKS = 400
"""More than it takes until all of the answer is known to luigi's side."""


class Listed(b2luigi.Task):
    n = b2luigi.IntParameter()


def _condor(n: int, token: str) -> str:
    times = {"EnteredCurrentStatus": 1760000000, "ServerTime": 1760000060}
    ad = {"ClusterId": 100 + n // 1000, "ProcId": n % 1000, "JobStatus": 2, **times}
    return json.dumps({**ad, "B2LuigiToken": token, "Args": token, "RemoteHost": f"slot1@node{n}.site"}, indent=0)


def _slurm(n: int, token: str) -> str:
    return f"{100 + n}|RUNNING|0:0|node{n}|Listed-{token}|{token}|None\n"


def _lsf(n: int, token: str) -> str:
    record = {"JOBID": str(100 + n), "STAT": "RUN", "EXIT_CODE": "", "EXEC_HOST": f"node{n}"}
    return json.dumps({**record, "JOB_NAME": f"Listed-{token}", "JOB_DESCRIPTION": token})


LISTINGS: dict[str, tuple[Callable[[int, str], str], Callable[[Sequence[str]], str], Callable[[int], str]]] = {
    "htcondor": (_condor, lambda ads: "[\n" + "\n,\n".join(ads) + "\n]\n", lambda n: f"{100 + n // 1000}.{n % 1000}"),
    "slurm": (_slurm, "".join, lambda n: str(100 + n)),
    "lsf": (_lsf, lambda ads: json.dumps({"RECORDS": [json.loads(ad) for ad in ads]}), lambda n: str(100 + n)),
}
"""How each batch system lists a job, puts the jobs together, and numbers them."""


def looks(full: bool) -> Iterator[Row]:
    """All jobs begin to run between two queries: the longest look at the queue, from the answer to the last of them."""
    n = 10_000 if full else 2000
    for name in LISTINGS:
        longest = max(1000 * took for took in look_times(name, n))
        yield Row(f"longest look of the loop, {n} jobs listed by {name}", longest, None, "ms", "50")


def look_times(name: str, n: int) -> list[float]:
    """Seconds of each look, from the one that sends the query. Raises RuntimeError if a job was not seen to run."""
    with tempfile.TemporaryDirectory() as folder:
        jobs, processes = _jobs(name, n, Path(folder))
        gc.collect()  # what was made for this measurement
        took = []
        for _ in range(LOOKS):
            began = time.perf_counter()
            jobs.look()
            took.append(time.perf_counter() - began)
            time.sleep(0.001)
        running = sum(process.get_job_status() is JobStatus.running for process in processes)
        if running < n:
            raise RuntimeError(f"{name}: {running} of {n} jobs run")
    return took


def _jobs(name: str, n: int, folder: Path) -> tuple[Jobs, list[ClusterProcess]]:
    one, together, number = LISTINGS[name]
    tokens = [f"{i:016x}" for i in range(n)]
    answer = Answer(0, together([one(i, token) for i, token in enumerate(tokens)]), "")

    def start(command: Command) -> Running:
        is_query = command.argv[0] in ("condor_q", "squeue", "bjobs")
        return Answered(answer if is_query else Answer(NOT_FOUND, "", ""))  # as to which server this is

    queue, jobs = JobQueue(systems.load(name), start=start, poll_interval=0.5), Jobs()
    jobs.queues[name] = queue
    run = Run(Runs(folder), {}, lambda _: queue)
    return jobs, [_process(i, token, number(i), queue, run, jobs, folder) for i, token in enumerate(tokens)]


def _process(i: int, token: str, job_id: str, queue: JobQueue, run: Run, jobs: Jobs, folder: Path) -> ClusterProcess:
    """A task with a job that was submitted a while ago."""
    spec = JobSpec(token, token, folder / token / "script", folder / token, folder, run.runs.own.folder)
    facts = {"format": 1, "attempt": 1, "token": token, "job_id": job_id, "server": "", "submit_host": platform.node()}
    record = Record(folder / token / "attempt-1.json", facts)
    ticket = queue.attach(spec, facts)
    results: SimpleQueue[Any] = SimpleQueue()
    process = ClusterProcess(Listed(n=i), None, results, 0)
    process.connect(queue, run)
    process.job = JobInFlight(process.task, run, queue, record, ticket, run.runs.own, grace=60.0)
    jobs.register(process)
    return process
