"""One try to run a task as a job, as files beside the job script; and the policy that judges it."""
