from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.core.known_settings import KNOWN
from b2luigi.core.settings import (
    DeprecatedSettingsWarning,
    UnknownSettingWarning,
    get_merged_setting,
    settings_of_class,
    with_new_settings,
)


class Plain(b2luigi.Task):
    queue = "attribute"


class Nothing(b2luigi.Task):
    pass


class WithParameter(b2luigi.Task):
    queue = b2luigi.Parameter()


class WithProperty(b2luigi.Task):
    size = b2luigi.IntParameter()

    @property
    def htcondor_settings(self) -> dict[str, Any]:
        return {"request_cpus": self.size}


class WithBrokenProperty(b2luigi.Task):
    @property
    def queue(self) -> str:
        return self.misspelled  # type: ignore[no-any-return]


class WithOldName(b2luigi.Task):
    result_path = "old"


def write_settings(folder: Path, **values: Any) -> Path:
    path = folder / "settings.json"
    path.write_text(json.dumps(values))
    return path


def test_get_setting_returns_what_was_set() -> None:
    """get_setting returns the value passed to set_setting."""
    b2luigi.set_setting("queue", "l")
    assert b2luigi.get_setting("queue") == "l"


def test_a_cleared_setting_is_the_default_again() -> None:
    """clear_setting removes the value, and does nothing if there is none."""
    b2luigi.set_setting("queue", "l")
    b2luigi.clear_setting("queue")
    b2luigi.clear_setting("queue")
    assert b2luigi.get_setting("queue") == "s"


def test_order_of_precedence(script_folder: Path) -> None:
    """Task, set_setting, settings.json, default argument, known default."""
    assert b2luigi.get_setting("queue", task=Nothing()) == "s"
    assert b2luigi.get_setting("queue", default="argument", task=Nothing()) == "argument"
    write_settings(script_folder, queue="file")
    assert b2luigi.get_setting("queue", default="argument", task=Nothing()) == "file"
    b2luigi.set_setting("queue", "set")
    assert b2luigi.get_setting("queue", task=Nothing()) == "set"
    assert b2luigi.get_setting("queue", task=Plain()) == "attribute"


def test_a_parameter_is_a_setting() -> None:
    """A parameter of the task sets the setting of its name."""
    assert b2luigi.get_setting("queue", task=WithParameter(queue="xl")) == "xl"


def test_a_property_is_a_setting() -> None:
    """With a property, a setting can depend on the parameters of the task."""
    assert b2luigi.get_setting("htcondor_settings", task=WithProperty(size=3)) == {"request_cpus": 3}


def test_an_attribute_error_in_a_property_surfaces() -> None:
    """An error inside a user's property is raised and not mistaken for a missing setting."""
    with pytest.raises(AttributeError, match="misspelled"):
        b2luigi.get_setting("queue", task=WithBrokenProperty())


def test_none_is_a_possible_default() -> None:
    """A default of None is returned like any other, and so is None as a value."""
    assert b2luigi.get_setting("never_heard_of", default=None) is None
    assert b2luigi.get_setting("executable") is None
    b2luigi.set_setting("queue", None)
    assert b2luigi.get_setting("queue", default="s") is None


def test_an_unknown_setting_is_an_error_with_a_hint() -> None:
    """The error names the setting, the places searched and the setting probably meant."""
    with pytest.raises(ValueError, match=r"No settings found for reslt_dir!.*settings.json.*Did you mean result_dir"):
        b2luigi.get_setting("reslt_dir")


def test_set_setting_rejects_a_value_of_the_wrong_type() -> None:
    """It raises at once, and the former value stays."""
    b2luigi.set_setting("poll_interval", 7)
    with pytest.raises(
        ValueError, match=r"^poll_interval must be a number of seconds, .* \(passed to set_setting\)\.$"
    ):
        b2luigi.set_setting("poll_interval", "60")
    assert b2luigi.get_setting("poll_interval") == 7


def test_an_attribute_of_the_wrong_type_is_an_error_with_its_task() -> None:
    """The attribute may be a parameter or a property, so it is checked when it is read."""
    with pytest.raises(ValueError, match=r"^htcondor_settings must be a dictionary, .* task Wrong\)\.$"):
        b2luigi.get_setting("htcondor_settings", task=type("Wrong", (), {"htcondor_settings": "a=b"})())


def test_a_misspelled_name_gives_one_warning() -> None:
    """set_setting warns once about a name close to that of a setting, and keeps the value."""
    with pytest.warns(UnknownSettingWarning, match=r"no setting htcondor_setings; did you mean htcondor_setting"):
        b2luigi.set_setting("htcondor_setings", {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        b2luigi.set_setting("htcondor_setings", {"a": "b"})
        b2luigi.set_setting("my_own", 1)
    assert b2luigi.get_setting("htcondor_setings") == {"a": "b"}


def test_settings_are_copied_in() -> None:
    """Changing a value after set_setting does not change the setting."""
    given = {"a": [1]}
    b2luigi.set_setting("htcondor_settings", given)
    given["a"].append(2)
    assert b2luigi.get_setting("htcondor_settings") == {"a": [1]}


def test_settings_are_copied_out(script_folder: Path) -> None:
    """Changing a returned value changes no setting, wherever it came from."""

    class Mine(b2luigi.Task):
        executable = ("python3", ["-u"])

    write_settings(script_folder, transfer_files=["/a"])
    b2luigi.set_setting("htcondor_settings", {"a": {"b": [1]}})
    b2luigi.get_setting("transfer_files").append("/b")
    b2luigi.get_setting("htcondor_settings")["a"]["b"].append(2)
    b2luigi.get_setting("executable", task=Mine())[1].append("-O")
    b2luigi.get_setting("env")["PATH"] = ""
    assert b2luigi.get_setting("transfer_files") == ["/a"]
    assert b2luigi.get_setting("htcondor_settings") == {"a": {"b": [1]}}
    assert Mine.executable == ("python3", ["-u"])
    assert KNOWN["env"].default == {}


@pytest.mark.parametrize(
    ("old", "new"), [(old, setting.name) for setting in KNOWN.values() for old in setting.old_names]
)
def test_old_names_are_read_with_a_warning(old: str, new: str) -> None:
    """A setting set by its old name can be read by either name."""
    value = {"a": 1} if new.endswith("_settings") else ["word"] if new == "executable_prefix" else "value"
    b2luigi.set_setting(old, value)
    with pytest.warns(DeprecatedSettingsWarning, match=f"{old} is now called {new}"):
        assert b2luigi.get_setting(new) == value
    with pytest.warns(DeprecatedSettingsWarning, match=f"{old} is now called {new}"):
        assert b2luigi.get_setting(old) == value


def test_an_old_name_on_a_task_wins_over_a_new_name_elsewhere() -> None:
    """In each place, old names are read right after the new name."""
    b2luigi.set_setting("result_dir", "new")
    with pytest.warns(DeprecatedSettingsWarning):
        assert b2luigi.get_setting("result_dir", task=WithOldName()) == "old"


def test_the_last_of_old_and_new_name_wins() -> None:
    """If a setting is set by both names, the later value wins."""
    b2luigi.set_setting("result_dir", "first")
    b2luigi.set_setting("result_path", "second")
    with pytest.warns(DeprecatedSettingsWarning):
        assert b2luigi.get_setting("result_dir") == "second"
    b2luigi.set_setting("result_dir", "third")
    assert b2luigi.get_setting("result_dir") == "third"
    b2luigi.clear_setting("result_path")
    assert b2luigi.get_setting("result_dir") == "."


def test_own_deprecated_keys_are_read() -> None:
    """A caller can pass former names of its own setting."""
    b2luigi.set_setting("my_old", 1)
    with pytest.warns(DeprecatedSettingsWarning, match="my_old is now called my_new"):
        assert b2luigi.get_setting("my_new", deprecated_keys=["my_old"]) == 1


def test_new_names_give_no_warning() -> None:
    """Scripts that use current names see no warning."""
    b2luigi.set_setting("result_dir", "results")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert b2luigi.get_setting("result_dir") == "results"


def _fail_with_new_settings() -> None:
    with with_new_settings():
        b2luigi.set_setting("queue", "inner")
        raise RuntimeError


def test_settings_are_restored_even_after_an_error() -> None:
    """with_new_settings starts empty and restores the former values, even if its block fails."""
    b2luigi.set_setting("queue", "outer")
    with with_new_settings():
        assert b2luigi.get_setting("queue") == "s"
        b2luigi.set_setting("queue", "inner")
    assert b2luigi.get_setting("queue") == "outer"
    with pytest.raises(RuntimeError):
        _fail_with_new_settings()
    assert b2luigi.get_setting("queue") == "outer"


# -- dictionaries of options


class WithOptions(b2luigi.Task):
    lsf_settings = {"W": "1:00", "P": "task"}
    env = {"A": "task"}
    toy_settings = {"memory": 1}


def test_dictionaries_of_options_are_merged(script_folder: Path) -> None:
    """Entry by entry, where the nearest place wins: the task, set_setting, settings.json."""
    write_settings(script_folder, lsf_settings={"P": "file", "R": "file", "q": "file"})
    b2luigi.set_setting("lsf_settings", {"P": "set", "R": "set"})
    assert get_merged_setting("lsf_settings", WithOptions()) == {"W": "1:00", "P": "task", "R": "set", "q": "file"}
    assert get_merged_setting("lsf_settings") == {"P": "set", "R": "set", "q": "file"}


def test_other_dictionaries_are_not_merged() -> None:
    """A setting that is not a dictionary of options comes from one place, as a whole."""
    b2luigi.set_setting("env", {"B": "set"})
    assert get_merged_setting("env", WithOptions()) == {"A": "task"}


def test_options_of_another_batch_system_are_merged() -> None:
    """b2luigi does not know the settings of a batch system of somebody else, and treats them like its own."""
    b2luigi.set_setting("toy_settings", {"memory": 2, "disk": 3})
    assert get_merged_setting("toy_settings", WithOptions()) == {"memory": 1, "disk": 3}


def test_options_that_are_no_dictionary_somewhere_come_from_the_first_place() -> None:
    """There is nothing to merge them with."""
    b2luigi.set_setting("lsf_settings", None)
    assert get_merged_setting("lsf_settings", WithOptions()) == {"W": "1:00", "P": "task"}
    assert get_merged_setting("lsf_settings") is None


def test_the_documentation_names_the_settings_that_are_merged() -> None:
    """Exactly the ones that are, and all of them are dictionaries."""
    merged = [row for row in KNOWN.values() if row.merged]
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    sentence = page[page.index("are *merged*:") : page.index("Their entries")]
    assert {row.name for row in merged} == set(re.findall(r"`(\w+)`", sentence))
    assert all(row.kind.fits({}) for row in merged)


@pytest.mark.parametrize("other", ["Request_Memory", "REQUEST_MEMORY", " request_memory "])
def test_options_of_htcondor_that_differ_in_case_are_one(script_folder: Path, other: str) -> None:
    """HTCondor would take the last line of the submit description: there is one, and the task's wins."""

    class Mine(b2luigi.Task):
        htcondor_settings = {"request_memory": "3 GB", "+MaxRuntime": 1}

    write_settings(script_folder, htcondor_settings={other: "1 GB", "my.maxruntime": 3})
    b2luigi.set_setting("htcondor_settings", {other: "2 GB", "MY.MaxRuntime": 2, "maxruntime": 4})
    merged = get_merged_setting("htcondor_settings", task=Mine())
    assert merged == {"request_memory": "3 GB", "+MaxRuntime": 1, "maxruntime": 4}
    assert get_merged_setting("htcondor_settings") == {other: "2 GB", "MY.MaxRuntime": 2, "maxruntime": 4}


def test_settings_of_the_grid_give_one_warning() -> None:
    """A script for the grid sets twenty of them, as attributes of a task or one by one."""
    with pytest.warns(UnknownSettingWarning, match="the 2 settings gbasf2_... of b2luigi 1.x have no effect") as found:

        class OnTheGrid(b2luigi.Task):
            gbasf2_release = "light-1"
            gbasf2_project_name_prefix = "mine"

    assert len(found) == 1
    with pytest.warns(UnknownSettingWarning, match=r"set_setting: the setting gbasf2_\w+ of b2luigi") as found:
        _set_all(*(f"gbasf2_{number}" for number in range(20)))
    assert len(found) == 1


def _set_all(*names: str) -> None:
    for name in names:
        b2luigi.set_setting(name, 1)


def test_nodes_are_silent(script_folder: Path) -> None:
    """The submit host has warned; a thousand jobs would repeat it in their logs, also after the task has begun."""
    write_settings(script_folder, resultdir="a")
    code = "import os, b2luigi\nb2luigi.set_setting('reslt_dir', 'a')\nos.environ.pop('B2LUIGI_JOB_SCRIPT', 0)\n"
    code += "class T(b2luigi.Task):\n    result_path = 'old'\n    gbasf2_release = 'a'\nT().add_to_output('a')\n"
    printed = [
        subprocess.run(
            [sys.executable, "-W", "always::DeprecationWarning:__main__", "-c", code],
            env={**os.environ, "PYTHONPATH": str(Path(b2luigi.__file__).parents[1]), **env},
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        ).stderr
        for env in ({}, {"B2LUIGI_JOB_SCRIPT": "/a/script"})
    ]
    assert printed[0].count("Warning: ") >= 3
    assert printed[1] == ""


class Chooses(b2luigi.Task):
    n = b2luigi.IntParameter()
    queue = "l"
    log_dir = "elsewhere"

    @property
    def job_name(self) -> str:
        return f"job-{self.n}"

    @property
    def env(self) -> dict[str, str]:
        raise FileNotFoundError("no list of variables yet")


def test_the_settings_that_a_class_has_itself() -> None:
    """With the value of one of its tasks, where these may differ."""
    task = Chooses(n=1)
    assert sorted(settings_of_class(task)) == [
        ("env", "FileNotFoundError: no list of variables yet", f"that of {task}; others may differ"),
        ("job_name", "job-1", f"that of {task}; others may differ"),
        ("log_dir", "elsewhere", "attribute of Chooses"),
        ("queue", "l", "attribute of Chooses"),
    ]
