"""Runs tasks as jobs of a batch system. This page tells the life of a job; all else refers to it.

1. luigi's Worker hands out a task. `workers.SendJobWorker` makes the process luigi will poll for it: a
   `processes.cluster.ClusterProcess` (or, for `batch_system = "custom"`, the user's own `BatchProcess`).
2. The process claims an *attempt*: a record beside the job script, written before anything is submitted
   (`attempt.py`). It writes the job script (`core/executable.py`) and gives a `JobSpec` to the `JobQueue` of its
   batch system, which returns at once.
3. The loop of the Worker waits at its result queue. Each time it looks there, the `JobQueue` sends what has
   gathered, in as few commands as the batch system knows (`queue.py`); a *batch system* is a language that says
   commands and reads answers (`system.py`, `systems/`); `command.py` runs them beside the loop.
4. On the node the job script sets up the environment and calls the user's script with `--batch-runner`;
   `runner.py` rebuilds the one task, runs it through luigi's own `TaskProcess` and leaves an *outcome*: a file
   with what luigi would have been told. The job script then drops a *marker* with the exit code into the inbox.
5. The submit host lists the inbox once a second, and asks the batch system rarely: who is still there?
   `judge.judge` weighs the evidence, and the verdict goes onto luigi's result queue.
"""
