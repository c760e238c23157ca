"""Inside the job: runs the task and writes its outcome."""
