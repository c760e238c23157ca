from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import luigi
import pytest

import b2luigi
from b2luigi.core.utils import add_on_failure_function, get_luigi_logger, on_failure


class Unlucky(b2luigi.Task):
    number = b2luigi.IntParameter()
    secret = b2luigi.Parameter(default="x", hidden=True)
    on_failure = on_failure

    def output(self) -> Any:
        return self.add_to_output("f")

    def run(self) -> None:
        raise ValueError("three is unlucky")


class Slashed(luigi.Task):
    place = luigi.Parameter()


def failed() -> ValueError:
    try:
        raise ValueError("three is unlucky")
    except ValueError as error:
        return error


def test_a_failure_is_told_in_red(script_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Task, all parameters, task id, log folder and traceback are on the console, and are returned."""
    text = on_failure(Unlucky(number=3), failed())
    told = capsys.readouterr().err
    assert told == f"\x1b[31m{text}\x1b[0m\n"
    assert text.splitlines()[:5] == [
        "Task Unlucky failed!",
        "    number = 3",
        "    secret = x",
        f"  task id: {Unlucky(number=3).task_id}",
        f"  logs:    {script_folder}/logs/number=3/Unlucky/",
    ]
    assert text.endswith("\nValueError: three is unlucky")
    assert 'in failed\n    raise ValueError("three is unlucky")' in text


def test_a_class_can_take_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Luigi calls it when run fails, in place of its own."""
    assert not luigi.build([Unlucky(number=3)], local_scheduler=True, log_level="CRITICAL")
    assert "Task Unlucky failed!" in capsys.readouterr().err


def test_a_single_task_can_take_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Other tasks of the class stay as they are."""
    task: Any = Slashed(place="a")
    add_on_failure_function(task)
    assert task.on_failure(failed()).startswith("Task Slashed failed!\n    place = a\n")
    assert "Runtime error" in Slashed(place="b").on_failure(failed())


def test_a_folder_that_can_not_be_told_hides_nothing() -> None:
    """A value that can be in no path is told, and so is the failure."""
    text = on_failure(Slashed(place="a/b"), failed())
    assert "logs:    not known (Slashed: the parameter 'place'" in text
    assert text.endswith("ValueError: three is unlucky")


def test_the_logger_is_luigis() -> None:
    """What is logged with it comes where luigi's messages come."""
    assert get_luigi_logger() is logging.getLogger("luigi-interface")
