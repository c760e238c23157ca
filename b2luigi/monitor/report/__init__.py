"""Pictures and pages of a graph of tasks and of a run."""
