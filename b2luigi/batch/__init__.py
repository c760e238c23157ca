"""Runs tasks as jobs of a batch system. This page tells the life of a job; all else refers to it.

1. `workers/`: luigi's Worker hands out a task, and `workers.worker.SendJobWorker` makes the process that luigi polls
   for it: a `processes.cluster.ClusterProcess` (or, for `batch_system = "custom"`, the user's own `BatchProcess`).
2. `attempts/`: the process claims an *attempt*: a *record* beside the job script, written before anything is
   submitted. It writes the job script (`core/executable.py`) and gives a `JobSpec` to the queue, which returns a
   *ticket* at once.
3. `queue/`: the loop of the Worker waits at its result queue. Each time it looks there, the `JobQueue` sends what has
   gathered, in as few commands as the batch system knows; `queue/command.py` runs them beside the loop.
   `systems/`: a batch system is a pure language that says commands and reads answers.
4. `node/`: on the node the job script sets up the environment and calls the user's script with `--batch-runner`;
   `node/runner.py` rebuilds the one task, runs it through luigi's own `TaskProcess` and leaves an *outcome*: a file
   with the result for luigi. The job script then drops a *marker* with the exit code into the *inbox*.
5. The submit host lists the inbox once a second, and asks the batch system rarely: who is still there?
   `attempts/judge.py` weighs the *evidence*, and the *verdict* goes onto luigi's result queue.
   `messages/`: what the user reads when a job failed.
   `scheduling/`: luigi's scheduler, which hands out what comes next.
"""
