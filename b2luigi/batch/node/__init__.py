"""Inside the job: runs the one task and leaves its outcome."""
