"""What the words on the command line of a project mean."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.cli.command.project import is_task, split
from b2luigi.cli.command.run import words_of
from b2luigi.cli.project import parsed
from b2luigi.cli.project_run import CODE
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.project_words import words_of_task


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (b2luigi.IntParameter(), "3", 3),
        (b2luigi.FloatParameter(), "1e-3", 0.001),
        (b2luigi.BoolParameter(), "true", True),
        (b2luigi.Parameter(), "3", "3"),
        (b2luigi.Parameter(), '"a b"', "a b"),
        (b2luigi.Parameter(), "a=b", "a=b"),
        (b2luigi.ListParameter(), "[1, 2]", [1, 2]),
        (b2luigi.DateParameter(), "2026-01-02", datetime.date(2026, 1, 2)),
        (b2luigi.DateParameter(), '"2026-01-02"', datetime.date(2026, 1, 2)),
        (b2luigi.OptionalIntParameter(), "null", None),
    ],
)
def test_values(parameter: Any, text: str, value: Any) -> None:
    """JSON, or what luigi's command line accepts; each becomes what the parameter wants."""
    found = parsed(parameter, "n", text)
    assert (found, type(found)) == (value, type(value))


def test_a_wrong_value() -> None:
    """The error names parameter, value and kind."""
    number: Any = b2luigi.IntParameter()
    with pytest.raises(BadInputError, match="-P n=x is not a value of a IntParameter"):
        parsed(number, "n", "x")


def test_scripts_and_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, or a file that is there, is a script; all else is the name of a task."""
    monkeypatch.chdir(tmp_path)
    Path("steer").touch()
    assert [is_task(word) for word in ("MyTask", "tasks.MyTask", "no.py", "./MyTask", "steer")] == [
        *(True, True, False, False, False)
    ]


def test_p_is_a_file_or_a_value() -> None:
    """`-p` was the parameters file in 1.3.0; with a sign of equality it is a value, like `-P`."""
    assert split(["n=3", "other.py"], ["mode=x"]) == ("other.py", ["n=3", "mode=x"])
    assert split(None, None) == ("", [])


def test_a_run_that_is_started_again() -> None:
    """From what the journal says, it is again a run of the project; a script named tasks.py is a script."""
    arguments = words_of_task("MyTask", "/p/tasks.py", "", ["n=3"])
    assert words_of(Path("/p/tasks.py"), ["--batch", *arguments])[:3] == [sys.executable, "-c", CODE]
    assert words_of(Path("/p/tasks.py"), ["--batch"])[:2] == [sys.executable, "/p/tasks.py"]
