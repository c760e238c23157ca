"""A project: the task classes of a tasks.py, and the values of their parameters in a parameters.py."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import json
import os
import runpy
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import luigi

from b2luigi.cli.collect import collecting
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.generators import combinations
from b2luigi.core.graph import all_tasks
from b2luigi.core.project_words import TASK_FILE

PARAMS_FILE = "parameters.py"
TASK_VARIABLE, PARAMS_VARIABLE = "B2LUIGI_TASK_FILE", "B2LUIGI_PARAMS_FILE"
_NOT_THE_USERS = ("luigi", "b2luigi")


@dataclass(frozen=True)
class Project:
    """The classes of a task file, and values for their parameters."""

    file: Path
    module: ModuleType
    config: Mapping[str, Any]
    """The values in the parameters file; some may be generators of several."""
    given: Mapping[str, str]
    """Values on the command line, as text: they replace those of the file."""

    def classes(self) -> list[type[luigi.Task]]:
        """All task classes that the task file defines or imports, by name."""
        found = {cls for cls in _below(luigi.Task) if cls.__module__.partition(".")[0] not in _NOT_THE_USERS}
        return sorted(found, key=lambda cls: (cls.__name__, cls.__module__))

    def find(self, name: str) -> type[luigi.Task]:
        """The class of this name, also as module.Class. Raises BadInputError, with the nearest names."""
        classes = self.classes()
        found = [cls for cls in classes if name in (cls.__name__, f"{cls.__module__}.{cls.__qualname__}")]
        own = [cls for cls in found if cls.__module__ == self.module.__name__]
        if len(own or found) == 1:
            return (own or found)[0]
        if found:
            several = ", ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in found)
            raise BadInputError(f"Several tasks are called {name}: {several}")
        names = [cls.__name__ for cls in classes]
        near = difflib.get_close_matches(name, names, 3, 0.5) or names[:3]
        hint = f" The nearest: {', '.join(near)}" if near else ""
        raise BadInputError(f"{self.file} has no task {name}.{hint}")

    def tasks_of(self, cls: type[luigi.Task]) -> list[luigi.Task]:
        """The tasks of a class, one for each combination of values. Raises BadInputError if one is missing or wrong."""
        parameters = dict(cls.get_params())
        missing = self.missing(cls)
        if missing:
            raise BadInputError(
                f"{cls.__name__} needs values of {', '.join(missing)}: in {PARAMS_FILE}, or as -P {missing[0]}=..."
            )
        given = {name: parsed(parameters[name], name, text) for name, text in self.given.items() if name in parameters}
        rows = ({**row, **given} for row in combinations(self.config))
        tasks = (_made(cls, {name: value for name, value in row.items() if name in parameters}) for row in rows)
        return list({task.task_id: task for task in tasks}.values())

    def missing(self, cls: type[luigi.Task]) -> list[str]:
        """The parameters of a class that have neither a default nor a value here."""
        known = {*self.given, *next(combinations(self.config))}
        family = cls.get_task_family()
        return [name for name, one in cls.get_params() if name not in known and not one.has_task_value(family, name)]

    def check_given(self, classes: Iterable[type[luigi.Task]]) -> None:
        """Raises BadInputError for a value on the command line of a parameter that none of the classes has."""
        known = sorted({name for cls in classes for name, _ in cls.get_params()})
        for name in self.given:
            if name not in known:
                raise BadInputError(f"-P {name}: there is no such parameter. There are: {', '.join(known) or 'none'}")

    def roots(self) -> list[luigi.Task]:
        """The tasks of all classes for whose parameters there are values."""
        return [task for cls in self.classes() if not self.missing(cls) for task in self.tasks_of(cls)]

    def select(self, names: Sequence[str], direct: bool = False, with_requirements: bool = False) -> list[luigi.Task]:
        """The tasks of these classes; of all classes without names.

        Those of a class without values of its parameters are looked for in the graph of all others, unless `direct`.
        Raises BadInputError if there are none.
        """
        classes = [self.find(name) for name in names]
        self.check_given(classes or self.classes())
        if not classes:
            return list(all_tasks(self.roots()))
        found = [task for cls in classes for task in self._tasks(cls, direct)]
        return list(all_tasks(found)) if with_requirements else list(dict.fromkeys(found))

    def _tasks(self, cls: type[luigi.Task], direct: bool) -> list[luigi.Task]:
        if direct or not self.missing(cls):
            return self.tasks_of(cls)
        found = [task for task in all_tasks(self.roots()) if type(task) is cls]
        return found or self.tasks_of(cls)


def load(task_file: str = "", params_file: str = "", given: Iterable[str] = ()) -> Project:
    """The project in the current folder, or of the named files; from now on, its task file is the running script.

    `given`: words name=value. Raises BadInputError if a file is not there, or cannot be used.
    """
    file = Path(os.path.abspath(_task_file(task_file)))
    named = params_file or os.environ.get(PARAMS_VARIABLE, "")
    params = Path(os.path.abspath(named)) if named else file.with_name(PARAMS_FILE)
    values = dict(map(_pair, given))
    sys.path.insert(0, str(file.parent))
    vars(sys.modules["__main__"]).update(__file__=str(file), __spec__=None)  # relative paths are relative to it
    module = _imported(file)
    return Project(file, module, _config(params) if named or params.is_file() else {}, values)


def parsed(parameter: luigi.Parameter, name: str, text: str) -> Any:
    """The value of a parameter that is given as JSON or as luigi reads it. Raises BadInputError."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if value is None:
        return None
    try:
        return parameter.parse(value if isinstance(value, str) else text)
    except Exception as error:
        kind = type(parameter).__name__
        raise BadInputError(f"-P {name}={text} is not a value of a {kind}: {error}") from error


def _task_file(named: str) -> Path:
    from_variable = os.environ.get(TASK_VARIABLE, "")
    file = Path(named or from_variable or TASK_FILE)
    if file.is_file():
        return file
    origin = f" ({TASK_VARIABLE})" if from_variable and not named else ""
    hint = "" if named or from_variable else " `b2luigi init` makes a project to start from."
    raise BadInputError(f"There is no task file {file}{origin} in {Path.cwd()}.{hint}")


def _pair(word: str) -> tuple[str, str]:
    name, sign, text = word.partition("=")
    if not sign or not name.strip().isidentifier():
        raise BadInputError(f"A value of a parameter is given as -P name=value, not as {word}.")
    return name.strip(), text


def _imported(file: Path) -> ModuleType:
    name = file.stem
    if not name.isidentifier() or file.suffix != ".py":
        raise BadInputError(f"{file} cannot be imported: its name must be that of a module, such as {TASK_FILE}.")
    try:
        with collecting(), contextlib.redirect_stdout(sys.stderr):
            module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise BadInputError(f"{file} cannot be imported:\n{_from(file, error)}") from error
    if os.path.realpath(getattr(module, "__file__", None) or "") != os.path.realpath(file):
        raise BadInputError(f"{file} cannot be imported: there is another module {name}. Give the file another name.")
    return module


def _config(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise BadInputError(f"There is no parameters file {file}.")
    try:
        with collecting(), contextlib.redirect_stdout(sys.stderr):
            config = runpy.run_path(str(file)).get("config")
    except (Exception, SystemExit) as error:
        raise BadInputError(f"{file} cannot be used:\n{_from(file, error)}") from error
    if not isinstance(config, Mapping) or not all(isinstance(name, str) for name in config):
        raise BadInputError(f"{file} must define a dict `config`: names of parameters, and their values.")
    return config


def _from(file: Path, error: BaseException) -> str:
    """The traceback from the user's file on."""
    formatted = traceback.TracebackException.from_exception(error)
    names = [frame.filename for frame in formatted.stack]
    first = names.index(str(file)) if str(file) in names else len(names)
    formatted.stack = traceback.StackSummary.from_list(formatted.stack[first:])
    formatted.__context__ = formatted.__cause__ = None
    return "".join(formatted.format()).rstrip()


def _made(cls: type[luigi.Task], values: Mapping[str, Any]) -> luigi.Task:
    try:
        return cls(**values)
    except Exception as error:
        shown = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise BadInputError(f"{cls.__name__}({shown}) cannot be created: {error}") from error


def _below(cls: type[luigi.Task]) -> Iterator[type[luigi.Task]]:
    for one in cls.__subclasses__():
        yield one
        yield from _below(one)
