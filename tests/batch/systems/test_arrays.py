"""Arrays: one script that a shell runs, and the ids of its elements."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from b2luigi.batch.systems.arrays import Arrays
from b2luigi.batch.systems.model import JobSpec
from tests.batch.systems.recorded import a_job

BRACKETS = Arrays("INDEX", first=1, separator="[", end="]")
UNDERSCORES = Arrays("INDEX", first=0, separator="_")


def a_real_job(folder: Path, token: str) -> JobSpec:
    """A job whose script is there, and prints its token."""
    folder.mkdir()
    job = a_job(token, folder=str(folder))
    job.script.write_text('#!/bin/sh\necho "$0 got $1"\n')
    job.script.chmod(0o755)
    return job


def run(script: str, index: int) -> None:
    environment = {**os.environ, "INDEX": str(index)}
    subprocess.run(["sh"], input=script, text=True, env=environment, check=True, timeout=30)


@pytest.mark.parametrize("arrays", [BRACKETS, UNDERSCORES])
def test_an_element_runs_its_own_job_script(arrays: Arrays, tmp_path: Path) -> None:
    """Its index selects script, token and report; quotes and blanks in a folder change nothing."""
    jobs = [a_real_job(tmp_path / f"my 'folder' {n}", f"token{n}") for n in range(3)]
    run(arrays.script(jobs), arrays.first + 1)
    assert [job.report.exists() for job in jobs] == [False, True, False]
    assert jobs[1].report.read_text() == f"{jobs[1].script} got token1\n"


def test_a_job_alone_needs_no_index(tmp_path: Path) -> None:
    """A single job is submitted as a plain job, whose index may be anything."""
    job = a_real_job(tmp_path / "f", "abc")
    run(BRACKETS.script([job]), 17)
    assert job.report.read_text() == f"{job.script} got abc\n"


@pytest.mark.parametrize(
    ("arrays", "number", "indexes", "elements"),
    [
        (BRACKETS, 1, "1-1", ["7"]),
        (BRACKETS, 3, "1-3", ["7[1]", "7[2]", "7[3]"]),
        (UNDERSCORES, 1, "0-0", ["7"]),
        (UNDERSCORES, 3, "0-2", ["7_0", "7_1", "7_2"]),
    ],
)
def test_elements_are_numbered_from_the_first(arrays: Arrays, number: int, indexes: str, elements: list[str]) -> None:
    """The range of a submission and the names of its elements count alike; a single job has no index."""
    assert arrays.indexes(number) == indexes
    assert arrays.elements("7", number) == elements


@pytest.mark.parametrize(
    ("arrays", "job_ids", "words"),
    [
        (BRACKETS, ["7[3]", "9", "7[5]", "8[1]"], ["7[3,5]", "9", "8[1]"]),
        (UNDERSCORES, ["7_3", "9", "7_5", "8_1"], ["7_[3,5]", "9", "8_[1]"]),
        (UNDERSCORES, [], []),
    ],
)
def test_elements_of_one_array_are_one_word(arrays: Arrays, job_ids: list[str], words: list[str]) -> None:
    """In the order in which the arrays came; plain jobs stay what they are."""
    assert arrays.grouped(job_ids) == words
