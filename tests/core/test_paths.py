from __future__ import annotations

import datetime
import hashlib
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.date_interval import Week

import b2luigi
from b2luigi.core.paths import (
    create_output_dirs,
    create_output_file_name,
    get_filename,
    get_filled_params,
    get_log_file_dir,
    get_serialized_parameters,
    get_task_file_dir,
    is_subdir,
    map_folder,
)
from tests.core.test_parameter import ARGUMENTS, NAMES, Colour


class Many(b2luigi.Task):
    z = b2luigi.IntParameter()
    a = b2luigi.DateParameter(default=datetime.date(2024, 2, 29))
    secret = b2luigi.Parameter(default="x", significant=False)
    unseen = b2luigi.Parameter(default="y", hidden=True)


class OneText(b2luigi.Task):
    text = b2luigi.Parameter()


class Hashed(b2luigi.Task):
    text = b2luigi.Parameter(hashed=True)


class HashedWithFunction(b2luigi.Task):
    numbers = b2luigi.ListParameter(hashed=True, hash_function=len)


class PlainLuigi(luigi.Task):
    number = luigi.IntParameter()
    note = luigi.Parameter(default="x", significant=False)


class OnlyHere(luigi.Task):
    """No other test uses this task name: luigi must find the class by it."""


class OwnFolders(b2luigi.Task):
    def get_log_file_dir(self) -> Path:
        return Path("my/logs")

    def get_task_file_dir(self) -> str:
        return "/my/files"


def test_relative_folders_are_relative_to_the_script(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder is relative to the script's folder, not the current one; an absolute one stays as it is."""
    monkeypatch.chdir("/")
    assert get_filename() == str(script_folder / "script.py")
    assert map_folder("results") == str(script_folder / "results")
    assert map_folder(Path("../results")) == f"{script_folder}/../results"
    assert map_folder(".") == str(script_folder)
    assert map_folder("/abs/results/") == "/abs/results/"
    assert map_folder("~/results") == f"{script_folder}/~/results"


def test_parameters_come_in_the_order_of_their_definition() -> None:
    """Significant parameters, serialised, in definition order; hidden ones only on request."""
    assert list(get_serialized_parameters(Many(z=3)).items()) == [("z", "3"), ("a", "2024-02-29")]
    assert list(get_serialized_parameters(Many(z=3), need_hidden=True)) == ["z", "a", "unseen"]


def test_the_path_rule(script_folder: Path) -> None:
    """<result_dir>/<parameter>=<value>/.../<name>."""
    expected = f"{script_folder}/results/z=3/a=2024-02-29/out.txt"
    b2luigi.set_setting("result_dir", "results")
    assert create_output_file_name(Many(z=3), "out.txt") == expected
    assert create_output_file_name(Many(z=3), "out.txt", result_dir=Path("results")) == expected


def test_a_task_can_choose_its_result_folder() -> None:
    """A property `result_dir` of the task may depend on its parameters."""

    class Elsewhere(b2luigi.Task):
        number = b2luigi.IntParameter()

        @property
        def result_dir(self) -> str:
            return f"/data/{self.number % 2}"

    assert create_output_file_name(Elsewhere(number=3), "f") == "/data/1/number=3/f"


def test_names_and_separator_can_be_changed() -> None:
    """Settings omit the parameter name or change the separator after it."""
    b2luigi.set_setting("parameter_separator", "_")
    assert create_output_file_name(OneText(text="x"), "f", "/r") == "/r/text_x/f"
    b2luigi.set_setting("use_parameter_name_in_output", False)
    assert create_output_file_name(OneText(text="x"), "f", "/r") == "/r/x/f"


def test_plain_luigi_tasks_have_paths() -> None:
    """luigi's own parameters are not hashed, and insignificant ones never appear in the path."""
    assert create_output_file_name(PlainLuigi(number=1), "f", "/r") == "/r/number=1/f"
    assert create_output_file_name(PlainLuigi(number=1), "f", "/r", need_hidden=True) == "/r/number=1/f"


@pytest.mark.parametrize("value", ["a/b", "/", "..", ".", "a/", "a\0b"])
def test_values_that_are_no_folder_name_are_rejected(value: str) -> None:
    """The error names the task, the parameter and the remedy."""
    with pytest.raises(ValueError, match=r"OneText: the parameter 'text' .* hashed=True"):
        create_output_file_name(OneText(text=value), "f", "/r")


@pytest.mark.parametrize("value", ["", "a b", "ä", "x=y", "...", "$HOME", "-"])
def test_unusual_values_are_kept(value: str) -> None:
    """Any value that is a valid folder name appears unchanged."""
    assert create_output_file_name(OneText(text=value), "f", "/r") == f"/r/text={value}/f"


def test_hashed_values() -> None:
    """The path contains the md5 sum of str(value) of a hashed parameter."""
    digest = hashlib.md5(b"a/b").hexdigest()
    assert create_output_file_name(Hashed(text="a/b"), "f", "/r") == f"/r/text=hashed_{digest}/f"
    assert b2luigi.Parameter(hashed=True).serialize_hashed("a/b") == f"hashed_{digest}"


def test_a_hash_function_names_the_folder() -> None:
    """The folder is exactly what the function returns; without hashed=True the function has no effect."""

    class Spans(b2luigi.Task):
        runs = b2luigi.ListParameter(hashed=True, hash_function=lambda runs: "_".join(map(str, runs)))
        plain = b2luigi.ListParameter(default=[1], hash_function=len)

    assert folder_of(Spans(runs=[0, 1, 2]), -3) == "runs=0_1_2"
    assert folder_of(Spans(runs=[0, 1, 2]), -2) == "plain=[1]"
    assert get_serialized_parameters(HashedWithFunction(numbers=[1, 2, 3])) == {"numbers": "3"}


class Mirrored(b2luigi.Parameter[str]):
    def serialize_hashed(self, x: str) -> str:
        return "own_" + x[::-1].replace("/", "-")


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        ({}, "value=own_b-a"),
        ({"hashed": True}, f"value=hashed_{hashlib.md5(b'a/b').hexdigest()}"),
        ({"hashed": True, "hash_function": lambda text: "f"}, "value=f"),
        ({"hash_function": lambda text: "f"}, "value=own_b-a"),
    ],
    ids=["alone", "hashed", "hash_function", "hash_function without hashed"],
)
def test_a_parameter_class_may_name_the_folders(arguments: dict[str, Any], folder: str) -> None:
    """A method `serialize_hashed` of its own counts; hashed=True and hash_function are closer to the task."""
    made: Any = type("One", (b2luigi.Task,), {"value": Mirrored(**arguments), "__module__": __name__})
    assert folder_of(made(value="a/b")) == folder


@pytest.mark.parametrize(("returned", "words"), [("a/b", "hash_function .* another text"), (None, "`return` missing")])
def test_a_hash_function_that_names_no_folder_is_refused(returned: Any, words: str) -> None:
    """The error speaks of the function: hashed=True is there already."""

    class Wrong(b2luigi.Task):
        text = b2luigi.Parameter(hashed=True, hash_function=lambda text: returned)

    with pytest.raises(ValueError, match=words):
        folder_of(Wrong(text="x"))


@pytest.mark.parametrize(
    ("name", "value", "folder"),
    [
        ("IntParameter", 1, "1"),
        ("BatchIntParameter", 1, "1"),
        ("ListParameter", [3, 1], "grouped_1_3"),
        ("ListParameter", [], "grouped_"),
        ("ListParameter", [1.5, None], "(1.5, None)"),
        ("ListParameter", list(range(12)), "grouped_0_1_2_3_4_5_6_7_8_9_10_11"),
        ("ListParameter", list(range(13)), "grouped_ec2b5ea337c4b8ac364069e6b0c6d0bc"),
        ("TupleParameter", ((1, 2), (3,)), "grouped_(1, 2)_(3,)"),
        ("DictParameter", {"b": 1, "a": 2}, "grouped_a_b"),
        ("Parameter", "ba", "grouped_a_b"),
        ("DateParameter", datetime.date(2024, 1, 2), "2024-01-02"),
        ("DateIntervalParameter", Week(2024, 1), "grouped_4eb0fdaa77f1e7111cc540ebb9b05db5"),
        ("TimeDeltaParameter", datetime.timedelta(days=1), "1 day, 0:00:00"),
        ("EnumParameter", Colour.red, "Colour.red"),
    ],
    ids=str,
)
def test_folders_of_grouped_parameters(name: str, value: Any, folder: str) -> None:
    """They are those of b2luigi 1.3.0, which these were observed on; hashed=True alone changes nothing."""
    for arguments in ({}, {"hashed": True}):
        made = getattr(b2luigi, name)(**ARGUMENTS.get(name, {}), grouping=True, **arguments)
        cls: Any = type("One", (b2luigi.Task,), {"value": made, "__module__": __name__})
        assert folder_of(cls(value=value)) == f"value={folder}"


def test_long_values_are_rejected_before_the_file_system_rejects_them() -> None:
    """A folder name may have 255 bytes (not characters), and the error says what to do."""
    assert create_output_file_name(OneText(text="x" * 250), "f", "/r").endswith("x/f")
    with pytest.raises(ValueError, match=r"'text' leads to a folder name of 256 bytes.*hashed=True"):
        create_output_file_name(OneText(text="x" * 251), "f", "/r")
    with pytest.raises(ValueError, match="305 bytes"):
        create_output_file_name(OneText(text="ä" * 150), "f", "/r")
    assert create_output_file_name(Hashed(text="x" * 1000), "f", "/r")


def test_long_file_names_and_paths_are_rejected() -> None:
    """File names over 255 bytes and paths over 4095 are errors; for a path the error names the longest parameter."""
    with pytest.raises(ValueError, match="the file name 'fff"):
        create_output_file_name(OneText(text="x"), "f" * 256, "/r")
    with pytest.raises(ValueError, match=r"a path of 4108 bytes .* parameter 'text' with hashed=True"):
        create_output_file_name(OneText(text="x" * 200), "f", "/" + "long/" * 780)
    with pytest.raises(ValueError, match=r"Shorten result_dir: /long"):
        create_output_file_name(OwnFolders(), "f", "/" + "long/" * 900)


@pytest.mark.parametrize(("folder", "setting"), [(get_log_file_dir, "log_dir"), (get_task_file_dir, "task_file_dir")])
def test_folders_leave_room_for_the_files_in_them(folder: Any, setting: str) -> None:
    """A folder too long to hold a log or a record is rejected, too; the error names the setting it comes from."""
    b2luigi.set_setting(setting, "/" + "x/" * 2000)
    assert folder(OneText(text="ä")).endswith("/text=ä/OneText/")
    with pytest.raises(ValueError, match=f"Shorten {setting}, or define the parameter 'text' with hashed=True"):
        folder(OneText(text="ä" * 20))


def test_log_and_task_file_folders(script_folder: Path) -> None:
    """Both end with the family; the path of the task file folder includes hidden parameters."""
    assert get_log_file_dir(Many(z=1)) == f"{script_folder}/logs/z=1/a=2024-02-29/Many/"
    assert get_task_file_dir(Many(z=1)) == f"{script_folder}/task_files/z=1/a=2024-02-29/unseen=y/Many/"
    assert get_log_file_dir(PlainLuigi(number=1)) == f"{script_folder}/logs/number=1/PlainLuigi/"


def test_insignificant_parameters_do_not_change_the_task_file_folder() -> None:
    """Tasks that are the same to luigi share one task file folder."""
    one, two = Many(z=1, secret="x"), Many(z=1, secret="y")
    assert one.task_id == two.task_id
    assert get_task_file_dir(one) == get_task_file_dir(two)


def test_folders_by_setting() -> None:
    """log_dir and task_file_dir set the base of the folders."""
    b2luigi.set_setting("log_dir", "/l")
    b2luigi.set_setting("task_file_dir", "/t")
    assert get_log_file_dir(OneText(text="x")) == "/l/text=x/OneText/"
    assert get_task_file_dir(OneText(text="x")) == "/t/text=x/OneText/"


def test_a_method_of_the_task_overrides_the_settings(script_folder: Path) -> None:
    """A task may choose the folders of its logs and job files itself."""
    assert get_log_file_dir(OwnFolders()) == f"{script_folder}/my/logs"
    assert get_task_file_dir(OwnFolders()) == "/my/files"


@pytest.mark.parametrize("target_class", [luigi.LocalTarget, b2luigi.LocalTarget])
def test_output_folders_are_created(tmp_path: Path, target_class: Any) -> None:
    """Creates the folders of all outputs, also of plain luigi tasks; a second call is harmless."""

    class Writes(luigi.Task):
        def output(self) -> Any:
            return {"a": target_class(f"{tmp_path}/a/b/f"), "b": [target_class(f"{tmp_path}/c/f")]}

    create_output_dirs(Writes())
    create_output_dirs(Writes())
    assert (tmp_path / "a/b").is_dir()
    assert (tmp_path / "c").is_dir()


def test_the_former_name_of_result_dir() -> None:
    """`result_path` still works, with a warning, but not together with the new name."""
    with pytest.warns(DeprecationWarning, match="result_path .* is now called result_dir") as warned:
        assert create_output_file_name(OneText(text="x"), "f", result_path="/r") == "/r/text=x/f"
    assert warned[0].filename == __file__
    with pytest.raises(TypeError, match="pass only result_dir"):
        create_output_file_name(OneText(text="x"), "f", "/r", result_path="/r")


def test_all_parameters_with_their_values() -> None:
    """Includes hidden and insignificant parameters, in the order of their definition."""
    assert list(get_filled_params(Many(z=1)).items()) == [
        ("z", 1),
        ("a", datetime.date(2024, 2, 29)),
        ("secret", "x"),
        ("unseen", "y"),
    ]
    assert get_filled_params(PlainLuigi(number=1)) == {"number": 1, "note": "x"}


@pytest.mark.parametrize(
    ("path", "inside"), [("a", True), ("a/b/../c", True), ("", True), ("../a", False), ("../projects", False)]
)
def test_folders_inside_folders(script_folder: Path, path: str, inside: bool) -> None:
    """Paths are compared part by part; relative paths are relative to the current folder."""
    assert is_subdir(script_folder / path, script_folder) is inside
    assert is_subdir(path, Path(".")) is inside


def test_a_link_that_leads_outside_is_not_inside(script_folder: Path) -> None:
    """Symbolic links are followed."""
    (script_folder / "link").symlink_to("/")
    assert not is_subdir(script_folder / "link" / "x", script_folder)


# -- every parameter class of luigi


VALUES: dict[str, tuple[Any, str]] = {
    "BatchIntParameter": (7, "7"),
    "BoolParameter": (True, "True"),
    "ChoiceListParameter": (("a",), "a"),
    "ChoiceParameter": ("a", "a"),
    "DateHourParameter": (datetime.datetime(2024, 2, 29, 13), "2024-02-29T13"),
    "DateIntervalParameter": (Week(2024, 9), "2024-W09"),
    "DateMinuteParameter": (datetime.datetime(2024, 2, 29, 13, 37), "2024-02-29T1337"),
    "DateParameter": (datetime.date(2024, 2, 29), "2024-02-29"),
    "DateSecondParameter": (datetime.datetime(2024, 2, 29, 13, 37, 42), "2024-02-29T133742"),
    "DictParameter": ({"b": [1, None], "a": "x"}, '{"b": [1, null], "a": "x"}'),
    "EnumListParameter": ((Colour.blue, Colour.red), "blue,red"),
    "EnumParameter": (Colour.blue, "blue"),
    "FloatParameter": (0.1, "0.1"),
    "IntParameter": (-3, "-3"),
    "ListParameter": ([1, ["x"]], '[1, ["x"]]'),
    "MonthParameter": (datetime.date(2024, 2, 1), "2024-02"),
    "NumericalParameter": (3, "3"),
    "OptionalBoolParameter": (None, ""),
    "OptionalChoiceParameter": (None, ""),
    "OptionalDictParameter": (None, ""),
    "OptionalFloatParameter": (2.5, "2.5"),
    "OptionalIntParameter": (None, ""),
    "OptionalListParameter": ([1], "[1]"),
    "OptionalNumericalParameter": (None, ""),
    "OptionalParameter": (None, ""),
    "OptionalPathParameter": (None, ""),
    "OptionalStrParameter": ("x", "x"),
    "OptionalTupleParameter": ((1, 2), "[1, 2]"),
    "Parameter": ("a b", "a b"),
    "PathParameter": (Path("a b"), "a b"),
    "StrParameter": ("ä$'", "ä$'"),
    "TaskParameter": (OnlyHere, "OnlyHere"),
    "TimeDeltaParameter": (datetime.timedelta(days=3, seconds=7), "0 w 3 d 0 h 0 m 7 s"),
    "TupleParameter": (((1, 2), "x"), '[[1, 2], "x"]'),
    "YearParameter": (datetime.date(2024, 1, 1), "2024"),
}
"""For each parameter class: a value, and the string expected in the path."""


def task_with(name: str, **arguments: Any) -> Any:
    made = getattr(b2luigi, name)(**ARGUMENTS.get(name, {}), **arguments)
    return type("One", (b2luigi.Task,), {"value": made, "__module__": __name__})(value=VALUES[name][0])


def folder_of(task: luigi.Task, part: int = -2) -> str:
    return Path(create_output_file_name(task, "f", "/r")).parts[part]


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_appears_in_the_path(name: str) -> None:
    """The path contains the serialised value, and the value can be parsed from the folder name."""
    task = task_with(name)
    assert folder_of(task) == f"value={VALUES[name][1]}"
    parameter = dict(task.get_params())["value"]
    assert parameter.normalize(parameter.parse(folder_of(task).removeprefix("value="))) == task.value


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_can_be_hashed(name: str) -> None:
    """The path contains the md5 sum of str(value), and is the same on a node."""
    task = task_with(name, hashed=True)
    assert folder_of(task) == f"value=hashed_{hashlib.md5(str(task.value).encode()).hexdigest()}"
    parameter = dict(task.get_params())["value"]
    assert folder_of(type(task)(value=parameter.parse(parameter.serialize(task.value)))) == folder_of(task)


def test_values_with_a_slash_need_a_hash() -> None:
    """Without a hash, a path as parameter value would create nested folders."""

    class At(b2luigi.Task):
        place = b2luigi.PathParameter()
        short = b2luigi.PathParameter(hashed=True, hash_function=lambda path: path.name)

    with pytest.raises(ValueError, match=r"'place' has the value '/a/b', .* hashed=True"):
        folder_of(At(place=Path("/a/b"), short=Path("/c/d")))
    assert folder_of(At(place=Path("a"), short=Path("/c/d"))) == "short=d"
