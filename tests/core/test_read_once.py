"""Settings and folders of a task are read once for each submission."""

from __future__ import annotations

from collections import Counter

import pytest

import b2luigi
from b2luigi.core.paths import get_log_file_dir, get_task_file_dir
from b2luigi.core.read_once import read_once
from b2luigi.core.settings import get_merged_setting, get_setting

calls: Counter[str] = Counter()


class Asked(b2luigi.Task):
    """Its settings and folders are code, which counts how often it is called."""

    test = b2luigi.Parameter()

    @property
    def queue(self) -> str:
        calls["queue"] += 1
        return f"queue-{self.job_attempt}"

    @property
    def lsf_settings(self) -> dict[str, str]:
        calls["lsf_settings"] += 1
        return {"-W": str(self.job_attempt)}

    def get_log_file_dir(self) -> str:
        calls["logs"] += 1
        return "/logs"

    def get_task_file_dir(self) -> str:
        calls["task files"] += 1
        return "/task_files"


def read(task: b2luigi.Task) -> tuple[object, ...]:
    """Everything of a task that is read for a submission."""
    settings = (get_setting("queue", task=task), get_merged_setting("lsf_settings", task=task))
    return (*settings, get_log_file_dir(task), get_task_file_dir(task))


def test_code_of_the_user_is_called_once() -> None:
    """However often a value is needed, also where a reading is inside another."""
    calls.clear()
    with read_once(task := Asked(test="once")), read_once(task):
        assert read(task) == read(task) == ("queue-1", {"-W": "1"}, "/logs", "/task_files")
    assert calls == {"queue": 1, "lsf_settings": 1, "logs": 1, "task files": 1}


def test_settings_of_another_try_are_read_again() -> None:
    """They may depend on its number."""
    with read_once(task := Asked(test="tries")):
        assert read(task)[:2] == ("queue-1", {"-W": "1"})
        task.__dict__["job_attempt"] = 2
        assert read(task)[:2] == ("queue-2", {"-W": "2"})


def test_other_tasks_and_later_readings_are_read_as_ever() -> None:
    """Nothing is remembered longer than it has to be."""
    calls.clear()
    task = Asked(test="others")
    with read_once(b2luigi.Task()):
        read(task)
        read(task)
    read(task)
    assert calls["queue"] == 3


def test_a_value_that_was_read_is_a_copy() -> None:
    """To change it changes no setting; an error is raised each time."""
    with read_once(task := Asked(test="copies")):
        get_merged_setting("lsf_settings", task=task)["-W"] = "changed"
        get_setting("lsf_settings", task=task)["-W"] = "changed"
        assert get_merged_setting("lsf_settings", task=task) == {"-W": "1"}
        for _ in range(2):
            with pytest.raises(ValueError, match="no_such_setting"):
                get_setting("no_such_setting", task=task)
