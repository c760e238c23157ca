"""luigi's parameters with more arguments: `hashed`, `hash_function`, `hidden`, `grouping` and `grouping_function`."""

from __future__ import annotations

import datetime
import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import luigi
from luigi.date_interval import DateInterval
from luigi.parameter import T

HashFunction = Callable[[Any], Any]
LONGEST_GROUP = 25
"""Characters of several values up to which folder names contain them, and not their hash. (As in b2luigi 1.3.0.)"""


class Parameter(luigi.Parameter[T]):
    """luigi's parameter, and the base of all parameters here. Takes all arguments of luigi's parameter, and some more.

    `hashed`: folder names contain `hashed_<md5 of the value>`, for values that are long or contain a "/".
    `hash_function`: with `hashed`, takes the value and returns the very text that stands for it in folder names.
    `hidden`: the folders of outputs and logs are not named after this parameter; by default, insignificant parameters
    are hidden.
    `grouping`: up to `max_grouping_size` tasks of the class share a job, unless `tasks_per_job` is set. Folder names
    contain a list or a text as `grouped_<elements>`, as in b2luigi 1.3.0.
    `grouping_function`: accepted with `grouping`, but not needed.

    A subclass may have a method `serialize_hashed`, which takes the value and returns the text for folder names.

    Raises AssertionError if the hash function does not take exactly one argument, ValueError if an insignificant
    parameter has hidden=False.
    """

    hashed: bool = False
    hash_function: HashFunction | None = None
    hidden: bool = False
    grouping: bool = False
    serialize_hashed: Callable[[Any], Any]
    """What stands for a value in folder names; missing if that is the serialised value."""

    def __init__(
        self,
        *args: Any,
        hashed: bool = False,
        hash_function: HashFunction | None = None,
        hidden: bool | None = None,
        grouping: bool = False,
        grouping_function: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if grouping:
            kwargs["batch_method"] = None  # luigi would run one task in place of several
        super().__init__(*args, **kwargs)
        _check_hash_function(hash_function)
        self.hashed = hashed
        self.hash_function = hash_function
        self.hidden = _hidden(hidden, self.significant)
        self.grouping = grouping
        serializer = _serializer(hashed, hash_function, grouping)
        if serializer is not None:
            self.serialize_hashed = serializer


def _serializer(hashed: bool, hash_function: HashFunction | None, grouping: bool) -> HashFunction | None:
    """What names the folder of a value; None for the value itself. (Observed on b2luigi 1.3.0.)"""
    if hashed and hash_function is not None:
        return hash_function
    if grouping:
        return _grouped
    return _md5 if hashed else None


def _md5(value: Any) -> str:
    return f"hashed_{_digest(value)}"


def _grouped(value: Any) -> str:
    try:
        text = "_".join(map(str, sorted(value)))
    except TypeError:  # a single value, or several that have no order
        return str(value)
    return f"grouped_{text if len(text) <= LONGEST_GROUP else _digest(value)}"


def _digest(value: Any) -> str:
    return hashlib.md5(str(value).encode(), usedforsecurity=False).hexdigest()


def _check_hash_function(function: HashFunction | None) -> None:
    if function is None:
        return
    if not callable(function):
        raise ValueError(f"hash_function must be a function of one argument, not {function!r}.")
    try:
        arguments = inspect.signature(function).parameters
    except ValueError:  # some functions written in C have no signature
        return
    if len(arguments) != 1:
        raise AssertionError(f"hash_function must take exactly one argument, the value; {function!r} does not.")


def _hidden(hidden: bool | None, significant: bool) -> bool:
    if hidden is False and not significant:
        raise ValueError(
            "hidden=False with significant=False: to luigi, tasks that differ only in this parameter are the same "
            "task, so folders cannot be named after it. Make it significant or omit hidden."
        )
    return not significant if hidden is None else hidden


class StrParameter(Parameter[str], luigi.StrParameter):
    """A parameter that is a string."""


class IntParameter(Parameter[int], luigi.IntParameter):
    """A parameter that is an integer."""


class BatchIntParameter(IntParameter):
    """An integer whose values do not follow one another: luigi's ranges cannot enumerate them."""

    def next_in_enumeration(self, value: int) -> None:
        """None: no value follows this one."""


class FloatParameter(Parameter[float], luigi.FloatParameter):
    """A parameter that is a number."""


class BoolParameter(Parameter[bool], luigi.BoolParameter):
    """A parameter that is true or false; the default is False."""


class DateParameter(Parameter[datetime.date], luigi.DateParameter):
    """A parameter that is a day."""


class MonthParameter(Parameter[datetime.date], luigi.MonthParameter):
    """A parameter that is a month."""


class YearParameter(Parameter[datetime.date], luigi.YearParameter):
    """A parameter that is a year."""


class DateHourParameter(Parameter[datetime.datetime], luigi.DateHourParameter):
    """A parameter that is a time with a resolution of an hour."""


class DateMinuteParameter(Parameter[datetime.datetime], luigi.DateMinuteParameter):
    """A parameter that is a time with a resolution of a minute."""


class DateSecondParameter(Parameter[datetime.datetime], luigi.DateSecondParameter):
    """A parameter that is a time with a resolution of a second."""


class DateIntervalParameter(Parameter[DateInterval], luigi.DateIntervalParameter):
    """A parameter that is a date interval."""


class TimeDeltaParameter(Parameter[datetime.timedelta], luigi.TimeDeltaParameter):
    """A parameter that is a duration."""


class PathParameter(Parameter[Path], luigi.PathParameter):
    """A parameter that is a path."""


class TaskParameter(Parameter[type[Any]], luigi.TaskParameter[Any]):
    """A parameter that is a task class."""


class EnumParameter(Parameter[Any], luigi.EnumParameter[Any]):
    """A parameter that is a member of an enumeration."""


class EnumListParameter(Parameter[tuple[Any, ...]], luigi.EnumListParameter[Any]):
    """A parameter that is a list of members of an enumeration."""


class ChoiceParameter(Parameter[Any], luigi.ChoiceParameter[Any]):
    """A parameter that is one of given values."""


class ChoiceListParameter(Parameter[Any], luigi.ChoiceListParameter[Any]):
    """A parameter that is a list of given values."""


class NumericalParameter(Parameter[Any], luigi.NumericalParameter[Any]):
    """A parameter that is a number in a range."""


class DictParameter(Parameter[dict[Any, Any]], luigi.DictParameter):
    """A parameter that is a dict."""


class ListParameter(Parameter[tuple[Any, ...]], luigi.ListParameter):
    """A parameter that is a list."""


class TupleParameter(Parameter[tuple[Any, ...]], luigi.TupleParameter):
    """A parameter that is a tuple."""


# mypy objects because the base class never returns None; luigi's own optional classes have the same flaw.
class OptionalParameter(Parameter[Any], luigi.OptionalParameter):
    """A parameter that is a string, or None."""


class OptionalStrParameter(StrParameter, luigi.OptionalStrParameter):  # type: ignore[misc]
    """A parameter that is a string, or None."""


class OptionalIntParameter(IntParameter, luigi.OptionalIntParameter):  # type: ignore[misc]
    """A parameter that is an integer, or None."""


class OptionalFloatParameter(FloatParameter, luigi.OptionalFloatParameter):  # type: ignore[misc]
    """A parameter that is a number, or None."""


class OptionalBoolParameter(BoolParameter, luigi.OptionalBoolParameter):  # type: ignore[misc]
    """A parameter that is true or false, or None."""


class OptionalPathParameter(PathParameter, luigi.OptionalPathParameter):  # type: ignore[misc]
    """A parameter that is a path, or None."""


class OptionalChoiceParameter(ChoiceParameter, luigi.OptionalChoiceParameter[Any]):
    """A parameter that is one of given values, or None."""


# These three classes of luigi are generic since 3.8.1, but not in 3.8.0, hence no [Any] here.
class OptionalNumericalParameter(NumericalParameter, luigi.OptionalNumericalParameter):  # type: ignore[type-arg]
    """A parameter that is a number in a range, or None."""


class OptionalDictParameter(DictParameter, luigi.OptionalDictParameter):  # type: ignore[misc]
    """A parameter that is a dict, or None."""


class OptionalListParameter(ListParameter, luigi.OptionalListParameter):  # type: ignore[misc]
    """A parameter that is a list, or None."""


class OptionalTupleParameter(TupleParameter, luigi.OptionalTupleParameter):  # type: ignore[misc]
    """A parameter that is a tuple, or None."""


def wrap_parameter() -> None:
    """Does nothing. In b2luigi 1.x, it gave luigi's parameters the arguments of b2luigi's."""


# -- those that luigi has and this module does not


def __getattr__(name: str) -> Any:
    """A parameter class of a newer luigi, wrapped as it is found."""
    found = getattr(luigi, name, None) if name.endswith("Parameter") else None
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _wrapped(found) if _is_parameter(found) else found


@functools.cache
def _wrapped(found: type[luigi.Parameter[Any]]) -> type[Any]:
    """A class that is luigi's and ours. It extends our class of the parameter that luigi's extends."""
    extended = next(base for base in found.__mro__[1:] if getattr(luigi, base.__name__, None) is base)
    ours = getattr(sys.modules[__name__], extended.__name__)
    body = {"__module__": __name__, "__doc__": found.__doc__}
    return types.new_class(found.__name__, (ours, found), exec_body=lambda names: names.update(body))


def _is_parameter(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, luigi.Parameter)
