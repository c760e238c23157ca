"""Runs tasks as jobs of a batch system. This page describes the life of a job.

1. `scheduling/`: luigi's scheduler chooses the next task. `workers/`: luigi's Worker gets it, and
   `workers.worker.SendJobWorker` creates the process that luigi polls: a `processes.cluster.ClusterProcess` (or, for
   `batch_system = "custom"`, the user's own `BatchProcess`).
2. `attempts/`: the process claims an *attempt*: a *record* next to the job script, written before anything is
   submitted. It writes the job script (`core/executable.py`), on a thread if the disk is slow, and passes a `JobSpec`
   to the queue, which returns a *ticket* at once.
3. `queue/`: the loop of the Worker waits for results. In each iteration, and once a second while luigi hands out
   tasks, the `JobQueue` submits the collected jobs with as few commands as possible; `queue/command.py` runs these
   commands in the background.
   `systems/`: the language of a batch system, which creates commands and parses their answers, without side effects.
4. `node/`: on the node, the job script sets up the environment and calls the user's script with `--batch-runner`;
   `node/runner.py` rebuilds the task, runs it through luigi's own `TaskProcess` and writes an *outcome*: a file with
   the result for luigi. Then the job script writes a *marker* with the exit code to the *inbox*.
5. The submit host lists the inbox several times a second, and occasionally queries the batch system for its jobs.
   `attempts/judge.py` weighs the *evidence*, and the *verdict* goes to luigi's result queue.
   `messages/`: what the user reads about failures and outages.
"""

from __future__ import annotations

from b2luigi.core.submodules import importing

__getattr__ = importing(__name__)
