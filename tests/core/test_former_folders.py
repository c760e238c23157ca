"""Results in folders that development versions of b2luigi named: `hashed_` before what a hash_function returns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.core.checks import GraphChecks, GraphError
from b2luigi.core.former_folders import FormerFolders


def joined(values: Any) -> str:
    return "_".join(map(str, values))


class Fit(b2luigi.Task):
    n = b2luigi.IntParameter(default=1)
    fixed = b2luigi.ListParameter(default=["a"], hashed=True, hash_function=joined)
    long = b2luigi.Parameter(default="x", hashed=True)
    init = b2luigi.ListParameter(default=[1, 2], hashed=True, hash_function=joined)
    unseen = b2luigi.ListParameter(default=[3], hashed=True, hash_function=joined, hidden=True)

    def output(self) -> Any:
        yield self.add_to_output("fit.txt")
        yield "only a name"


class Own(b2luigi.Parameter[str]):
    def serialize_hashed(self, x: str) -> str:
        return f"own_{x}"


class Reads(b2luigi.Task):
    text = Own(default="a")

    def output(self) -> Any:
        yield self.add_to_output("read.txt")


class Plain(b2luigi.Task):
    long = b2luigi.Parameter(default="x", hashed=True)

    def output(self) -> Any:
        yield self.add_to_output("plain.txt")


@pytest.fixture(autouse=True)
def results(tmp_path: Path) -> Iterator[Path]:
    b2luigi.set_setting("result_dir", str(tmp_path))
    yield tmp_path
    b2luigi.clear_setting("result_dir")


def left_behind(results: Path, task: b2luigi.Task, *changes: tuple[str, str]) -> str:
    """Makes the output of a task where a former version put it."""
    path = next(task.get_all_output_file_names())
    for now, former in changes:
        path = path.replace(now, former)
    os.makedirs(os.path.dirname(path))
    Path(path).touch()
    return path


FORMER = (("fixed=a", "fixed=hashed_a"), ("init=1_2", "init=hashed_1_2"))


def found(task: b2luigi.Task) -> tuple[str, str] | None:
    return FormerFolders().of_results(task, b2luigi.task.flatten(task.output()))


def test_results_of_a_hash_function_are_found(results: Path) -> None:
    """Only what the function returns had another name; the md5 sum of hashed=True is as it was."""
    task = Fit()
    assert found(task) is None
    former = left_behind(results, task, *FORMER)
    assert found(task) == (former, task.get_output_file_name("fit.txt"))
    assert found(Fit(n=2)) is None


def test_results_of_an_own_serialize_hashed_are_found(results: Path) -> None:
    """Development versions did not ask the parameter."""
    former = left_behind(results, Reads(), ("text=own_a", "text=a"))
    assert found(Reads()) == (former, Reads().get_output_file_name("read.txt"))


def test_names_without_parameters_are_found_too(results: Path) -> None:
    """The settings for folder names apply to both names."""
    b2luigi.set_setting("use_parameter_name_in_output", False)
    try:
        former = left_behind(results, Reads(), ("/own_a/", "/a/"))
        assert found(Reads()) == (former, Reads().get_output_file_name("read.txt"))
    finally:
        b2luigi.clear_setting("use_parameter_name_in_output")


def test_a_slow_disk_is_asked_little(results: Path) -> None:
    """Each folder is listed once for all tasks, and none below one that is not there."""
    listed: list[str] = []

    def list_folder(path: str) -> list[str]:
        listed.append(path)
        return os.listdir(path)

    folders = FormerFolders(list_folder)
    (results / "n=1").mkdir()
    for n in range(100):
        for task in (Fit(n=n), Plain(long=str(n))):
            assert folders.of_results(task, b2luigi.task.flatten(task.output())) is None
    assert len(listed) == len(set(listed))
    assert [path for path in listed if path.startswith(str(results))] == [str(results), str(results / "n=1")]


def test_the_folder_of_a_former_job() -> None:
    """It has the names of hidden parameters, too; there is none if all names are as they were."""
    b2luigi.set_setting("task_file_dir", "/t")
    try:
        folder = FormerFolders().of_job(Fit())
        assert folder.startswith("/t/n=1/fixed=hashed_a/long=hashed_")
        assert folder.endswith("/init=hashed_1_2/unseen=hashed_3/Fit/")
        assert FormerFolders().of_job(Plain()) == ""
    finally:
        b2luigi.clear_setting("task_file_dir")


def test_nothing_is_computed_again_in_silence(results: Path) -> None:
    """The run ends before the first job, with both paths and what to do; one example stands for a class."""
    tasks = [Fit(n=n) for n in range(3)]
    former = [left_behind(results, task, *FORMER) for task in tasks]
    checks = GraphChecks()
    for task in tasks:
        checks.look(task)
    with pytest.raises(GraphError) as error:
        checks.raise_problems()
    assert former[0] in str(error.value)
    assert tasks[0].get_output_file_name("fit.txt") in str(error.value)
    assert "Rename the folder" in str(error.value)
    assert "The same holds for 2 more." in str(error.value)
