"""A batch system whose jobs end at submission, or (IDLE=1) never, so that only b2luigi's own time is measured.

SUBMITS names a file that gets a line for each submission: the time of day, and the number of jobs.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from b2luigi.batch.model import Accepted, Answer, Command, JobInfo, JobSpec, JobStatus
from b2luigi.batch.system import BatchSystem, Setting

NODE = """
import os, sys
done = '{"format":1,"status":"DONE","explanation":"","missing":[],"new_requirements":[],"node":"n","task_id":"",' \\
    '"traceback":"","headline":""}'
for line in () if os.environ.get("IDLE") else sys.stdin:
    folder, inbox, token = line.rstrip("\\n").split("|")
    for path, text in ((f"{folder}/{token}.outcome", done), (f"{inbox}/.{token}", "0 outcome")):
        with open(path, "w") as file:
            file.write(text)
    os.rename(f"{inbox}/.{token}", f"{inbox}/{token}")
"""
SUBMITS = os.environ.get("SUBMITS", "")
FAST = {"LD_PRELOAD": None}
"""What this program needs is not on the slow disk: batch systems are installed on the disk of the machine."""


class Instant(BatchSystem):
    """Writes the files that job scripts would write, for many jobs in one command."""

    name: ClassVar[str] = "instant"
    probe: ClassVar[str] = "true"
    bulk: ClassVar[int] = 1000

    def options(self, setting: Setting) -> Mapping[str, Any]:
        return {}

    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        if SUBMITS:
            words = ("sh", "-c", 'echo "$(date +%s.%N) $1" >> "$2"', "submit", str(len(jobs)), SUBMITS)
            return Command(words, env=FAST)
        lines = "".join(f"{job.folder}|{job.inbox}|{job.token}\n" for job in jobs)
        return Command((sys.executable, "-S", "-E", "-c", NODE), stdin=lines, env=FAST)

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Accepted]:
        return [Accepted(job.token) for job in jobs]

    def query(self, job_ids: Sequence[str]) -> Command:
        self.queried = job_ids
        return Command(("true",))

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        return {token: JobInfo(JobStatus.running, "R", token=token) for token in self.queried}

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return Command(("true",))

    def parse_cancel(self, answer: Answer) -> str:
        return ""

    def find(self, jobs: Sequence[JobSpec]) -> Command:
        self.queried = ()
        return Command(("true",))
