"""Names of what a run keeps below its task file folder."""

import re

RUNS, JOURNAL, LOG = "runs", "journal.jsonl", "run.log"
"""The folder that holds those of the runs, and the files in these."""
MASK = "***"
"""Stands for what is secret."""
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
"""The name of the folder of a run: its start in local time, and six random digits."""
