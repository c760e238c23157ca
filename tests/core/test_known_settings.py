from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.core.known_settings import (
    DROPPED_SETTINGS,
    KNOWN,
    closest_setting,
    find_setting,
    name_problem,
    value_problem,
)


@pytest.mark.parametrize("name", KNOWN)
def test_each_setting_is_described_in_one_sentence(name: str) -> None:
    """The documentation shows one sentence per setting."""
    setting = KNOWN[name]
    assert setting.name == name
    assert setting.description[0].isupper()
    assert setting.description.endswith(".")
    assert ". " not in setting.description


def test_names_are_unique() -> None:
    """No old name is also a current name, or the old name of two settings."""
    old = [name for setting in KNOWN.values() for name in setting.old_names]
    assert len(set(old)) == len(old)
    assert not set(old) & set(KNOWN)


def test_the_table_is_immutable() -> None:
    """Nobody can change a default for everyone else."""
    with pytest.raises(TypeError):
        KNOWN["queue"] = KNOWN["shell"]  # type: ignore[index]


@pytest.mark.parametrize("name", KNOWN)
def test_each_default_is_of_its_kind(name: str) -> None:
    """A default is a valid value, or None for "determined later"."""
    setting = KNOWN[name]
    assert setting.default is None or not value_problem(name, setting.default)


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
def test_valid_values(name: str, value: Any) -> None:
    """All kinds of values that work are accepted, and any value for a setting of the user's own."""
    assert value_problem(name, value) == ""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("result_dir", 3, "result_dir must be a path, not 3"),
        ("log_folder", None, "log_folder must be a path, not None"),
        ("executable", "python3", """executable must be a list of strings, such as ["python3"], not 'python3'"""),
        ("env", ["A=1"], "env must be a dictionary, not ['A=1']"),
        ("poll_interval", "60", "poll_interval must be a number of seconds, not '60'"),
        ("poll_interval", True, "poll_interval must be a number of seconds, not True"),
        ("job_retries", 1.5, "job_retries must be an integer that is not negative, not 1.5"),
        ("job_retries", -1, "job_retries must be an integer that is not negative, not -1"),
        ("local_slots", 0, "local_slots must be a positive integer, or null (None in Python), not 0"),
        ("poll_interval", -5, "poll_interval must be a number of seconds, not -5"),
        ("result_grace", float("nan"), "result_grace must be a number of seconds, not nan"),
        ("result_grace", float("inf"), "result_grace must be a number of seconds, not inf"),
        ("failure_exit_code", 256, "failure_exit_code must be an integer from 0 to 255, not 256"),
        ("leave_jobs_on_exit", "false", "leave_jobs_on_exit must be true or false, not 'false'"),
        ("process_class", "LSFProcess", "process_class must be a class (can be set only in Python), not 'LSFProcess'"),
    ],
)
def test_invalid_values(name: str, value: Any, message: str) -> None:
    """The message gives the name that was used, the expected kind of value, and the value."""
    assert value_problem(name, value) == message


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
def test_the_closest_setting(given: str, meant: str) -> None:
    """Recognises a misspelling, but not a name with only a few letters in common."""
    assert closest_setting(given) == meant


def test_dropped_settings_have_advice() -> None:
    """For a setting of b2luigi 1.x without effect, the message says what to do instead."""
    for name in DROPPED_SETTINGS:
        assert find_setting(name) is None
        assert name_problem(name).startswith(f"the setting {name} of b2luigi 1.x has no effect here: ")
    assert "Belle II grid" in name_problem("gbasf2_release")
