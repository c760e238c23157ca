"""A luigi of tomorrow: today's with names that b2luigi has never heard of. `python -m pytest -p tests.core.next_luigi`

Imported before b2luigi. The names are made up; each stands for a way in which luigi may grow.
"""

from __future__ import annotations

import datetime
from typing import Any

import luigi
from luigi.parameter import OptionalParameterMixin


class MoonParameter(luigi.DateParameter):
    """Extends a class that b2luigi knows."""

    __module__ = "luigi.parameter"


class OptionalMoonParameter(OptionalParameterMixin, MoonParameter):  # type: ignore[misc, type-arg]
    """Optional, and extends a class that is new itself."""

    __module__ = "luigi.parameter"
    expected_type = datetime.date


class OptionalDateParameter(OptionalParameterMixin, luigi.DateParameter):  # type: ignore[misc, type-arg]
    """Optional; the plain one is known."""

    __module__ = "luigi.parameter"
    expected_type = datetime.date


class ScaleParameter(luigi.Parameter[Any]):
    """Cannot be made without an argument of its own."""

    __module__ = "luigi.parameter"

    def __init__(self, scale: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scale = scale

    def parse(self, x: str) -> Any:
        return int(x) * self.scale

    def serialize(self, x: Any) -> str:
        return str(x // self.scale)


class AdviceParameter:
    """No parameter, in spite of its name."""


def eclipse() -> str:
    """No class at all."""
    return "dark"


PARAMETERS = (MoonParameter, OptionalMoonParameter, OptionalDateParameter, ScaleParameter)
for _found in (*PARAMETERS, AdviceParameter, eclipse):
    setattr(luigi, _found.__name__, _found)
    if isinstance(_found, type):
        setattr(luigi.parameter, _found.__name__, _found)
    if _found.__name__ not in luigi.__all__:
        luigi.__all__.append(_found.__name__)
