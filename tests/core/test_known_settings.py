from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.core.known_settings import DROPPED, KNOWN, doubt, known, nearest, wrong


@pytest.mark.parametrize("name", KNOWN)
def test_each_setting_is_told_in_one_sentence(name: str) -> None:
    """The documentation shows one sentence per setting, so each has one, under the name of its row."""
    setting = KNOWN[name]
    assert setting.name == name
    assert setting.description[0].isupper()
    assert setting.description.endswith(".")
    assert ". " not in setting.description


def test_names_are_told_apart() -> None:
    """No old name is also a current one, or the old name of two settings."""
    old = [name for setting in KNOWN.values() for name in setting.old_names]
    assert len(set(old)) == len(old)
    assert not set(old) & set(KNOWN)


def test_the_table_can_not_be_changed() -> None:
    """Nobody changes a default for everyone else."""
    with pytest.raises(TypeError):
        KNOWN["queue"] = KNOWN["shell"]  # type: ignore[index]


@pytest.mark.parametrize("name", KNOWN)
def test_each_default_is_of_its_kind(name: str) -> None:
    """What holds when nothing is given may also be given; None alone may stand for "worked out later"."""
    setting = KNOWN[name]
    assert setting.default is None or not wrong(name, setting.default)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("result_dir", Path("/a")),
        ("result_path", "old"),
        ("queue", None),
        ("queue", False),
        ("job_slots", 4),
        ("executable", ("python3",)),
        ("poll_interval", 0.5),
        ("leave_jobs_on_exit", True),
        ("add_filename_to_cmd", 0),
        ("default_task_target_class", b2luigi.LocalTarget),
        ("one_of_mine", object()),
    ],
)
def test_values_that_can_be(name: str, value: Any) -> None:
    """Every form of a value that works is taken, and a setting of one's own may be anything."""
    assert wrong(name, value) == ""


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("result_dir", 3, "result_dir has to be a path, but it is 3"),
        ("log_folder", None, "log_folder has to be a path, but it is None"),
        ("executable", "python3", """executable has to be a list of words, as in ["python3"], but it is 'python3'"""),
        ("env", ["A=1"], "env has to be a dictionary, but it is ['A=1']"),
        ("poll_interval", "60", "poll_interval has to be a number of seconds, but it is '60'"),
        ("poll_interval", True, "poll_interval has to be a number of seconds, but it is True"),
        ("job_retries", 1.5, "job_retries has to be a whole number, but it is 1.5"),
        ("leave_jobs_on_exit", "false", "leave_jobs_on_exit has to be true or false, but it is 'false'"),
        ("process_class", "LSFProcess", "process_class has to be a class, so that only Python can give it"),
    ],
)
def test_values_of_another_kind(name: str, value: Any, told: str) -> None:
    """What is wrong is told with the setting, as it was called, the kind of value it takes, and the value."""
    assert wrong(name, value).startswith(told)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("reslt_dir", "result_dir"),
        ("results_dir", "result_dir"),
        ("htcondor_settngs", "htcondor_settings"),
        ("batchsystem", "batch_system"),
        ("poll_intervall", "poll_interval"),
        ("quue", "queue"),
        ("energy", ""),
        ("n_events", ""),
        ("input_dir", ""),
        ("name", ""),
    ],
)
def test_the_nearest_setting(given: str, meant: str) -> None:
    """A misspelling is recognised, a name that only has something in common is not."""
    assert nearest(given) == meant


def test_what_was_dropped_has_a_word() -> None:
    """A setting of b2luigi 1.x that has no effect here is told with what to do, and is not one of ours."""
    for name in DROPPED:
        assert known(name) is None
        assert doubt(name).startswith(f"the setting {name} of b2luigi 1.x has no effect here: ")
    assert "Belle II grid" in doubt("gbasf2_release")
