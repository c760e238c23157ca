"""Files that settings name and that are missing: reported before the first job, with setting and source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.core.setting_checks import SettingChecks


class Reports:
    """What the checks report."""

    def __init__(self, carrier: bool = False, here: bool = False) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.checks = SettingChecks(lambda task: carrier, lambda task: here, self.errors.append, self.warnings.append)


class Plain(b2luigi.Task):
    n = b2luigi.IntParameter(default=1)


def looked_at(*tasks: Any, carrier: bool = False, here: bool = False) -> Reports:
    reports = Reports(carrier, here)
    for task in tasks:
        reports.checks.look(task)
    return reports


def test_a_missing_env_script_of_the_settings_file(script_folder: Path) -> None:
    """A misspelled name would end every job on its node; the warning names the file, the setting and its source."""
    (script_folder / "settings.json").write_text(json.dumps({"env_script": "setpu.sh"}))
    found = looked_at(Plain(n=1), Plain(n=2))
    (text,) = found.warnings
    assert found.errors == []
    for words in ("env_script", str(script_folder / "setpu.sh"), str(script_folder / "settings.json")):
        assert words in text
    (script_folder / "setpu.sh").touch()
    assert looked_at(Plain()).warnings == []


def test_sources() -> None:
    """A task attribute and set_setting are named as such."""

    class Own(Plain):
        executable = ["/no/such/python"]

    b2luigi.set_setting("env_script", "/no/env.sh")
    env_script, executable = sorted(looked_at(Own()).warnings)
    assert "env_script (passed to set_setting): /no/env.sh" in env_script
    assert "executable (attribute of the task Own): there is no program /no/such/python" in executable


@pytest.mark.parametrize("words", [["no-such-program-b2"], ["/no/such/program"], ["no/such"]])
def test_a_program_that_does_not_exist(words: list[str]) -> None:
    """By its name, its path, or its path relative to the script."""
    b2luigi.set_setting("executable_prefix", [*words, "exec"])
    (text,) = looked_at(Plain()).warnings
    assert words[0] in text


def test_a_program_that_the_env_script_may_bring(script_folder: Path) -> None:
    """An env_script changes PATH; a name says nothing then."""
    (script_folder / "env.sh").touch()
    b2luigi.set_setting("env_script", "env.sh")
    b2luigi.set_setting("executable", ["no-such-program-b2"])
    assert looked_at(Plain()).warnings == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("executable_prefix", ["env", "exec", "--bind", "/data:/data", "/no/image.sif"]),
        ("executable_prefix", ["env", "exec", "/no/unpacked/el9"]),
        ("htcondor_settings", {"container_image": "/no/image.sif"}),
        ("htcondor_settings", {"+SingularityImage": '"/no/image.sif"'}),
        ("slurm_settings", {"container": "/no/bundle"}),
    ],
)
def test_a_missing_container_image(key: str, value: Any) -> None:
    """Wherever a setting names it, by its absolute path on this machine."""
    b2luigi.set_setting(key, value)
    (text,) = looked_at(Plain()).warnings
    assert key in text
    assert "/no/" in text


@pytest.mark.parametrize("here", [True, False])
def test_a_container_that_this_machine_lacks(script_folder: Path, here: bool) -> None:
    """Where jobs run on this machine it is an error; other nodes may have it. What is in the image is no matter."""
    b2luigi.set_setting("apptainer_image", "no.sif")
    b2luigi.set_setting("apptainer_mounts", ["/no/data"])
    b2luigi.set_setting("executable", ["/in/the/image/python"])
    b2luigi.set_setting("env_script", "/in/the/image/setup.sh")
    found = looked_at(Plain(n=1), Plain(n=2), here=here)
    texts, none = (found.errors, found.warnings) if here else (found.warnings, found.errors)
    assert none == []
    assert [text.split(" ")[0] for text in texts] == ["apptainer_image", "apptainer_cmd", "apptainer_mounts"]
    assert f"(passed to set_setting): there is no container image {script_folder}/no.sif on this machine" in texts[0]


def test_images_that_are_no_files() -> None:
    """An image of a registry is fetched by the node."""
    b2luigi.set_setting("executable_prefix", ["env", "exec", "docker://python:3"])
    b2luigi.set_setting("htcondor_settings", {"container_image": "docker://python:3"})
    assert looked_at(Plain()).warnings == []


def test_a_missing_file_to_transfer(script_folder: Path) -> None:
    """It cannot be on the node only, so that this is an error; batch systems that transfer nothing ignore it."""
    b2luigi.set_setting("transfer_files", [str(script_folder), "/no/such/table.csv"])
    b2luigi.set_setting("env_script", "missing.sh")
    found = looked_at(Plain(), carrier=True)
    assert ["/no/such/table.csv" in text for text in found.errors] == [True, False]
    assert "missing.sh" in found.errors[1]
    found = looked_at(Plain())
    assert found.errors == []


def test_settings_that_depend_on_the_task() -> None:
    """Each task is looked at where its class does not decide; each text is reported once."""

    class ByParameter(Plain):
        @property
        def env_script(self) -> str:
            return f"/no/env-{self.n % 2}.sh"

    class ByInstance(Plain):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.env_script = f"/no/own-{self.n}.sh"

    assert len(looked_at(*(ByParameter(n=n) for n in range(6))).warnings) == 2
    assert len(looked_at(ByInstance(n=1), ByInstance(n=2)).warnings) == 2


def test_an_invalid_setting_is_left_to_its_submission() -> None:
    """It is an error of that task, and reported as such."""

    class Broken(Plain):
        @property
        def env_script(self) -> str:
            raise RuntimeError("own code")

    found = looked_at(Broken())
    assert (found.errors, found.warnings) == ([], [])
