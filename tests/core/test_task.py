from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import luigi
import pytest

import b2luigi
from b2luigi.core import utils
from b2luigi.core.paths import create_output_dirs
from b2luigi.core.settings import UnknownSettingWarning
from b2luigi.core.task import NotCompletedTask


class Number(b2luigi.Task):
    number = b2luigi.IntParameter()

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("number.txt")
        yield self.add_to_output("log.txt")

    def run(self) -> None:
        for path in self.get_all_output_file_names():
            Path(path).write_text(str(self.number))


class PlainLuigi(luigi.Task):
    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget("/data/plain.txt")


class Sum(b2luigi.Task):
    def requires(self) -> Iterator[Any]:
        for number in range(3):
            yield self.clone(Number, number=number)
        yield PlainLuigi()


class FromDict(b2luigi.Task):
    def requires(self) -> dict[str, Any]:
        return {"low": (Number(number=number) for number in (1, 2)), "high": Number(number=9)}


class One(b2luigi.Task):
    def requires(self) -> luigi.Task:
        return PlainLuigi()


def paths(folder: Path, name: str, *numbers: int) -> list[str]:
    return [f"{folder}/number={number}/{name}" for number in numbers]


def test_output_file_names(script_folder: Path) -> None:
    """Outputs are found by the name passed to add_to_output."""
    assert Number(number=3).get_output_file_name("log.txt") == f"{script_folder}/number=3/log.txt"
    assert list(Number(number=3).get_all_output_file_names()) == [
        f"{script_folder}/number=3/number.txt",
        f"{script_folder}/number=3/log.txt",
    ]


def test_the_error_for_an_unknown_output_lists_the_available_ones() -> None:
    """For a misspelled name, the error lists the names to choose from."""
    with pytest.raises(
        KeyError, match=r"Number: there is no output named 'lg\.txt'; available: 'number\.txt', 'log\.txt'"
    ):
        Number(number=3).get_output_file_name("lg.txt")
    with pytest.raises(KeyError, match="available: none at all"):
        Sum().get_output_file_name("x")


def test_outputs_in_any_nesting() -> None:
    """output may yield or return targets, lists of them, or a merged dict."""

    class Nested(b2luigi.Task):
        result_dir = "/r"

        def output(self) -> Any:
            return [{**self.add_to_output("a"), **self.add_to_output("b")}, [self.add_to_output("c")]]

    assert list(Nested().get_all_output_file_names()) == ["/r/a", "/r/b", "/r/c"]
    assert Nested().get_output_file_name("c") == "/r/c"


def test_an_ambiguous_output_name_is_an_error() -> None:
    """If two outputs have the same name, the error asks for different names instead of choosing one."""

    class Twice(b2luigi.Task):
        def output(self) -> Iterator[Any]:
            yield self.add_to_output("f", result_dir="/a")
            yield self.add_to_output("f", result_dir="/b")

    assert list(Twice().get_all_output_file_names()) == ["/a/f", "/b/f"]
    with pytest.raises(ValueError, match="2 outputs are named 'f'"):
        Twice().get_output_file_name("f")


def test_the_target_class_can_be_chosen() -> None:
    """By argument, or by setting, or else LocalTarget; arguments of the call override the settings."""

    class Mine(b2luigi.LocalTarget):
        def __init__(self, path: str, flavour: str = "", size: int = 0) -> None:
            super().__init__(path)
            self.flavour, self.size = flavour, size

    task = Number(number=1)
    assert type(task.add_to_output("f")["f"]) is b2luigi.LocalTarget
    assert type(task.add_to_output("f", luigi.LocalTarget)["f"]) is luigi.LocalTarget
    b2luigi.set_setting("default_task_target_class", Mine)
    b2luigi.set_setting("target_class_kwargs", {"flavour": "sweet", "size": 1})
    target = task.add_to_output("f", size=2)["f"]
    assert (type(target), target.flavour, target.size) == (Mine, "sweet", 2)


def test_a_result_folder_for_one_output() -> None:
    """add_to_output takes a result folder for a single file."""
    assert Number(number=1).add_to_output("f", result_dir="/scratch")["f"].path == "/scratch/number=1/f"


def test_input_file_names(script_folder: Path) -> None:
    """Outputs with the same name form one list; outputs of plain luigi tasks are named after their file."""
    assert Sum().get_input_file_names() == {
        "number.txt": paths(script_folder, "number.txt", 0, 1, 2),
        "log.txt": paths(script_folder, "log.txt", 0, 1, 2),
        "plain.txt": ["/data/plain.txt"],
    }
    assert Sum().get_input_file_names("log.txt") == paths(script_folder, "log.txt", 0, 1, 2)
    assert len(list(Sum().get_all_input_file_names())) == 7


def test_the_error_for_an_unknown_input_lists_the_available_ones() -> None:
    """For a name that no required task has, the error lists the names to choose from."""
    with pytest.raises(KeyError, match=r"Sum: there is no input named 'x'; available: 'number.txt', .*'plain.txt'"):
        Sum().get_input_file_names("x")


def test_inputs_by_requirement(script_folder: Path) -> None:
    """With a dict of requirements, even of generators, inputs can be read for one entry or for all."""
    task = FromDict()
    assert task.get_input_file_names_from_dict("low") == {
        "number.txt": paths(script_folder, "number.txt", 1, 2),
        "log.txt": paths(script_folder, "log.txt", 1, 2),
    }
    assert task.get_input_file_names_from_dict("high", "log.txt") == paths(script_folder, "log.txt", 9)
    assert task.get_input_file_names("log.txt") == paths(script_folder, "log.txt", 1, 2, 9)


def test_an_unknown_requirement_is_an_error() -> None:
    """The error lists the available requirements, or asks for a dict if there is none."""
    with pytest.raises(KeyError, match="no requirement named 'mid'; available: 'low', 'high'"):
        FromDict().get_input_file_names_from_dict("mid")
    with pytest.raises(TypeError, match="must return a dict"):
        Sum().get_input_file_names_from_dict("low")


def test_the_only_input_file() -> None:
    """get_input_file_name is for tasks with exactly one input file, or one of that name."""
    assert One().get_input_file_name() == "/data/plain.txt"
    assert Sum().get_input_file_name("plain.txt") == "/data/plain.txt"
    with pytest.raises(ValueError, match=r"there are 3 input files named 'log\.txt', not one"):
        Sum().get_input_file_name("log.txt")
    with pytest.raises(ValueError, match="there are 0 input files, not one"):
        Number(number=1).get_input_file_name()


def test_targets_of_inputs() -> None:
    """The targets themselves can also be found by name."""
    assert [target.path for target in Sum()._get_input_targets("plain.txt")] == ["/data/plain.txt"]


def test_a_target_for_any_path(tmp_path: Path) -> None:
    """_resolve_output_file_target creates a target with the class and arguments from the settings."""
    b2luigi.set_setting("target_class_kwargs", {"is_tmp": False})
    target = Number(number=1)._resolve_output_file_target(f"{tmp_path}/f")
    assert (type(target), target.path) == (b2luigi.LocalTarget, f"{tmp_path}/f")
    assert type(Number(number=1)._resolve_output_file_target("/f", luigi.LocalTarget)) is luigi.LocalTarget


def make_outputs(task: b2luigi.Task) -> None:
    create_output_dirs(task)
    task.run()


def test_outputs_can_be_removed(script_folder: Path) -> None:
    """One by its name, or all; missing outputs are ignored."""
    make_outputs(Number(number=3))
    Number(number=3)._remove_output_file_target("log.txt")
    assert [path.name for path in (script_folder / "number=3").iterdir()] == ["number.txt"]
    Number(number=3)._remove_output()
    Number(number=3)._remove_output()
    assert list((script_folder / "number=3").iterdir()) == []
    with pytest.raises(KeyError, match=r"no output named 'lg\.txt'"):
        Number(number=3)._remove_output_file_target("lg.txt")


def test_folders_and_outputs_of_luigi_can_be_removed(script_folder: Path) -> None:
    """An output that is a folder is removed with its contents."""

    class Makes(b2luigi.Task):
        def output(self) -> Any:
            return [luigi.LocalTarget(f"{script_folder}/f"), self.add_to_output("folder")]

    (script_folder / "f").write_text("")
    (script_folder / "folder" / "sub").mkdir(parents=True)
    Makes()._remove_output()
    assert list(script_folder.iterdir()) == []


def test_an_output_that_cannot_be_removed_is_an_error() -> None:
    """If a target has no method remove, the error asks for one, or for remove_output of the task."""

    class Row(luigi.Target):
        there = False

        def exists(self) -> bool:
            return Row.there

    class Fills(b2luigi.Task):
        def output(self) -> Any:
            return Row()

    Fills()._remove_output()
    Row.there = True
    with pytest.raises(TypeError, match=r"Fills: cannot remove the output .*: Row has no method remove"):
        Fills()._remove_output()


def test_a_task_may_remove_more_than_its_outputs(script_folder: Path) -> None:
    """`remove_output` can be overridden; `super()` removes the outputs."""

    class Tidy(Number):
        def remove_output(self) -> None:
            super().remove_output()
            (script_folder / "cache").unlink()

    (script_folder / "cache").touch()
    make_outputs(Tidy(number=3))
    Tidy(number=3).remove_output()
    assert list((script_folder / "number=3").iterdir()) == []
    assert not (script_folder / "cache").exists()


FILES = {"get_log_file_dir": "remove_log_files", "get_task_file_dir": "remove_task_files"}


def filled(folder: str) -> Path:
    """A folder as a job leaves it, with a file of the user's own."""
    path = Path(folder)
    path.mkdir(parents=True)
    names = ("stdout", "stderr.2", "job.log", "executable_wrapper.sh", "0123456789abcdef.outcome", "mine.txt")
    for name in names:
        (path / name).touch()
    (path / "attempt-1.json").write_text('{\n "token": "0123456789abcdef",\n "ended": 1.0\n}')
    return path


@pytest.mark.parametrize("where", FILES)
def test_log_files_and_task_files_can_be_removed(where: str) -> None:
    """The folder of this task is removed, and not that of another one; a second time there is nothing to do."""
    mine, other = (filled(getattr(utils, where)(Number(number=number))) for number in (3, 4))
    for _ in range(2):
        getattr(Number(number=3), FILES[where])()
    assert not mine.exists()
    assert (other / "mine.txt").exists()


@pytest.mark.parametrize("where", FILES)
def test_in_a_folder_of_the_user_only_our_files_are_removed(where: str, script_folder: Path) -> None:
    """A method that chooses the folder may choose the home directory."""
    mine = type("Mine", (Number,), {where: lambda self: str(script_folder / "home")})
    folder = filled(str(script_folder / "home"))
    getattr(mine(number=3), FILES[where])()
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("method", FILES.values())
def test_files_of_a_job_that_may_run_are_kept(method: str) -> None:
    """Without its record, the job would be submitted a second time."""
    folder = filled(utils.get_task_file_dir(Number(number=3)))
    (folder / "attempt-2.json").write_text('{\n "token": "fedcba9876543210"\n}')
    with pytest.raises(RuntimeError, match=r"its job may still be running \(record .*attempt-2\.json\)"):
        getattr(Number(number=3), method)()
    assert (folder / "attempt-1.json").exists()


class Grouped(b2luigi.Task):
    n = b2luigi.IntParameter(grouping=True)
    best = b2luigi.IntParameter(default=0, batch_method=max)
    max_grouping_size = 5


def test_grouped_parameters_are_named() -> None:
    """The methods of b2luigi 1.x report the parameters with `grouping`, and one task per job by default."""
    assert (Number.grouped_param_names(), Number.has_grouped_params(), Number.max_grouping_size) == ([], False, 1)
    assert (Grouped.grouped_param_names(), Grouped.has_grouped_params(), Grouped.max_grouping_size) == (["n"], True, 5)


def test_luigi_does_not_replace_grouped_tasks_by_one() -> None:
    """Each grouped task runs itself, whatever else its parameters allow luigi."""
    assert not Grouped(n=1).batchable
    assert (Grouped.max_batch_size, Number.max_batch_size) == (5, 1)


def test_luigis_own_limit_of_a_batch_counts() -> None:
    """max_batch_size is max_grouping_size unless a class sets luigi's name itself."""

    class Seven(b2luigi.Task):
        n = b2luigi.IntParameter(batch_method=max)
        max_batch_size = 7

    class Mixed:
        max_grouping_size = 4

    class Inherits(Seven):
        pass

    class Four(Mixed, b2luigi.Task):
        n = b2luigi.IntParameter(batch_method=max)

    assert (Seven.max_batch_size, Inherits.max_batch_size, Four.max_batch_size) == (7, 7, 4)
    assert Four(n=1).batchable


def build(*tasks: luigi.Task) -> bool:
    return bool(luigi.build(list(tasks), local_scheduler=True, log_level="CRITICAL"))


def test_output_folders_exist_when_run_starts(script_folder: Path) -> None:
    """When plain luigi runs a task, run() can open its outputs at once."""
    assert build(Number(number=5))
    assert (script_folder / "number=5" / "log.txt").read_text() == "5"


def test_no_folders_for_external_outputs(script_folder: Path) -> None:
    """An external task is only checked for completeness."""

    class FromOutside(b2luigi.ExternalTask):
        def output(self) -> Iterator[Any]:
            yield self.add_to_output("sub/f")

    task = FromOutside()
    assert task.run is None
    task.trigger_event(luigi.Event.START, task)
    assert list(script_folder.iterdir()) == []


def test_a_wrapper_task_is_complete_if_its_requirements_are(script_folder: Path) -> None:
    """A WrapperTask is luigi's, with our methods."""

    class All(b2luigi.WrapperTask):
        def requires(self) -> Iterator[Any]:
            yield Number(number=1)

    assert not All().complete()
    assert build(All())
    assert All().complete()
    assert isinstance(All(), b2luigi.Task)
    assert isinstance(All(), luigi.WrapperTask)


class Chain(NotCompletedTask):
    """Task n requires task n - 1; those in `missing` have no output, and the search ends at `stop`."""

    number = b2luigi.IntParameter()
    missing: ClassVar[frozenset[int]] = frozenset()
    stop = -1

    @property
    def check_complete(self) -> bool:  # type: ignore[override]
        return self.number != Chain.stop

    def requires(self) -> list[Any]:
        return [Chain(number=self.number - 1)] if self.number else []

    def output(self) -> Any:
        return luigi.LocalTarget("/not/there" if self.number in Chain.missing else "/")


def test_not_completed_task_checks_its_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is complete only if all its requirements are, down to one that ends the search."""
    assert Chain(number=5).complete()
    monkeypatch.setattr(Chain, "missing", frozenset({2}))
    assert not Chain(number=5).complete()
    monkeypatch.setattr(Chain, "stop", 3)
    assert Chain(number=5).complete()
    monkeypatch.setattr(Chain, "stop", 2)
    assert not Chain(number=5).complete()


def test_not_completed_task_in_a_long_chain() -> None:
    """A chain of 10,000 tasks works."""
    assert Chain(number=10_000).complete()


def test_not_completed_task_with_other_requirements() -> None:
    """For tasks of other classes, their own complete() counts."""

    class Done(luigi.Task):
        def complete(self) -> bool:
            return True

    class Below(NotCompletedTask):
        def requires(self) -> Any:
            return Done()

        def output(self) -> Any:
            return luigi.LocalTarget("/")

    class FarBelow(NotCompletedTask):
        def requires(self) -> Any:
            return [Below(), PlainLuigi()]

        def output(self) -> Any:
            return luigi.LocalTarget("/")

    assert Below().complete()
    assert not FarBelow().complete()


def test_parameters_added_or_removed_later_are_seen() -> None:
    """The list of parameters is cached, but a change of the class or its ancestors takes effect at once."""

    class Above(b2luigi.Task):
        a = b2luigi.IntParameter(default=1)

    class Below(Above):
        pass

    def names() -> list[str]:
        return [name for name, _ in Below.get_params()]

    assert names() == names() == ["a"]
    above: Any = Above
    above.b = b2luigi.IntParameter(default=2)
    assert names() == ["a", "b"]
    another: Any = b2luigi.IntParameter(default=5)
    above.a = another
    assert dict(Below.get_params())["a"] is another
    del above.b
    assert names() == ["a"]


def test_parameters_of_another_base_class_are_seen() -> None:
    """As many attributes are no sign that they are the same."""

    class One(b2luigi.Task):
        a = b2luigi.IntParameter(default=1)

    class Other(b2luigi.Task):
        b = b2luigi.IntParameter(default=1)

    class Below(One):
        pass

    assert [name for name, _ in Below.get_params()] == ["a"]
    Other.get_params(), One.get_params()
    below: Any = Below
    below.__bases__ = (Other,)
    assert [name for name, _ in Below.get_params()] == ["b"]


def test_get_params_returns_a_copy() -> None:
    """Changing the returned list does not affect other callers."""

    class Several(b2luigi.Task):
        a = b2luigi.IntParameter(default=1)

    Several.get_params().clear()
    assert [name for name, _ in Several.get_params()] == ["a"]


def test_a_misspelled_setting_as_attribute_gives_a_warning() -> None:
    """A misspelled or dropped setting has no effect, so defining the class gives a warning."""
    with pytest.warns(UnknownSettingWarning, match=r"Misspelled: there is no setting htcondor_settngs; did you mean"):

        class Misspelled(b2luigi.Task):
            htcondor_settngs = {"request_cpus": 1}

    with pytest.warns(UnknownSettingWarning, match=r"Former: the setting gbasf2_release .* the Belle II grid"):

        class Former(b2luigi.Task):
            @property
            def gbasf2_release(self) -> str:
                return "light"


def test_other_attributes_give_no_warning() -> None:
    """Parameters, methods and attributes with other names are fine (warnings are errors here)."""

    class Mine(b2luigi.Task):
        energy = b2luigi.FloatParameter()
        results_dir = b2luigi.Parameter(default="results")
        resources = {"tape": 1}
        _quue = "x"

        def envs(self) -> None:
            """A method is never a misspelled setting."""


class WritesBelow(b2luigi.Task):
    """Its output lies below something that may be a file."""

    target: Any = b2luigi.LocalTarget
    ran = False

    def output(self) -> Any:
        return type(self).target("file/below/out.txt")

    def run(self) -> None:
        type(self).ran = True


@pytest.mark.parametrize("target", [b2luigi.LocalTarget, luigi.LocalTarget], ids=["ours", "luigi's"])
def test_a_task_whose_folder_cannot_be_made_fails_before_its_run(
    script_folder: Path, target: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """luigi itself would only log that; a second try, by luigi's retry_count, finds the task as it was."""
    monkeypatch.setattr(WritesBelow, "target", target)
    monkeypatch.setattr(WritesBelow, "ran", False)
    Path("file").touch()
    task = WritesBelow()
    assert luigi.build([task], local_scheduler=True) is False
    assert "run() was not started: Not a directory: " in caplog.text
    assert not WritesBelow.ran
    Path("file").unlink()
    luigi.build([task], local_scheduler=True)
    assert WritesBelow.ran
