from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import luigi
import luigi.util
import pytest

import b2luigi
from b2luigi.core import utils

NOT_FROM_LUIGI = {"range"}  # would hide Python's own range after `from b2luigi import *`
HAS_CLI = importlib.util.find_spec("b2luigi.cli.process") is not None


ROOT = str(Path(b2luigi.__file__).parents[1])


def python(code: str) -> str:
    """What a fresh interpreter prints that finds this b2luigi."""
    command = [sys.executable, "-W", "ignore", "-c", f"import sys; sys.path.insert(0, {ROOT!r})\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_loads_nothing_else() -> None:
    """`import b2luigi` alone loads neither luigi nor any room of the house."""
    code = "import b2luigi; print([m for m in sys.modules if m.startswith(('luigi', 'b2luigi.'))])"
    assert python(code) == "[]"


def test_the_core_knows_no_batch() -> None:
    """Using a task, a parameter and a setting loads nothing of batch or cli."""
    code = (
        "import b2luigi\n"
        "b2luigi.Task, b2luigi.IntParameter, b2luigi.get_setting, b2luigi.LocalTarget\n"
        "b2luigi.requires, b2luigi.inherits, b2luigi.on_temporary_files\n"
        "import b2luigi.core.utils\n"
        "print([m for m in sys.modules if m.startswith(('b2luigi.batch', 'b2luigi.cli'))])"
    )
    assert python(code) == "[]"


def test_all_is_sorted_and_complete() -> None:
    """__all__ is sorted and has every public name of luigi beside ours."""
    assert b2luigi.__all__ == sorted(set(b2luigi.__all__))
    assert set(luigi.__all__) - NOT_FROM_LUIGI <= set(b2luigi.__all__)
    assert set(b2luigi.__all__) <= set(dir(b2luigi))


@pytest.mark.parametrize("name", [name for name in b2luigi.__all__ if name != "process" or HAS_CLI])
def test_each_name_is_there(name: str) -> None:
    """Every name in __all__ can be had."""
    assert getattr(b2luigi, name) is not None


@pytest.mark.skipif(not HAS_CLI, reason="b2luigi.cli.process is not there yet")
def test_star_import() -> None:
    """`from b2luigi import *` gives all names, and leaves Python's range alone."""
    printed = python("from b2luigi import *\nprint(Task.__module__, process.__module__, range(2))")
    assert printed == "b2luigi.core.task b2luigi.cli.process range(0, 2)"


def test_what_is_not_ours_is_luigis() -> None:
    """Names of luigi are luigi's own objects, unless we have one of that name."""
    assert b2luigi.Event is luigi.Event
    assert b2luigi.build is luigi.build
    assert b2luigi.copies is luigi.util.copies
    assert b2luigi.Task is not luigi.Task
    assert b2luigi.__version__ != luigi.__version__


def test_rooms_are_there_without_importing_them() -> None:
    """`b2luigi.core` is there after `import b2luigi`."""
    assert python("import b2luigi; print(b2luigi.core.__name__)") == "b2luigi.core"


def test_dispatch_loads_its_room_when_it_is_used() -> None:
    """Only who dispatches pays for it, and not for the machinery of batch systems."""
    code = (
        "import b2luigi\n"
        "b2luigi.Task\n"
        "print('b2luigi.batch' in sys.modules)\n"
        "b2luigi.dispatch, b2luigi.DispatchableTask\n"
        "print('b2luigi.batch.dispatch' in sys.modules, 'b2luigi.batch.workers' in sys.modules)"
    )
    assert python(code).split() == ["False", "True", "False"]


PUBLISHED_UTILS = [
    "add_on_failure_function",
    "create_cmd_from_task",
    "create_output_dirs",
    "create_output_file_name",
    "fill_kwargs_with_lists",
    "flatten_to_dict",
    "flatten_to_dict_of_lists",
    "flatten_to_file_paths",
    "get_all_output_files_in_tree",
    "get_filename",
    "get_filled_params",
    "get_log_file_dir",
    "get_luigi_logger",
    "get_serialized_parameters",
    "get_task_file_dir",
    "is_subdir",
    "map_folder",
    "on_failure",
    "product_dict",
    "task_iterator",
]


def test_utils_has_what_scripts_import_from_it() -> None:
    """Every helper of the published address is there, but for those of containers."""
    assert set(PUBLISHED_UTILS) <= set(utils.__all__)


@pytest.mark.parametrize("name", ["Tusk", "_private", "__wrapped__", "__bool__"])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    """A name neither we nor luigi have is told as usual."""
    with pytest.raises(AttributeError, match=f"'b2luigi' has no attribute '{name}'"):
        getattr(b2luigi, name)


def test_utils_only_passes_on() -> None:
    """core.utils is an address: nothing is defined there, and everything it names is there."""
    assert utils.__all__ == sorted(utils.__all__)
    assert all(getattr(utils, name).__module__ != utils.__name__ for name in utils.__all__)
