"""Job arrays of LSF and Slurm: several jobs in one submission, with one script for all and compact lists of ids."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from b2luigi.batch.systems.model import JobSpec


@dataclass(frozen=True)
class Arrays:
    """How a batch system numbers and names the elements of an array. A single job is a plain job, not an array."""

    index_variable: str
    """Environment variable with the index of an element."""
    first: int
    """Index of the first element."""
    separator: str
    """Text between the array and the index: "[" in `7[3]`, "_" in `7_3`."""
    end: str = ""
    """Text after the index."""

    def script(self, jobs: Sequence[JobSpec]) -> str:
        """The script to submit for these jobs: each element calls its own job script."""
        # The first command follows the first line, so that sbatch does not search the rest for #SBATCH options.
        if len(jobs) == 1:
            return f"#!/bin/sh\n{_call(jobs[0])}\n"
        cases = "".join(f"{index}) {_call(job)} ;;\n" for index, job in enumerate(jobs, self.first))
        return f'#!/bin/sh\ncase "${self.index_variable}" in\n{cases}esac\n'

    def indexes(self, number: int) -> str:
        """The index range of an array of this size, as submit commands expect it."""
        return f"{self.first}-{self.first + number - 1}"

    def elements(self, array: str, number: int) -> list[str]:
        """The names of the jobs of a submission named `array`."""
        indexes = range(self.first, self.first + number)
        return [array] if number == 1 else [f"{array}{self.separator}{index}{self.end}" for index in indexes]

    def name(self, jobs: Sequence[JobSpec]) -> str:
        """The name of a submission: only that of a single job has the parameters of its task."""
        return jobs[0].full_name if len(jobs) == 1 else jobs[0].name

    def grouped(self, job_ids: Iterable[str]) -> list[str]:
        """Groups the elements of each array in one word: ten times faster than one by one (100 elements on Slurm)."""
        groups: dict[str, list[str]] = {}
        for job_id in job_ids:
            array, _, index = job_id.removesuffix(self.end).partition(self.separator)
            groups.setdefault(array, []).extend([index] if index else [])
        before = self.separator.removesuffix("[")
        return [f"{array}{before}[{','.join(indexes)}]" if indexes else array for array, indexes in groups.items()]


def _call(job: JobSpec) -> str:
    # Each job redirects its output to its own folder, which no file name pattern of the batch system can express.
    return f"exec {shlex.join((str(job.script), job.token))} > {shlex.quote(str(job.report))} 2>&1"
