from __future__ import annotations

import datetime
import enum
from pathlib import Path
from typing import Any

import luigi
import pytest

import b2luigi
from b2luigi.core import parameter


class Colour(enum.Enum):
    red = 1
    blue = 2


ARGUMENTS: dict[str, dict[str, Any]] = {
    "ChoiceListParameter": {"choices": ["a"]},
    "ChoiceParameter": {"choices": ["a"]},
    "EnumListParameter": {"enum": Colour},
    "EnumParameter": {"enum": Colour},
    "NumericalParameter": {"var_type": int, "min_value": 0, "max_value": 9},
    "OptionalChoiceParameter": {"choices": ["a"]},
    "OptionalNumericalParameter": {"var_type": int, "min_value": 0, "max_value": 9},
}
NAMES = sorted(name for name in vars(parameter) if name.endswith("Parameter"))
"""Those that stand in the module. A newer luigi may have more: see test_next_luigi."""


@pytest.mark.parametrize("name", NAMES)
def test_each_class_is_ours_and_luigis(name: str) -> None:
    """Every parameter class here is derived from luigi's class of that name and from b2luigi.Parameter."""
    made = getattr(b2luigi, name)(**ARGUMENTS.get(name, {}), hashed=True, hidden=True, significant=False)
    assert isinstance(made, b2luigi.Parameter)
    assert isinstance(made, getattr(luigi, name, luigi.IntParameter))
    assert (made.hashed, made.hidden, made.significant) == (True, True, False)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("Optional") and len(name) > 17])
def test_each_optional_class_extends_the_required_one(name: str) -> None:
    """An OptionalIntParameter is an IntParameter, as in luigi."""
    base = name.removeprefix("Optional")
    assert issubclass(getattr(b2luigi, name), getattr(b2luigi, base))


@pytest.mark.parametrize(
    ("made", "text", "value"),
    [
        (b2luigi.IntParameter(), "3", 3),
        (b2luigi.FloatParameter(), "0.5", 0.5),
        (b2luigi.BoolParameter(), "True", True),
        (b2luigi.DateParameter(), "2024-02-29", datetime.date(2024, 2, 29)),
        (b2luigi.TimeDeltaParameter(), "0 w 1 d 0 h 0 m 0 s", datetime.timedelta(days=1)),
        (b2luigi.ListParameter(), "[1, 2]", (1, 2)),
        (b2luigi.EnumParameter(enum=Colour), "red", Colour.red),
        (b2luigi.PathParameter(), "/a/b", Path("/a/b")),
        (b2luigi.OptionalIntParameter(), "", None),
    ],
)
def test_values_are_read_and_written_as_in_luigi(made: Any, text: str, value: Any) -> None:
    """Parsing and serialising are luigi's; our base class changes nothing."""
    assert made.normalize(made.parse(text)) == value
    assert made.serialize(value) == text


def test_a_bool_without_default_is_false() -> None:
    """BoolParameter has luigi's default."""

    class Switched(b2luigi.Task):
        on = b2luigi.BoolParameter()

    assert Switched().on is False


def test_positional_default_and_order_are_as_in_luigi() -> None:
    """The default may be positional, and parameters keep the order of their definition."""

    class Ordered(b2luigi.Task):
        z = b2luigi.IntParameter(1)
        a = luigi.IntParameter(2)
        m = b2luigi.Parameter("three")

    assert Ordered.get_param_names() == ["z", "a", "m"]
    assert (Ordered().z, Ordered().a, Ordered().m) == (1, 2, "three")


def test_insignificant_parameters_are_hidden_by_default() -> None:
    """Without hidden=, a parameter is hidden if it is not significant."""
    assert not b2luigi.IntParameter().hidden
    assert b2luigi.IntParameter(significant=False).hidden
    assert b2luigi.IntParameter(hidden=True).significant


def test_an_insignificant_parameter_cannot_be_shown() -> None:
    """Tasks that are the same to luigi cannot have two folders."""
    with pytest.raises(ValueError, match="hidden=False with significant=False"):
        b2luigi.IntParameter(hidden=False, significant=False)


@pytest.mark.parametrize("function", [lambda: "x", lambda value, other: "x", lambda value, length=8: "x"])
def test_a_hash_function_takes_exactly_one_argument(function: Any) -> None:
    """A hash function that cannot be called with just the value is rejected when it is passed."""
    with pytest.raises(AssertionError, match="exactly one argument"):
        b2luigi.Parameter(hashed=True, hash_function=function)


def test_a_hash_function_must_be_callable() -> None:
    """The name of a hash is not a hash function."""
    with pytest.raises(ValueError, match="not 'md5'"):
        b2luigi.Parameter(hashed=True, hash_function="md5")  # type: ignore[arg-type]


def test_functions_without_a_signature_are_accepted() -> None:
    """Built-in functions such as hex work."""
    assert b2luigi.IntParameter(hashed=True, hash_function=hex).hash_function is hex
    assert b2luigi.IntParameter(hashed=True, hash_function=str).hash_function is str


def test_luigi_is_not_patched() -> None:
    """luigi's own classes do not accept hashed=."""
    with pytest.raises(TypeError):
        luigi.IntParameter(hashed=True)  # type: ignore[call-arg]


def test_a_parameter_class_of_the_user_works() -> None:
    """A subclass of ours may define its own __init__, even one that does not call ours."""

    class Even(b2luigi.IntParameter):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            luigi.IntParameter.__init__(self, *args, **kwargs)

    assert (Even().hashed, Even().hidden, Even().hash_function) == (False, False, None)


EXTRA = {"BatchIntParameter"}
"""Of b2luigi alone."""


def test_nothing_is_missing() -> None:
    """There is a class for each parameter class of luigi, and few others."""
    found = [getattr(luigi, name) for name in luigi.__all__]
    theirs = {cls.__name__ for cls in found if isinstance(cls, type) and issubclass(cls, luigi.Parameter)}
    assert set(NAMES) - EXTRA <= theirs
    assert [name for name in theirs if not issubclass(getattr(parameter, name), b2luigi.Parameter)] == []


def test_values_of_a_batch_int_do_not_follow_one_another() -> None:
    """luigi's ranges find no value after another one."""
    made: luigi.Parameter[int] = b2luigi.BatchIntParameter()
    assert made.next_in_enumeration(3) is None
    assert b2luigi.BatchIntParameter().parse("3") == 3


def test_grouping_excludes_luigis_batches() -> None:
    """luigi would run one task in place of several; here each runs."""
    made = b2luigi.IntParameter(grouping=True, grouping_function=max, batch_method=max)
    assert (made.grouping, made._is_batchable()) == (True, False)
    assert b2luigi.IntParameter(batch_method=max)._is_batchable()
