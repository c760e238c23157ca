"""Benchmarks against the published b2luigi 1.3.0: `python -m benchmarks`, or `--quick` for the small version."""
