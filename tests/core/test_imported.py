"""Which tasks a node can make without a script, and from where it imports them."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import luigi
import pytest

import b2luigi
from b2luigi.core import imported
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.executable import create_cmd_from_task, inputs_of
from b2luigi.core.process_call import ProcessCall, running


class Plain(b2luigi.Task):
    n = b2luigi.Parameter()


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """This process has no script; its current folder."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("value", ["text", 3, 2.5, None, True])
@pytest.mark.filterwarnings("ignore:Parameter .* is not of type string")
def test_values_that_a_node_gets(value: object) -> None:
    """Text, numbers and None, also in a Parameter that reads text."""
    imported.check_importable(Plain(n=value))


@pytest.mark.filterwarnings("ignore:Parameter .* is not of type string")
def test_a_value_that_no_node_gets() -> None:
    """The error names the task, the parameter and the value."""

    class Odd(tuple):  # type: ignore[type-arg]
        """Comes back from text as another type."""

    with pytest.raises(BadInputError, match=r"Plain: .* n=\(1, 2\) does not survive"):
        imported.check_importable(Plain(n=Odd((1, 2))))


def test_a_task_of_a_cell(notebook: Path) -> None:
    """One sentence says why, and what to do."""

    class Cell(Plain):
        pass

    Cell.__module__ = "__main__"
    with pytest.raises(BadInputError, match=r"Cell: a task that is defined in a cell, .* put its class into a module"):
        imported.check_importable(Cell(n="x"))


def test_a_class_that_its_module_has_not() -> None:
    """One that was defined in a function, or before the module was reloaded."""

    class Local(Plain):
        pass

    stale = type("Plain", (Plain,), {"__module__": __name__})
    for cls in (Local, stale):
        with pytest.raises(BadInputError, match="has no such class"):
            imported.check_importable(cls(n="x"))


def test_the_command(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds modules where this process does, and gets none of the arguments of the kernel."""
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])
    monkeypatch.setattr(sys, "path", ["", str(notebook / "lib"), str(notebook / "gone"), *sys.path])
    (notebook / "lib").mkdir()
    task = Plain(n="x")
    _, flag, code, *rest = create_cmd_from_task(task)
    assert flag == "-c"
    assert f"sys.path[0:0] = ['{notebook}', '{notebook}/lib'," in code
    assert "gone" not in code
    assert luigi.__file__.rpartition("/luigi/")[0] not in code.replace(f"{notebook}", "")
    assert rest == ["--batch-runner", "--task-id", task.task_id]


def test_of_a_project() -> None:
    """There is a script, the task file, but nodes import it."""
    assert not imported.is_imported()
    with running(ProcessCall(of_project=True)):
        assert imported.is_imported()
        assert create_cmd_from_task(Plain(n="x"))[1] == "-c"


def test_a_file_that_is_transferred(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module of the task, if it is a single file; packages are for the user to transfer."""
    module = types.ModuleType("steps")
    module.__file__ = str(notebook / "steps.py")
    Path(module.__file__).touch()
    monkeypatch.setitem(sys.modules, "steps", module)
    of_file = type("Step", (Plain,), {"__module__": "steps"})(n="x")
    assert inputs_of(of_file) == (notebook / "steps.py",)
    monkeypatch.setitem(sys.modules, "package.steps", module)
    of_package = type("Other", (Plain,), {"__module__": "package.steps"})(n="x")
    assert inputs_of(of_package) == ()
