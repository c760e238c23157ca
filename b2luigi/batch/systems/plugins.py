"""Batch systems of other packages: classes behind entry points, loaded when they are needed.

One that cannot be loaded is disabled, with one warning: it must not matter to runs that do not use it.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Collection, Iterator
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Any

from b2luigi.batch.systems.base import BatchSystem

logger = logging.getLogger("luigi-interface.b2luigi")

GROUP = "b2luigi.batch_systems"


class PluginError(ValueError):
    """The class behind an entry point cannot be used; the text says why."""


def found(reserved: Collection[str]) -> dict[str, EntryPoint]:
    """The entry points by name. Of several with one name the first counts, and none with a `reserved` name."""
    points: dict[str, EntryPoint] = {}
    for point in sorted(_points(), key=lambda point: (point.name, point.value)):
        if point.name in reserved:
            warn_once(f"{_words(point)} is disabled: b2luigi itself has a batch system of this name.")
        elif points.setdefault(point.name, point).value != point.value:
            warn_once(f"{_words(point)} is disabled: {_words(points[point.name])} has the same name.")
    return points


def load(point: EntryPoint) -> type:
    """The class behind an entry point: a `BatchSystem`, or one with the hooks of a `BatchProcess`.

    Raises PluginError if it cannot be loaded, or is something else.
    """
    loaded = _loaded(point.name, point.value)
    if isinstance(loaded, str):
        raise PluginError(f"{_words(point)} cannot be used: {loaded}.")
    return loaded


def create(point: EntryPoint) -> BatchSystem | None:
    """The language behind an entry point; None if its class is no language. Raises PluginError."""
    cls = load(point)
    if not issubclass(cls, BatchSystem):
        return None
    try:
        # Records name the batch system, so it must have the name by which it is found again.
        named = cls if vars(cls).get("name") == point.name else type(cls.__name__, (cls,), {"name": point.name})
        return _checked(named())
    except Exception as error:
        raise PluginError(f"{_words(point)} cannot be used: {_headline(error)}.") from error


def _checked(system: BatchSystem) -> BatchSystem:
    if not isinstance(system.probe, str):
        raise TypeError(f"its probe is not the name of a program, but {system.probe!r}")
    return system


@functools.cache
def warn_once(text: str) -> None:
    """Logs a warning, unless this process has done so before."""
    logger.warning("%s", text)


def _points() -> tuple[EntryPoint, ...]:
    return _points_on(tuple(sys.path))


@functools.lru_cache(maxsize=8)
def _points_on(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Asked for by each task; reading the metadata of all installed packages takes milliseconds."""
    try:
        return tuple(entry_points(group=GROUP))
    except Exception:  # the metadata of one package is broken; which one, is not said
        return tuple(_legible_points())


def _legible_points() -> Iterator[EntryPoint]:
    for distribution in distributions():
        try:
            yield from distribution.entry_points.select(group=GROUP)
        except Exception as error:
            name = getattr(distribution, "_path", "an installed package")
            warn_once(f"The entry points of {name} cannot be read, and its batch systems are disabled: {error}")


@functools.cache
def _loaded(name: str, value: str) -> type | str:
    """The class, or why it cannot be used. Importing it may take long, and is not tried again if it failed."""
    try:
        cls: Any = EntryPoint(name, value, GROUP).load()
    except (Exception, SystemExit) as error:
        return _headline(error)
    if not isinstance(cls, type):
        return f"it is not a class, but {cls!r:.100}"
    if not (issubclass(cls, BatchSystem) or _has_hooks(cls)):
        return "it is a subclass of neither BatchSystem nor BatchProcess"
    missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ()))) if inspect.isabstract(cls) else ""
    return f"it does not define {missing}" if missing else cls


def _has_hooks(cls: type) -> bool:
    return hasattr(cls, "start_job") and hasattr(cls, "get_job_status")


def _headline(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' if words else ''}{words}"


def _words(point: EntryPoint) -> str:
    package = f" of the package {point.dist.name}" if point.dist is not None else ""
    return f"The batch system {point.name!r}{package} ({point.value})"
