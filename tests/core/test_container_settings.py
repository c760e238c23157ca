"""The settings of containers: what a job script makes of them, and the commands of b2luigi 1.x."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePath
from typing import Any

import pytest

import b2luigi
from b2luigi.core.container import Bind, Container
from b2luigi.core.container_settings import container_of, missing_here
from b2luigi.core.executable import create_executable_wrapper
from b2luigi.core.job_script import JobScript
from b2luigi.core.utils import create_apptainer_command, get_apptainer_or_singularity
from tests.present import present
from tests.standins.apptainer import put_apptainer


class Plain(b2luigi.Task):
    n = b2luigi.IntParameter(default=1)

    def output(self) -> Any:
        yield self.add_to_output("out.txt")


class Inputs(Plain):
    result_dir = "/other/results"


class Analysis(Plain):
    apptainer_image = "image.sif"

    def requires(self) -> Any:
        return [Inputs(n=n) for n in range(3)]


def container(task: Any = None, **fields: Any) -> Container:
    """The container of a task whose job script works in /project."""
    own = {"folder": "/project", "home": "/project/task_files/n=1/T/", "inbox": "/project/task_files/inbox-1"}
    logs = {"logs": "/project/logs/n=1/T/"}
    b2luigi.set_setting("apptainer_image", "image.sif")
    return present(container_of(task or Plain(), JobScript("T_1", ["true"], **{**own, **logs, **fields})))


def specs(container: Container) -> list[str]:
    return [bind.spec for bind in container.binds]


def test_what_a_job_needs_is_shown() -> None:
    """The folder of the script is enough where all folders are below it."""
    found = container()
    assert (found.image, found.program, found.options) == ("image.sif", "", [])
    assert (found.binds, found.result_dir) == ([Bind("/project", "/project")], "/project")


def test_folders_elsewhere() -> None:
    """Folders for results, inputs, logs, task files and copies, the settings files and luigi's configuration."""
    settings = {"result_dir": "/r", "log_dir": "/l", "task_file_dir": "/t", "scratch_dir": Path("/s")}
    for name, value in settings.items():
        b2luigi.set_setting(name, value)
    own_env = {
        "B2LUIGI_SETTINGS_FILES": "/etc/settings.json:/project/settings.json",
        "LUIGI_CONFIG_PATH": "/c/luigi.cfg",
    }
    found = container(Analysis(), home="/t/n=1,2/T/", inbox="/t/inbox-1", logs="/l/n=1/T", own_env=own_env)
    expected = ["/l", "/project", "/r", "/s", "/t", "/c/luigi.cfg", "/etc/settings.json", "/other/results"]
    assert sorted(specs(found)) == sorted(expected)
    assert found.result_dir == "/r"


def test_relative_folders_are_relative_to_where_the_job_runs() -> None:
    """As in the job script; an env_script above that folder is shown, an absolute one may be part of the image."""
    b2luigi.set_setting("result_dir", "../results")
    assert specs(container(env_script="../setup.sh")) == ["/project", "/results", "/setup.sh"]
    assert specs(container(env_script="/opt/setup.sh")) == ["/project", "/results"]
    assert specs(container(env_script="/opt/setup.sh", folder=None, home=".", inbox=None, logs=None)) == [
        ".",
        "../results",
    ]


def test_mounts_come_in_the_order_of_their_depth() -> None:
    """What is mounted into another mount comes after it, and what the user mounts to a path of ours takes its place."""
    b2luigi.set_setting("apptainer_mounts", ["/project/data", Path("/cvmfs"), "/fast:/project/logs:rw", "/a:/b/c,/b"])
    expected = ["/project", "/cvmfs", "/b", "/project/data", "/fast:/project/logs:rw", "/a:/b/c"]
    assert sorted(specs(container()), key=expected.index) == sorted(expected, key=expected.index)
    depths = [len(PurePath(spec.split(":")[1] if ":" in spec else spec).parts) for spec in specs(container())]
    assert depths == sorted(depths)


def test_what_a_job_writes_to_is_not_read_only() -> None:
    """A user shows a whole file system, so that nothing can be written to it; our folders are mounted into it."""
    b2luigi.set_setting("apptainer_mounts", ["/project:/project:ro"])
    b2luigi.set_setting("result_dir", "/project/results")
    found = specs(container(folder="/project/scripts"))
    assert found == [
        "/project:/project:ro",
        "/project/scripts",
        "/project/results",
        "/project/task_files/inbox-1",
        "/project/task_files/n=1/T",
        "/project/logs/n=1/T",
    ]


def test_a_script_that_is_a_module_of_a_package(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node starts it as `python -m` does, from the folder above its package."""
    b2luigi.set_setting("apptainer_image", "image.sif")
    script = Path(create_executable_wrapper(Plain())).read_text()
    main = ModuleSpec("project.script", None, origin=str(script_folder / "script.py"))
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", main)
    as_module = Path(create_executable_wrapper(Plain())).read_text()
    above = f"--bind {script_folder.parent}\n"
    assert (above in script, above in as_module) == (False, True)


def test_mounts_may_be_all() -> None:
    """Without the defaults the container shows what the user says."""
    b2luigi.set_setting("apptainer_mount_defaults", False)
    b2luigi.set_setting("apptainer_mounts", ["/data"])
    found = container()
    assert found.binds == [Bind("/data", "/data", is_ours=False)]
    assert found.result_dir == ""


def test_colons_and_commas_in_our_paths_are_escaped() -> None:
    """The option --bind gives them a meaning."""
    assert specs(container(folder="/p/a:b,c", home="/p/a:b,c/t", inbox=None, logs=None)) == ["/p/a\\:b\\,c"]


@pytest.mark.parametrize("given", ["--nv --env 'A=b c'", ["--nv", "--env", "A=b c"]])
def test_additional_params(given: Any) -> None:
    """A text is split as a shell does it; a list is taken as it is."""
    b2luigi.set_setting("apptainer_additional_params", given)
    assert container().options == ["--nv", "--env", "A=b c"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("apptainer_mounts", "/cvmfs", "apptainer_mounts must be a list of paths, not '/cvmfs'"),
        ("apptainer_mounts", ["data"], "apptainer_mounts: 'data' must be an absolute path"),
        ("apptainer_mounts", ["/data:data"], "apptainer_mounts: '/data:data' must be an absolute path"),
        ("apptainer_mounts", ["/a,b"], "apptainer_mounts: '/a,b' must be an absolute path"),
        ("apptainer_mounts", [""], "apptainer_mounts: '' must be"),
        ("apptainer_mounts", [3], "apptainer_mounts: 3 must be"),
        ("apptainer_mount_defaults", "no", "apptainer_mount_defaults must be true or false"),
        ("apptainer_additional_params", "--env 'A", "apptainer_additional_params: .* cannot be split into words"),
        ("apptainer_additional_params", 3, "apptainer_additional_params must be a string, or a list of strings"),
        ("apptainer_cmd", "apptainer --debug", "apptainer_cmd must be the name or the path of one program"),
        ("apptainer_image", ["image.sif"], "apptainer_image must be a path"),
        ("apptainer_image", "a\nb", "apptainer_image must be the path or the address of an image"),
    ],
)
def test_invalid_settings_are_refused(name: str, value: Any, message: str) -> None:
    """Before anything is submitted, in one sentence that names the setting."""

    class Invalid(Plain):
        apptainer_image: Any = "image.sif"

    setattr(Invalid, name, value)
    with pytest.raises(ValueError, match=message):
        create_executable_wrapper(Invalid())


def test_without_an_image_nothing_changes() -> None:
    """The other settings alone start no container, and are not looked at."""
    path = Path(create_executable_wrapper(Plain()))
    former = path.read_text()
    b2luigi.set_setting("apptainer_mounts", ["/data"])
    b2luigi.set_setting("apptainer_additional_params", "'")
    b2luigi.set_setting("apptainer_image", "")
    assert Path(create_executable_wrapper(Plain())).read_text() == former
    assert "inside" not in former
    assert list(missing_here(Plain())) == []


def test_an_image_that_is_transferred(script_folder: Path) -> None:
    """It has its name in the folder of the job; one that is not must be absolute, and the sentence names both."""
    script = JobScript("T_1", ["true"], home=".")
    for image in (str(script_folder / "image.sif"), f"{script_folder}/./image.sif"):
        b2luigi.set_setting("apptainer_image", image)
        assert present(container_of(Plain(), script, carried=True)).image == image
        b2luigi.set_setting("transfer_files", [str(script_folder / "image.sif")])
        assert present(container_of(Plain(), script, carried=True)).image == "image.sif"
        b2luigi.set_setting("transfer_files", [])
    b2luigi.set_setting("apptainer_image", "image.sif")
    with pytest.raises(
        ValueError, match=r"apptainer_image is 'image\.sif', a relative path.*list that in transfer_files"
    ):
        container_of(Plain(), script, carried=True)
    b2luigi.set_setting("apptainer_image", "docker://python:3")
    assert present(container_of(Plain(), script, carried=True)).image == "docker://python:3"


# -- what this machine lacks


def test_what_this_machine_lacks(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image, the program and the mounts, by the paths that the node would use."""
    b2luigi.set_setting("apptainer_image", "image.sif")
    b2luigi.set_setting("apptainer_mounts", ["/no/data:/data", "/usr"])
    assert dict(missing_here(Plain())) == {
        "apptainer_image": f"there is no container image {script_folder}/image.sif on this machine",
        "apptainer_cmd": "there is no program apptainer or singularity on this machine",
        "apptainer_mounts": "there is no /no/data on this machine",
    }
    b2luigi.set_setting("apptainer_cmd", "/no/singularity")
    assert dict(missing_here(Plain()))["apptainer_cmd"] == "there is no program /no/singularity on this machine"
    b2luigi.set_setting("apptainer_cmd", str(put_apptainer(script_folder / "bin", "bare")))
    b2luigi.set_setting("apptainer_mounts", [])
    (script_folder / "image.sif").touch()
    assert dict(missing_here(Plain())) == {}
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)  # the superuser may read everything
    assert dict(missing_here(Plain())) == {
        "apptainer_image": f"the container image {script_folder}/image.sif cannot be read"
    }
    b2luigi.set_setting("apptainer_image", "docker://python:3")
    assert dict(missing_here(Plain())) == {}


# -- the commands of b2luigi 1.x


def test_the_program_that_runs_containers(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting, or else apptainer, or else singularity; the error for neither names the setting."""
    monkeypatch.setenv("PATH", str(script_folder / "bin"))
    with pytest.raises(ValueError, match=r"neither apptainer nor singularity on this machine.*apptainer_cmd"):
        get_apptainer_or_singularity()
    put_apptainer(script_folder / "bin", "bare", "singularity")
    assert get_apptainer_or_singularity() == "singularity"
    put_apptainer(script_folder / "bin", "bare")
    assert get_apptainer_or_singularity(task=Plain()) == "apptainer"
    b2luigi.set_setting("apptainer_cmd", "/opt/bin/apptainer")
    assert get_apptainer_or_singularity() == "/opt/bin/apptainer"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"apptainer_mounts": ["/cvmfs", "/a:/b"]}, ["--bind", "/cvmfs", "--bind", "/a:/b"]),
        ({"apptainer_additional_params": "--nv --cleanenv"}, ["--nv", "--cleanenv"]),
        ({"apptainer_additional_params": "--env 'A=b c'"}, ["--env", "A=b c"]),
        ({"apptainer_additional_params": "--nv", "apptainer_mounts": ["/d"]}, ["--nv", "--bind", "/d"]),
        ({"result_dir": "OUT/res"}, ["--bind", "OUT/res"]),
        ({"log_dir": "OUT/log"}, ["--bind", "OUT/log/n=1/Plain/"]),
        ({"result_dir": "OUT/res", "apptainer_mount_defaults": False}, []),
        ({"result_dir": "OUT/res", "apptainer_mounts": ["/d"]}, ["--bind", "/d", "--bind", "OUT/res"]),
        ({"task_file_dir": "OUT/t", "working_dir": "OUT/w", "shell": "zsh", "env": {"A": "b"}}, []),
    ],
)  # fmt: skip
def test_commands_are_those_of_1_3_0(
    settings: dict[str, Any], expected: list[str], tmp_path: Path, script_folder: Path
) -> None:
    """Recorded from that release, with the same settings on the same folders."""
    given = {"apptainer_image": "im.sif", "env_script": "e.sh", "apptainer_cmd": "apptainer", **settings}
    for name, value in given.items():
        b2luigi.set_setting(name, value.replace("OUT", str(tmp_path)) if isinstance(value, str) else value)
    words = [word.replace("OUT", str(tmp_path)) for word in expected]
    line = ["im.sif", "/bin/bash", "-c", "source e.sh && foo 'a b' $X"]
    assert create_apptainer_command("foo 'a b' $X", task=Plain()) == ["apptainer", "exec", *words, *line]


def test_commands_that_1_3_0_refuses(tmp_path: Path) -> None:
    """No env_script is needed; an image is."""
    b2luigi.set_setting("apptainer_cmd", "apptainer")
    with pytest.raises(ValueError, match="apptainer_image is not set"):
        create_apptainer_command("foo", task=Plain())
    b2luigi.set_setting("apptainer_image", "docker://python:3")
    expected = ["apptainer", "exec", "docker://python:3", "/bin/bash", "-c", "foo"]
    assert create_apptainer_command("foo") == create_apptainer_command("foo", task=Plain()) == expected
