"""Jobs without a script: of a notebook, a session, `python -c`, or a project. The node imports the task's module."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import luigi

from b2luigi.core.bad_input import BadInputError
from b2luigi.core.description import unfaithful_parameter
from b2luigi.core.process_call import running_call
from b2luigi.core.script import has_script, is_of_interpreter
from b2luigi.core.settings import get_setting

ENTRY = "b2luigi.batch.node.entry"
"""The module that runs one task on a node which has no script to run."""


def is_imported() -> bool:
    """Whether nodes import the modules of the tasks, as there is no script that they could run."""
    return not has_script() or running_call().of_project


def entry(task: luigi.Task) -> list[str]:
    """Arguments of Python that run one task: it finds modules where this process finds them.

    With `working_dir`, modules in that folder come first, as the script there would.
    """
    first = 1 if get_setting("working_dir", task=task) else 0
    return ["-c", f"import sys; sys.path[{first}:{first}] = {folders()!r}; from {ENTRY} import main; main()"]


def folders() -> list[str]:
    """The places from which this process imports modules, except for those of the interpreter itself."""
    found = (os.path.abspath(path) for path in sys.path)
    return list(dict.fromkeys(path for path in found if os.path.exists(path) and not is_of_interpreter(path)))


def files_of(task: luigi.Task) -> Iterator[str]:
    """The file of the task's module, for a node that shares no folder. A package is for the user to transfer."""
    name = type(task).__module__
    file = getattr(sys.modules.get(name), "__file__", None)
    if file and "." not in name and os.path.basename(file) != "__init__.py" and not is_of_interpreter(file):
        yield os.path.abspath(file)


def check_importable(task: luigi.Task) -> None:
    """Raises BadInputError if a node without a script cannot make this task."""
    problem = _problem(task)
    if problem:
        raise BadInputError(f"{task.get_task_family()}: {problem}", kind=("imported", type(task), problem))


def _problem(task: luigi.Task) -> str:
    cls = type(task)
    if cls.__module__ == "__main__":
        return (
            "a task that is defined in a cell, in a session or in `python -c` cannot run as a job, since no node can "
            "import it: put its class into a module (a .py file), and import it from there."
        )
    if "<locals>" in cls.__qualname__ or _found(cls) is not cls:
        return (
            f"the module {cls.__module__} has no such class (any more), and so no node can import it: define it at "
            "the top of the module, and create the task again if the module was reloaded."
        )
    name = unfaithful_parameter(task)
    if name:
        value = task.param_kwargs[name]
        return (
            f"without a script, a node creates the task from its parameters as text, and {name}={value!r} does not "
            "survive that: pass a value of the type that its Parameter class parses."
        )
    return ""


def _found(cls: type) -> Any:
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found
