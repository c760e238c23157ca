"""A node rebuilds exactly the same task, or finds it in the graph, but never uses one that is merely similar."""

from __future__ import annotations

import datetime
import enum
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.date_interval import Week
from luigi.parameter import ParameterVisibility
from luigi.task_register import Register

import b2luigi
from b2luigi.core import parameter
from b2luigi.core.description import describe, import_module_of, rebuild

NOW = datetime.datetime(2024, 2, 29, 13, 37, 42)
DAY = NOW.date()


class Colour(enum.Enum):
    red = 1
    green = 2


class Level(enum.IntEnum):
    low = 1


class Text(str):
    pass


class Shared(luigi.Task):
    pass


class Plain(b2luigi.Task):
    value = b2luigi.Parameter()


class Words(b2luigi.Task):
    value = b2luigi.ListParameter()


class Table(b2luigi.Task):
    value = b2luigi.DictParameter()


class Fixed(b2luigi.Task):
    value = b2luigi.TupleParameter()


class Real(b2luigi.Task):
    value = b2luigi.FloatParameter()


class Optional(b2luigi.Task):
    value = b2luigi.OptionalParameter()


class Nothing(b2luigi.Task):
    pass


class Outer:
    class Inner(b2luigi.Task):
        value = b2luigi.IntParameter()


class Quiet(b2luigi.Task):
    secret = b2luigi.Parameter(visibility=ParameterVisibility.PRIVATE, default="default")
    hidden = b2luigi.IntParameter(visibility=ParameterVisibility.HIDDEN, default=0)
    silent = b2luigi.IntParameter(significant=False, default=0)


class Broken(luigi.Parameter[Any]):
    def parse(self, x: str) -> Any:
        raise RuntimeError("cannot be parsed")


class Mute(luigi.Parameter[Any]):
    def serialize(self, x: Any) -> Any:
        return None


class WithBroken(luigi.Task):
    value = Broken()


class WithMute(luigi.Task):
    value = Mute(significant=False)


class Everything(b2luigi.Task):
    """Has all kinds of parameters."""

    parameter = b2luigi.Parameter(default="")
    text = b2luigi.StrParameter(default="ü\n'\"\\\0\ud800")
    integer = b2luigi.IntParameter(default=-(10**30))
    batched = b2luigi.BatchIntParameter(default=3, grouping=True)
    real = b2luigi.FloatParameter(default=0.1)
    infinite = b2luigi.FloatParameter(default=float("-inf"))
    boolean = b2luigi.BoolParameter(default=True)
    explicit = b2luigi.BoolParameter(default=False, parsing=b2luigi.BoolParameter.EXPLICIT_PARSING)
    date = b2luigi.DateParameter(default=DAY)
    month = b2luigi.MonthParameter(default=DAY)
    year = b2luigi.YearParameter(default=DAY)
    hour = b2luigi.DateHourParameter(default=NOW)
    minute = b2luigi.DateMinuteParameter(default=NOW)
    second = b2luigi.DateSecondParameter(default=NOW)
    interval = b2luigi.DateIntervalParameter(default=Week(2024, 9))
    duration = b2luigi.TimeDeltaParameter(default=datetime.timedelta(days=3, seconds=7))
    path = b2luigi.PathParameter(default=Path("/a/b c"))
    task = b2luigi.TaskParameter(default=Shared)
    enumeration = b2luigi.EnumParameter(enum=Colour, default=Colour.green)
    enumerations = b2luigi.EnumListParameter(enum=Colour, default=(Colour.green, Colour.red))
    choice = b2luigi.ChoiceParameter(choices=[1, 2], var_type=int, default=2)
    choices = b2luigi.ChoiceListParameter(choices=["a", "b"], default=("b", "a"))
    number = b2luigi.NumericalParameter(var_type=int, min_value=0, max_value=9, default=3)
    table = b2luigi.DictParameter(default={"b": {"x": [1, None, True, 1.0]}, "a": "ü"})
    words = b2luigi.ListParameter(default=[1, [2.5, ["x"]], {"a": None}, True])
    fixed = b2luigi.TupleParameter(default=((1, 2), (3, "x")))
    hashed = b2luigi.Parameter(hashed=True, default="a/b")
    maybe = b2luigi.OptionalParameter(default=None)
    maybe_text = b2luigi.OptionalStrParameter(default="x")
    maybe_integer = b2luigi.OptionalIntParameter(default=None)
    maybe_real = b2luigi.OptionalFloatParameter(default=2.5)
    maybe_boolean = b2luigi.OptionalBoolParameter(default=None)
    maybe_path = b2luigi.OptionalPathParameter(default=None)
    maybe_choice = b2luigi.OptionalChoiceParameter(choices=["a"], default=None)
    maybe_number = b2luigi.OptionalNumericalParameter(var_type=int, min_value=0, max_value=9, default=None)
    maybe_table = b2luigi.OptionalDictParameter(default=None)
    maybe_words = b2luigi.OptionalListParameter(default=[1])
    maybe_fixed = b2luigi.OptionalTupleParameter(default=None)


def on_the_node(task: luigi.Task) -> luigi.Task | None:
    """The task as rebuilt from a job script, in a process that has not created it before."""
    text = json.dumps(describe(task))
    Register.clear_instance_cache()
    return rebuild(json.loads(text))


@pytest.fixture(autouse=True)
def _cache_of_its_own() -> Iterator[None]:
    """luigi caches one object per task and process, which would hide any difference."""
    yield
    Register.clear_instance_cache()


def assert_same(task: luigi.Task) -> None:
    found = on_the_node(task)
    assert found is not None
    assert found is not task
    assert type(found) is type(task)
    assert found.task_id == task.task_id
    # repr also shows the types of nested values.
    assert repr(found.param_kwargs) == repr(task.param_kwargs)
    assert list(map(type, found.param_kwargs.values())) == list(map(type, task.param_kwargs.values()))


@pytest.mark.parametrize("name", [name for name, _ in Everything.get_params()])
def test_every_parameter_comes_back(name: str) -> None:
    """Value and type of each parameter survive the round trip."""
    description = describe(Everything())
    assert description["parameters"] is not None, f"{name} or another one did not"
    Register.clear_instance_cache()
    found, value = getattr(rebuild(description), name), getattr(Everything(), name)
    assert (type(found), repr(found)) == (type(value), repr(value))


def test_a_task_comes_back_as_itself() -> None:
    """A task with all kinds of parameters is the same task on the node."""
    assert_same(Everything())


def test_a_task_is_shown_as_luigi_shows_it() -> None:
    """With the values of all significant parameters."""
    assert repr(Everything()) == luigi.Task.__repr__(Everything())


def test_every_parameter_class_is_tested() -> None:
    """The task with all kinds of parameters uses every class that the module defines; a newer luigi may have more."""
    ours = {name for name in vars(parameter) if name.endswith("Parameter")}
    assert ours == {type(one).__name__ for _, one in Everything.get_params()}


@pytest.mark.parametrize(
    "task",
    [
        Nothing(),
        Outer.Inner(value=3),
        Plain(value="3"),
        Plain(value="None"),
        Optional(value="x"),
        Words(value=[]),
        Fixed(value=(1, "a", (1, (2,)))),
        Quiet(secret="s", hidden=1, silent=2),
    ],
    ids=str,
)
def test_tasks_that_can_be_rebuilt(task: luigi.Task) -> None:
    """Private and insignificant parameters, nested classes and ambiguous strings survive the round trip."""
    assert_same(task)


@pytest.mark.filterwarnings("ignore:Parameter .* is not of type")
@pytest.mark.parametrize(
    ("cls", "value"),
    [
        (Words, [Level.low]),
        (Words, [{"a": [Text("x")]}]),
        (Words, [float("nan")]),
        (Table, {"a": Level.low}),
        (Table, {1: "a"}),
        (Table, {Text("a"): 1}),
        (Real, float("nan")),
    ],
)
def test_values_that_would_change(cls: Any, value: Any) -> None:
    """If parsing would return another value or type, the task is not rebuilt but must be found in the graph."""
    assert describe(cls(value=value))["parameters"] is None
    assert on_the_node(cls(value=value)) is None


@pytest.mark.filterwarnings("ignore:Parameter .* is not of type")
@pytest.mark.parametrize(
    ("cls", "value"),
    [
        *((Plain, value) for value in (3, 3.0, True, None)),
        (Optional, ""),
        (Real, 3),
        (WithBroken, "x"),
        (WithMute, "x"),
    ],
)
def test_values_that_are_described_as_they_are(cls: Any, value: Any) -> None:
    """Numbers, None and text that their parameter would read as something else."""
    assert describe(cls(value=value))["parameters"] == {"value": {"value": value}}
    assert_same(cls(value=value))


@pytest.mark.filterwarnings("ignore:Parameter .* is not of type string")
@pytest.mark.parametrize(
    "value",
    [("a",), {"a": 1}, Colour.red, DAY, NOW, Path("/a"), Text("x"), Nothing(), Nothing, b"x"],
)
def test_any_object_in_a_plain_parameter(value: Any) -> None:
    """A plain Parameter turns any other object into text with the same task id, so the task is not rebuilt."""
    task = Plain(value=value)
    assert describe(task) == {
        "task_id": task.task_id,
        "module": __name__,
        "class": "Plain",
        "parameters": None,
    }


# -- classes


def make_local() -> type[luigi.Task]:
    class Local(luigi.Task):
        value = luigi.IntParameter(default=1)

    return Local


class Twice(luigi.Task):
    value = luigi.IntParameter(default=1)


First = Twice


class Twice(luigi.Task):  # type: ignore[no-redef]
    value = luigi.IntParameter(default=1)


class Parent(luigi.Task):
    value = luigi.IntParameter(default=1)


Base = Parent


class Parent(Base):  # type: ignore[no-redef]
    """luigi itself would load this one for both, since it is the most derived class with this name."""


@pytest.mark.parametrize("cls", [make_local(), First, Base], ids=["in a function", "overwritten", "overwritten parent"])
def test_a_class_that_cannot_be_imported(cls: type[luigi.Task]) -> None:
    """A class that cannot be found by name is never replaced by another one with this name."""
    assert describe(cls())["parameters"] is None


@pytest.mark.parametrize("cls", [Twice, Parent])
def test_several_classes_with_the_same_name(cls: type[luigi.Task]) -> None:
    """The name refers to the class that was defined last."""
    assert_same(cls())


def test_a_module_that_is_not_loaded_yet(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a task is not defined in the script, the node imports its module."""
    (script_folder / "b2_tasks.py").write_text("import luigi\nclass Far(luigi.Task):\n    n = luigi.IntParameter()\n")
    monkeypatch.syspath_prepend(script_folder)
    description = {"task_id": "", "module": "b2_tasks", "class": "Far", "parameters": {"n": "3"}}
    assert rebuild(description) is None
    task_id = sys.modules.pop("b2_tasks").Far(n=3).task_id
    found = rebuild({**description, "task_id": task_id})
    assert found is not None
    assert (type(found).__module__, found.n) == ("b2_tasks", 3)  # type: ignore[attr-defined]
    sys.modules.pop("b2_tasks")


@pytest.mark.parametrize(
    "change",
    [
        {"module": "no_such_module"},
        {"class": "NoSuchClass"},
        {"class": "Colour"},
        {"class": "NOW"},
        {"class": "Outer.Missing"},
        {"parameters": None},
        {"parameters": {"value": "4"}},
        {"task_id": "Inner_4"},
    ],
)
def test_a_description_that_does_not_match(change: dict[str, Any]) -> None:
    """If the code on the node differs, the task is not rebuilt but must be found in the graph."""
    assert rebuild(describe(Outer.Inner(value=3))) is not None
    assert rebuild({**describe(Outer.Inner(value=3)), **change}) is None


def test_only_an_id() -> None:
    """With only an id, the task must be found in the graph."""
    assert rebuild({"task_id": "T_1"}) is None


def test_why_a_module_makes_no_task(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a node without a script: what the import raises, or that the class is another one by now."""
    monkeypatch.syspath_prepend(str(script_folder))
    (script_folder / "needs_uprooot.py").write_text("import uprooot\n")
    with pytest.raises(ModuleNotFoundError, match="No module named 'uprooot'"):
        import_module_of({"module": "needs_uprooot", "class": "Fit", "task_id": "Fit_1"})
    with pytest.raises(LookupError, match=r"Gone does not exist on the node, .* has the file changed"):
        import_module_of({"module": __name__, "class": "Gone", "task_id": "Gone_1"})
