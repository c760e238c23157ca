from __future__ import annotations

import datetime
import hashlib
import sys
from pathlib import Path
from typing import Any

import luigi
import pytest

import b2luigi
from b2luigi.core.paths import (
    create_output_dirs,
    create_output_file_name,
    get_filename,
    get_log_file_dir,
    get_serialized_parameters,
    get_task_file_dir,
    map_folder,
)


class Many(b2luigi.Task):
    z = b2luigi.IntParameter()
    a = b2luigi.DateParameter(default=datetime.date(2024, 2, 29))
    secret = b2luigi.Parameter(default="x", significant=False)
    unseen = b2luigi.Parameter(default="y", hidden=True)


class OneText(b2luigi.Task):
    text = b2luigi.Parameter()


class Hashed(b2luigi.Task):
    text = b2luigi.Parameter(hashed=True)


class HashedItsWay(b2luigi.Task):
    numbers = b2luigi.ListParameter(hashed=True, hash_function=len)


class PlainLuigi(luigi.Task):
    number = luigi.IntParameter()
    note = luigi.Parameter(default="x", significant=False)


class OwnFolders(b2luigi.Task):
    def get_log_file_dir(self) -> Path:
        return Path("my/logs")

    def get_task_file_dir(self) -> str:
        return "/my/files"


def test_relative_folders_belong_to_the_script(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder is taken from the folder of the script, wherever we are; others stay as they are."""
    monkeypatch.chdir("/")
    assert get_filename() == str(script_folder / "script.py")
    assert map_folder("results") == str(script_folder / "results")
    assert map_folder(Path("../results")) == f"{script_folder}/../results"
    assert map_folder(".") == str(script_folder)
    assert map_folder("/abs/results/") == "/abs/results/"
    assert map_folder("~/results") == f"{script_folder}/~/results"


def test_without_a_script_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook relative folders are refused with advice, absolute ones work."""
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    with pytest.raises(AttributeError, match="Put the code into a file"):
        map_folder("results")
    assert create_output_file_name(OneText(text="x"), "f", result_dir="/r") == "/r/text=x/f"


def test_parameters_come_in_the_order_of_their_definition() -> None:
    """Significant, not hidden parameters, serialised, in definition order; hidden ones on request."""
    assert list(get_serialized_parameters(Many(z=3)).items()) == [("z", "3"), ("a", "2024-02-29")]
    assert list(get_serialized_parameters(Many(z=3), need_hidden=True)) == ["z", "a", "unseen"]


def test_the_path_rule(script_folder: Path) -> None:
    """<result_dir>/<parameter>=<value>/.../<name>."""
    expected = f"{script_folder}/results/z=3/a=2024-02-29/out.txt"
    b2luigi.set_setting("result_dir", "results")
    assert create_output_file_name(Many(z=3), "out.txt") == expected
    assert create_output_file_name(Many(z=3), "out.txt", result_dir=Path("results")) == expected


def test_the_result_folder_is_asked_of_the_task() -> None:
    """A task can have a result folder of its own, made from its parameters."""

    class Elsewhere(b2luigi.Task):
        number = b2luigi.IntParameter()

        @property
        def result_dir(self) -> str:
            return f"/data/{self.number % 2}"

    assert create_output_file_name(Elsewhere(number=3), "f") == "/data/1/number=3/f"


def test_names_and_separator_can_be_changed() -> None:
    """Settings drop the parameter's name or change the sign after it."""
    b2luigi.set_setting("parameter_separator", "_")
    assert create_output_file_name(OneText(text="x"), "f", "/r") == "/r/text_x/f"
    b2luigi.set_setting("use_parameter_name_in_output", False)
    assert create_output_file_name(OneText(text="x"), "f", "/r") == "/r/x/f"


def test_plain_luigi_tasks_have_paths() -> None:
    """Parameters of luigi itself are not hashed, and hidden when they are not significant."""
    assert create_output_file_name(PlainLuigi(number=1), "f", "/r") == "/r/number=1/f"
    assert create_output_file_name(PlainLuigi(number=1), "f", "/r", need_hidden=True) == "/r/number=1/f"


@pytest.mark.parametrize("value", ["a/b", "/", "..", ".", "a/"])
def test_values_that_can_not_name_a_folder_are_refused(value: str) -> None:
    """The error names the task, the parameter and the remedy."""
    with pytest.raises(ValueError, match=r"OneText: the parameter 'text' .* hashed=True"):
        create_output_file_name(OneText(text=value), "f", "/r")


@pytest.mark.parametrize("value", ["", "a b", "ä", "x=y", "...", "$HOME", "-"])
def test_odd_values_are_kept_as_they_are(value: str) -> None:
    """Everything that can name a folder does, unchanged."""
    assert create_output_file_name(OneText(text=value), "f", "/r") == f"/r/text={value}/f"


def test_hashed_values() -> None:
    """A hashed parameter stands with the md5 sum of str(value) in the path."""
    digest = hashlib.md5(b"a/b").hexdigest()
    assert create_output_file_name(Hashed(text="a/b"), "f", "/r") == f"/r/text=hashed_{digest}/f"
    assert get_serialized_parameters(HashedItsWay(numbers=[1, 2, 3])) == {"numbers": "hashed_3"}


def test_long_values_are_refused_before_the_file_system_does() -> None:
    """255 bytes (not characters) are the most a folder name can have, and the error says what to do."""
    assert create_output_file_name(OneText(text="x" * 250), "f", "/r").endswith("x/f")
    with pytest.raises(ValueError, match=r"'text' makes a folder name of 256 bytes.*hashed=True"):
        create_output_file_name(OneText(text="x" * 251), "f", "/r")
    with pytest.raises(ValueError, match="305 bytes"):
        create_output_file_name(OneText(text="ä" * 150), "f", "/r")
    assert create_output_file_name(Hashed(text="x" * 1000), "f", "/r")


def test_long_file_names_and_paths_are_refused() -> None:
    """A file name over 255 bytes and a path over 4095 are told, the path with its longest parameter."""
    with pytest.raises(ValueError, match="the file name 'fff"):
        create_output_file_name(OneText(text="x"), "f" * 256, "/r")
    with pytest.raises(ValueError, match=r"a path of 4108 bytes .* parameter 'text' with hashed=True"):
        create_output_file_name(OneText(text="x" * 200), "f", "/" + "long/" * 780)
    with pytest.raises(ValueError, match=r"Shorten result_dir: /long"):
        create_output_file_name(OwnFolders(), "f", "/" + "long/" * 900)


def test_log_and_task_file_folders(script_folder: Path) -> None:
    """Both end with the family; the one for the job script also tells hidden parameters apart."""
    assert get_log_file_dir(Many(z=1)) == f"{script_folder}/logs/z=1/a=2024-02-29/Many/"
    assert get_task_file_dir(Many(z=1)) == f"{script_folder}/task_files/z=1/a=2024-02-29/unseen=y/Many/"
    assert get_log_file_dir(PlainLuigi(number=1)) == f"{script_folder}/logs/number=1/PlainLuigi/"


def test_tasks_that_are_one_to_luigi_have_one_task_file_folder() -> None:
    """What is not significant does not tell jobs apart, as it does not tell tasks apart."""
    one, two = Many(z=1, secret="x"), Many(z=1, secret="y")
    assert one.task_id == two.task_id
    assert get_task_file_dir(one) == get_task_file_dir(two)


def test_folders_by_setting() -> None:
    """log_dir and task_file_dir say where the folders lie."""
    b2luigi.set_setting("log_dir", "/l")
    b2luigi.set_setting("task_file_dir", "/t")
    assert get_log_file_dir(OneText(text="x")) == "/l/text=x/OneText/"
    assert get_task_file_dir(OneText(text="x")) == "/t/text=x/OneText/"


def test_a_method_of_the_task_has_the_last_word(script_folder: Path) -> None:
    """A task may say itself where its logs and job files lie."""
    assert get_log_file_dir(OwnFolders()) == f"{script_folder}/my/logs"
    assert get_task_file_dir(OwnFolders()) == "/my/files"


@pytest.mark.parametrize("target_class", [luigi.LocalTarget, b2luigi.LocalTarget])
def test_output_folders_are_made(tmp_path: Path, target_class: Any) -> None:
    """The folders of all outputs are there afterwards, also those of plain luigi tasks, and twice is fine."""

    class Writes(luigi.Task):
        def output(self) -> Any:
            return {"a": target_class(f"{tmp_path}/a/b/f"), "b": [target_class(f"{tmp_path}/c/f")]}

    create_output_dirs(Writes())
    create_output_dirs(Writes())
    assert (tmp_path / "a/b").is_dir()
    assert (tmp_path / "c").is_dir()
