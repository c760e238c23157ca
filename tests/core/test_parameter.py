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
NAMES = sorted(name for name in luigi.__all__ if name.endswith("Parameter"))


@pytest.mark.parametrize("name", NAMES)
def test_each_is_ours_and_luigis(name: str) -> None:
    """Every parameter class of luigi has one here that is a b2luigi.Parameter and of luigi's class, too."""
    made = getattr(b2luigi, name)(**ARGUMENTS.get(name, {}), hashed=True, hidden=True, significant=False)
    assert isinstance(made, b2luigi.Parameter)
    assert isinstance(made, getattr(luigi, name))
    assert (made.hashed, made.hidden, made.significant) == (True, True, False)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("Optional") and len(name) > 17])
def test_each_optional_one_is_of_the_class_it_extends(name: str) -> None:
    """An OptionalIntParameter is an IntParameter of ours, as it is in luigi."""
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
    """Parsing and serialising are luigi's; an inserted base class changes nothing."""
    assert made.normalize(made.parse(text)) == value
    assert made.serialize(value) == text


def test_a_bool_without_default_is_false() -> None:
    """BoolParameter has luigi's default."""

    class Switched(b2luigi.Task):
        on = b2luigi.BoolParameter()

    assert Switched().on is False


def test_positional_default_and_order_stay_luigis() -> None:
    """The default may be positional, and parameters keep the order of their definition."""

    class Ordered(b2luigi.Task):
        z = b2luigi.IntParameter(1)
        a = luigi.IntParameter(2)
        m = b2luigi.Parameter("three")

    assert Ordered.get_param_names() == ["z", "a", "m"]
    assert (Ordered().z, Ordered().a, Ordered().m) == (1, 2, "three")


def test_hidden_is_by_default_what_is_not_significant() -> None:
    """Without hidden= a parameter is hidden when it is not significant."""
    assert not b2luigi.IntParameter().hidden
    assert b2luigi.IntParameter(significant=False).hidden
    assert b2luigi.IntParameter(hidden=True).significant


def test_showing_what_is_not_significant_is_refused() -> None:
    """Tasks that luigi takes for one can not have two folders."""
    with pytest.raises(ValueError, match="hidden=False with significant=False"):
        b2luigi.IntParameter(hidden=False, significant=False)


@pytest.mark.parametrize("function", [lambda: "x", lambda value, other: "x", lambda value, length=8: "x"])
def test_a_hash_function_takes_exactly_one_argument(function: Any) -> None:
    """A hash function that can not be called with the value alone is refused where it is given."""
    with pytest.raises(AssertionError, match="exactly one argument"):
        b2luigi.Parameter(hashed=True, hash_function=function)


def test_a_hash_function_has_to_be_a_function() -> None:
    """A name of a hash is no hash function."""
    with pytest.raises(ValueError, match="not 'md5'"):
        b2luigi.Parameter(hashed=True, hash_function="md5")  # type: ignore[arg-type]


def test_functions_that_do_not_tell_their_arguments_are_taken() -> None:
    """Built-in functions such as hex are fine."""
    assert b2luigi.IntParameter(hashed=True, hash_function=hex).hash_function is hex
    assert b2luigi.IntParameter(hashed=True, hash_function=str).hash_function is str


def test_luigi_is_left_alone() -> None:
    """Luigi's own classes do not know hashed=: nothing is patched into them."""
    with pytest.raises(TypeError):
        luigi.IntParameter(hashed=True)  # type: ignore[call-arg]


def test_a_parameter_class_of_the_user_works() -> None:
    """A class derived from ours may define its own __init__, even one that forgets ours."""

    class Even(b2luigi.IntParameter):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            luigi.IntParameter.__init__(self, *args, **kwargs)

    assert (Even().hashed, Even().hidden, Even().hash_function) == (False, False, None)


def test_nothing_is_missing() -> None:
    """The module has the parameter classes of luigi and no others."""
    assert sorted(name for name in vars(parameter) if name.endswith("Parameter")) == NAMES


@pytest.mark.parametrize("given", [{"grouping": True}, {"grouping_function": max}])
def test_grouping_is_refused_in_words(given: dict[str, Any]) -> None:
    """A script of the published package is told what to do; switched off it is fine."""
    with pytest.raises(ValueError, match="grouping is not supported"):
        b2luigi.IntParameter(**given)
    b2luigi.IntParameter(grouping=False)
