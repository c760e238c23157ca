"""Packs: jobs that run several short tasks, each of which keeps its own attempt, outcome, log and verdict."""
