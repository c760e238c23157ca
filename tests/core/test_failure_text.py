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


def test_a_failure_is_printed_in_red(script_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The console shows task, all parameters, task id, log folder and traceback; the same text is returned."""
    text = on_failure(Unlucky(number=3), failed())
    printed = capsys.readouterr().err
    assert printed == f"\x1b[31m{text}\x1b[0m\n"
    assert text.splitlines()[:5] == [
        "Task Unlucky failed!",
        "    number = 3",
        "    secret = x",
        f"  task id: {Unlucky(number=3).task_id}",
        f"  logs:    {script_folder}/logs/number=3/Unlucky/",
    ]
    assert text.endswith("\nValueError: three is unlucky")
    assert 'in failed\n    raise ValueError("three is unlucky")' in text


def test_a_class_can_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    """If run fails, luigi calls it instead of its own."""
    assert not luigi.build([Unlucky(number=3)], local_scheduler=True, log_level="CRITICAL")
    assert "Task Unlucky failed!" in capsys.readouterr().err


def test_a_single_task_can_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Other tasks of the class are unaffected."""
    task: Any = Slashed(place="a")
    add_on_failure_function(task)
    assert task.on_failure(failed()).startswith("Task Slashed failed!\n    place = a\n")
    assert "Runtime error" in Slashed(place="b").on_failure(failed())


def test_an_invalid_log_folder_does_not_hide_the_failure() -> None:
    """If a value is not a valid folder name, the text explains that and still contains the failure."""
    text = on_failure(Slashed(place="a/b"), failed())
    assert "logs:    unknown (Slashed: the parameter 'place'" in text
    assert text.endswith("ValueError: three is unlucky")


def test_the_logger_is_luigis() -> None:
    """Its messages appear where luigi's messages appear."""
    assert get_luigi_logger() is logging.getLogger("luigi-interface")
