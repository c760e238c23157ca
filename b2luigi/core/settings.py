"""Settings: looked up in a task's attributes, then `set_setting`, then settings.json, then the defaults."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from inspect import getattr_static
from typing import Any

from b2luigi.core import settings_file
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.known_settings import (
    GRID,
    KNOWN,
    UnknownSettingWarning,
    closest_setting,
    find_setting,
    name_problem,
    value_problem,
)
from b2luigi.core.read_once import remembered
from b2luigi.core.settings_file import settings_files
from b2luigi.core.structures import copy_containers
from b2luigi.core.warn import warn

__all__ = [
    "DeprecatedSettingsWarning",
    "UnknownSettingWarning",
    "changed_settings",
    "clear_setting",
    "get_merged_setting",
    "get_seconds",
    "get_setting",
    "set_setting",
    "settings_files",
    "settings_for_nodes",
    "settings_of_class",
    "with_new_settings",
]

_MISSING: Any = object()
_set_values: dict[str, Any] = {}
_doubtful: set[str] = set()
"""Names passed to `set_setting` that this process has warned about."""


class DeprecatedSettingsWarning(DeprecationWarning):
    """A setting was set or read by a former name."""


def get_setting(
    key: str, default: Any = _MISSING, task: Any = None, deprecated_keys: Iterable[str] | None = None
) -> Any:
    """Look up the setting `key`; the first place that has it wins.

    1. the attribute, property or parameter `key` of `task`, if a task is given,
    2. the value passed to `set_setting`,
    3. the nearest settings.json, see `settings_files`,
    4. `default`, which may be None, and then b2luigi's own default for this setting.

    Lists, dicts and sets are copies: changing them changes no setting.

    `key`: the name of the setting, one of b2luigi or of your own.
    `default`: the value if no place has the setting; may be None.
    `task`: the task whose setting it is; without it, the value for all tasks.
    `deprecated_keys`: former names, which are read after `key` in each place, with a `DeprecatedSettingsWarning`.

    Raises ValueError if the setting is not found or its value has the wrong type, or if a settings.json is invalid,
    and any error that a property of the task raises.
    """
    names = _names_of(key, tuple(deprecated_keys)) if deprecated_keys else _names_of(key)
    found = remembered(task, names, _first, names, task)
    if found is None:
        return copy_containers(_default_of(names[0], default))
    name, value = found
    if name != names[0] or key != name:
        _warn_about_old_name(name if name != names[0] else key, names[0])
    return copy_containers(value)


def get_merged_setting(key: str, task: Any = None) -> Any:
    """Like `get_setting`, but dictionaries of options are merged from all places.

    If several places have the same entry, the first one wins: the task before `set_setting`, and so on. Options of
    HTCondor whose names differ only in case are the same entry. This applies to the settings of b2luigi that are
    `merged`, and to settings of your own.
    """
    row = find_setting(key)
    if row is not None and not row.merged:
        return get_setting(key, task=task)
    names = _names_of(key)
    found = remembered(task, ("merged", *names), _all, names, task)
    if not found or not all(isinstance(value, Mapping) for value in found):
        return get_setting(key, task=task)
    entry_of = row.entry_of if row is not None else str
    entries = {entry_of(name): (name, entry) for value in reversed(found) for name, entry in value.items()}
    return copy_containers(dict(entries.values()))


def source_of(key: str, task: Any = None) -> str:
    """Where the value of a setting comes from, in words: the task, `set_setting`, the settings.json, or the default."""
    names = _names_of(key)
    first = [] if task is None else [f"attribute of the task {type(task).__name__}"]
    sources = [*first, "passed to set_setting", *map(str, settings_files())]
    for lookup, source in zip(_places(task), sources, strict=False):
        if any(lookup(name, _MISSING) is not _MISSING for name in names):
            return source
    return "default"


def get_seconds(key: str, task: Any = None) -> float:
    """The value of a setting in seconds. Raises ValueError, naming the setting, if it is not a finite number >= 0."""
    return float(get_setting(key, task=task))


def set_setting(key: str, value: Any) -> None:
    """Set the setting `key` for all tasks of this process; takes precedence over settings.json.

    `key`: the name of the setting.
    `value`: lists, dicts and sets are copied, so changing them later does not change the setting.

    Raises ValueError for a value of the wrong type; warns about a name that looks like a misspelled setting.
    """
    problem = value_problem(key, value)
    if problem:
        raise BadInputError(f"{problem} (passed to set_setting).")
    _warn_about_doubtful_name(key)
    clear_setting(key)
    _set_values[key] = copy_containers(value)


def clear_setting(key: str) -> None:
    """Remove the value that `set_setting` stored for a setting, if there is one.

    `key`: the name of the setting, or a former one.
    """
    for name in _names_of(key):
        _set_values.pop(name, None)


def changed_settings() -> list[tuple[str, Any, str]]:
    """Name, value and source (see `source_of`) of each setting of b2luigi that is not at its default, for all tasks."""
    found = ((name, source_of(name)) for name in KNOWN)
    return [(name, get_merged_setting(name), source) for name, source in found if source != "default"]


def settings_of_class(task: Any) -> list[tuple[str, Any, str]]:
    """Name, value and source of each setting of b2luigi that the class of a task has itself.

    Where it is a property or a parameter, the tasks of the class may differ: then the value is that of this one.
    """
    return [found for name in KNOWN for found in _of_class(name, task)]


def _of_class(name: str, task: Any) -> Iterator[tuple[str, Any, str]]:
    cls = type(task)
    static_ones = [one for key in _names_of(name) if (one := getattr_static(cls, key, _MISSING)) is not _MISSING]
    if not static_ones:
        return
    try:
        value = get_merged_setting(name, task=task)
    except Exception as error:  # a property that cannot say yet
        value = f"{type(error).__name__}: {error}"
    varies = isinstance(static_ones[0], property) or (
        hasattr(task, "get_param_names") and name in task.get_param_names(True)
    )
    yield name, value, f"that of {task}; others may differ" if varies else f"attribute of {cls.__name__}"


def settings_for_nodes() -> dict[str, Any]:
    """What `set_setting` has set in this process and JSON can express, for nodes that do not run the script."""
    return {key: value for key, value in _set_values.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        return False


@contextlib.contextmanager
def with_new_settings() -> Iterator[None]:
    """Start without any `set_setting` values, and restore the former ones at the end."""
    former = dict(_set_values)
    _set_values.clear()
    try:
        yield
    finally:
        _set_values.clear()
        _set_values.update(former)


@lru_cache(maxsize=256)
def _names_of(key: str, deprecated_keys: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The current name of a setting, followed by its former names."""
    row = find_setting(key)
    names = (key,) if row is None else (row.name, *row.old_names)
    return tuple(dict.fromkeys((*names, *deprecated_keys)))


def _first(names: tuple[str, ...], task: Any) -> tuple[str, Any] | None:
    """The name and value in the first of the `_places` that has one; None if no place has.

    Written out, since it is called some twenty times for each task.
    """
    if task is not None:
        for name in names:
            value = _task_attribute(task, name, _MISSING)
            if value is not _MISSING:
                return name, value
    for name in names:
        if name in _set_values:
            return name, _set_values[name]
    for content in settings_file.contents():
        for name in names:
            if name in content:
                return name, content[name]
    return None


def _all(names: tuple[str, ...], task: Any) -> list[Any]:
    """The values in all places."""
    return [value for lookup in _places(task) for name in names if (value := lookup(name, _MISSING)) is not _MISSING]


def _places(task: Any) -> Iterator[Callable[[str, Any], Any]]:
    """Lookup functions for the places of a value, in order of precedence; reads files only if needed.

    Each takes a name and the value to return if it does not have it.
    """
    if task is not None:
        yield partial(_task_attribute, task)
    yield _set_values.get
    for content in settings_file.contents():
        yield content.get


def _task_attribute(task: Any, name: str, missing: Any) -> Any:
    value = getattr(task, name, missing)
    if value is missing:
        # If the class has it, its own code (a property) failed: let the user see that error.
        is_defined = _is_defined(type(task), name)  # type: ignore[arg-type]  # a class can be hashed
        return getattr(task, name) if is_defined else missing
    problem = value_problem(name, value)
    if problem:
        raise BadInputError(f"{problem} (attribute of the task {type(task).__name__}).")
    return value


@lru_cache(maxsize=4096)
def _is_defined(cls: type, name: str) -> bool:
    return any(name in vars(base) for base in cls.__mro__)


def _default_of(name: str, default: Any) -> Any:
    if default is not _MISSING:
        return default
    if name in KNOWN:
        return KNOWN[name].default
    raise BadInputError(_not_found(name))


def _not_found(name: str) -> str:
    files = ", ".join(map(str, settings_files())) or "no settings.json was found"
    similar = closest_setting(name, _set_values)
    hint = f" Did you mean {similar}?" if similar else ""
    return (
        f"No settings found for {name}! It is not an attribute of the task, was not passed to set_setting, "
        f"and is in no settings.json ({files}). Set it in one of these places.{hint}"
    )


def _warn_about_doubtful_name(name: str) -> None:
    """Warns only once per process; settings of the grid count as one."""
    problem = name_problem(name)
    key = GRID if name.startswith(GRID) else name
    if problem and key not in _doubtful:
        _doubtful.add(key)
        warn(UnknownSettingWarning(f"set_setting: {problem}"), stacklevel=3)


def _warn_about_old_name(name: str, current: str) -> None:
    if name != current:
        text = f"The setting {name} is now called {current}; please use the new name."
        warn(DeprecatedSettingsWarning(text), stacklevel=3)
