from __future__ import annotations

import importlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import luigi
import luigi.util
import pytest

import b2luigi
from b2luigi.batch import systems
from b2luigi.batch.workers import BatchSystems
from b2luigi.core import known_settings, utils
from b2luigi.core.dropped import DROPPED_NAMES
from b2luigi.core.settings import with_new_settings

NOT_FROM_LUIGI = {"range"}  # would hide Python's own range after `from b2luigi import *`

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


@pytest.mark.parametrize("name", b2luigi.__all__)
def test_each_name_is_there(name: str) -> None:
    """Every name in __all__ can be had."""
    assert getattr(b2luigi, name) is not None


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


@pytest.mark.parametrize("module", ["core.utils", "core.settings", "batch.processes", "batch.workers", "cli.process"])
def test_modules_are_there_after_import(module: str) -> None:
    """`import b2luigi` is enough to write `b2luigi.core.utils.product_dict`, as in b2luigi 1.x."""
    assert python(f"import b2luigi; print(b2luigi.{module}.__name__)") == f"b2luigi.{module}"


def test_packages_have_no_other_attributes() -> None:
    """A misspelt module is an AttributeError, and one that is private is not looked for."""
    for name in ("utlis", "_utils"):
        with pytest.raises(AttributeError, match=f"'b2luigi.core' has no attribute '{name}'"):
            getattr(b2luigi.core, name)


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


@pytest.mark.parametrize("name", ["Tusk", "_private", "__wrapped__", "__bool__"])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    """A name neither we nor luigi have is an error as usual."""
    with pytest.raises(AttributeError, match=f"'b2luigi' has no attribute '{name}'"):
        getattr(b2luigi, name)


def test_utils_only_passes_on() -> None:
    """core.utils is an address: nothing is defined there, and everything it names is there."""
    assert utils.__all__ == sorted(utils.__all__)
    assert all(getattr(utils, name).__module__ != utils.__name__ for name in utils.__all__)


# -- the addresses of b2luigi 1.x


REQUIRED = inspect.Parameter.empty
NO_DEFAULT = object()
"""Where a default of None was no default, and is one now."""

KEPT: dict[str, dict[str, Any]] = {
    # top level
    "b2luigi.process": {
        "task_like_elements": REQUIRED,
        "show_output": False,
        "dry_run": False,
        "test": False,
        "batch": False,
        "remove": (),
        "remove_only": (),
        "auto_confirm": False,
        "keep_tasks": None,
        "ignore_additional_command_line_args": False,
    },
    "b2luigi.get_setting": {"key": REQUIRED, "default": NO_DEFAULT, "task": None, "deprecated_keys": None},
    "b2luigi.set_setting": {"key": REQUIRED, "value": REQUIRED},
    "b2luigi.clear_setting": {"key": REQUIRED},
    "b2luigi.requires": {},
    "b2luigi.inherits": {"without": None},
    "b2luigi.dispatch": {"run": REQUIRED},
    "b2luigi.on_temporary_files": {"run": REQUIRED},
    "b2luigi.copies": {},
    "b2luigi.DispatchableTask.process": {},
    "b2luigi.ExternalTask": {},
    "b2luigi.WrapperTask": {},
    "b2luigi.LocalTarget": {"path": None},
    "b2luigi.Parameter": {
        "hashed": False,
        "hash_function": None,
        "hidden": None,
        "grouping": False,
        "grouping_function": None,
    },
    "b2luigi.BatchIntParameter": {},
    "b2luigi.BatchIntParameter.next_in_enumeration": {"value": REQUIRED},
    # tasks
    "b2luigi.Task.add_to_output": {"name": REQUIRED, "target_class": None, "result_dir": None},
    "b2luigi.Task.get_output_file_name": {"key": REQUIRED},
    "b2luigi.Task.get_all_output_file_names": {},
    "b2luigi.Task.get_all_input_file_names": {},
    "b2luigi.Task.get_input_file_names": {"key": None},
    "b2luigi.Task.get_input_file_names_from_dict": {"requirement_key": REQUIRED, "key": None},
    "b2luigi.Task.get_input_file_name": {"key": None},
    "b2luigi.Task._get_input_targets": {"key": REQUIRED},
    "b2luigi.Task._get_output_target": {"key": REQUIRED},
    "b2luigi.Task._get_output_file_target": {"base_filename": REQUIRED},
    "b2luigi.Task._resolve_output_file_target": {},
    "b2luigi.Task._remove_output": {},
    "b2luigi.Task._remove_output_file_target": {"key": REQUIRED},
    "b2luigi.Task._transform_io": {},
    "b2luigi.Task.grouped_param_names": {},
    "b2luigi.Task.has_grouped_params": {},
    "b2luigi.core.task.NotCompletedTask.complete": {},
    # settings
    "b2luigi.core.settings.get_setting": {"key": REQUIRED, "task": None},
    "b2luigi.core.settings.with_new_settings": {},
    "b2luigi.core.settings.DeprecatedSettingsWarning": {},
    # batch
    "b2luigi.batch.processes.BatchProcess": {
        "task": REQUIRED,
        "scheduler": REQUIRED,
        "result_queue": REQUIRED,
        "worker_timeout": REQUIRED,
    },
    "b2luigi.batch.processes.BatchProcess.get_job_status": {},
    "b2luigi.batch.processes.BatchProcess.start_job": {},
    "b2luigi.batch.processes.BatchProcess.terminate_job": {},
    "b2luigi.batch.processes.BatchProcess.kill_job": {},
    "b2luigi.batch.processes.BatchProcess.run": {},
    "b2luigi.batch.processes.BatchProcess.terminate": {},
    "b2luigi.batch.processes.BatchProcess.is_alive": {},
    "b2luigi.batch.processes.BatchProcess._put_to_result_queue": {"status": REQUIRED, "explanation": REQUIRED},
    "b2luigi.batch.processes.JobStatus.running": {},
    "b2luigi.batch.processes.JobStatus.successful": {},
    "b2luigi.batch.processes.JobStatus.aborted": {},
    "b2luigi.batch.processes.JobStatus.idle": {},
    "b2luigi.batch.processes.lsf.LSFProcess": {"task": REQUIRED},
    "b2luigi.batch.processes.htcondor.HTCondorProcess": {"task": REQUIRED},
    "b2luigi.batch.processes.slurm.SlurmProcess": {"task": REQUIRED},
    "b2luigi.batch.workers.BatchSystems.lsf": {},
    "b2luigi.batch.workers.SendJobWorker.detect_batch_system": {"task": REQUIRED},
    "b2luigi.batch.workers.SendJobWorker._create_task_process": {"task": REQUIRED},
    "b2luigi.batch.workers.SendJobWorkerSchedulerFactory": {},
    "b2luigi.core.executable.create_executable_wrapper": {"task": REQUIRED},
    # targets
    "b2luigi.core.target.FileSystemTarget.tmp_name": {},
    "b2luigi.core.target.FileSystemTarget.temporary_path": {"task": None},
    "b2luigi.core.target.FileSystemTarget.get_temporary_input": {"task": None},
    # utilities
    "b2luigi.core.utils.product_dict": {},
    "b2luigi.core.utils.fill_kwargs_with_lists": {},
    "b2luigi.core.utils.flatten_to_file_paths": {"inputs": REQUIRED},
    "b2luigi.core.utils.flatten_to_dict": {"inputs": REQUIRED},
    "b2luigi.core.utils.flatten_to_dict_of_lists": {"inputs": REQUIRED},
    "b2luigi.core.utils.task_iterator": {"task": REQUIRED, "only_non_complete": False},
    "b2luigi.core.utils.get_all_output_files_in_tree": {"root": REQUIRED, "key": None},
    "b2luigi.core.utils.get_serialized_parameters": {"task": REQUIRED, "need_hidden": False},
    "b2luigi.core.utils.create_output_file_name": {
        "task": REQUIRED,
        "base_filename": REQUIRED,
        "result_dir": None,
        "need_hidden": False,
    },
    "b2luigi.core.utils.get_log_file_dir": {"task": REQUIRED},
    "b2luigi.core.utils.get_task_file_dir": {"task": REQUIRED},
    "b2luigi.core.utils.get_filename": {},
    "b2luigi.core.utils.map_folder": {},
    "b2luigi.core.utils.on_failure": {},
    "b2luigi.core.utils.add_on_failure_function": {"task": REQUIRED},
    "b2luigi.core.utils.create_cmd_from_task": {"task": REQUIRED},
    "b2luigi.core.utils.create_output_dirs": {"task": REQUIRED},
    "b2luigi.core.utils.get_filled_params": {"task": REQUIRED},
    "b2luigi.core.utils.is_subdir": {"path": REQUIRED, "parent_dir": REQUIRED},
    "b2luigi.core.utils.get_apptainer_or_singularity": {"task": None},
    "b2luigi.core.utils.create_apptainer_command": {"command": REQUIRED, "task": None},
    "b2luigi.core.utils.get_luigi_logger": {},
}
"""Names that are where they were: the arguments scripts give, with their defaults. More may be there."""

ALIASES = {
    "b2luigi.batch.processes.BatchProcess.kill_job": "b2luigi.batch.processes.BatchProcess.terminate_job",
    "b2luigi.core.utils.flatten_to_list_of_dicts": "b2luigi.core.utils.flatten_to_dict_of_lists",
    "b2luigi.core.parameter.BoolParameter": "b2luigi.BoolParameter",
}
"""Former names that still work, and the present ones."""


def at(address: str) -> Any:
    """What a script gets at an address: the longest part of it that is a module, then attributes."""
    names = address.split(".")
    for length in range(len(names) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(names[:length]))
        except ModuleNotFoundError:
            continue
        for name in names[length:]:
            found = getattr(found, name)
        return found
    raise AssertionError(f"there is nothing at {address}")


@pytest.mark.parametrize("address", KEPT)
def test_names_that_are_kept(address: str) -> None:
    """They are where they were, and take what they took."""
    found = at(address)
    if not KEPT[address]:
        return
    ours = inspect.signature(found).parameters
    for name, default in KEPT[address].items():
        assert name in ours, f"{address} has no argument {name}, only {list(ours)}"
        assert default is NO_DEFAULT or ours[name].default == default, f"{address}: default of {name}"
    positional = [name for name, one in ours.items() if one.kind is one.POSITIONAL_OR_KEYWORD and name != "self"]
    expected = [name for name in KEPT[address] if name in positional]
    assert [name for name in positional if name in expected] == expected


@pytest.mark.parametrize("former", ALIASES)
def test_names_that_have_another_one(former: str) -> None:
    """Both addresses lead somewhere."""
    assert callable(at(former))
    assert callable(at(ALIASES[former]))


@pytest.mark.parametrize("address", DROPPED_NAMES)
def test_names_that_were_dropped(address: str) -> None:
    """An import says what to use instead, whether of the name itself or of something in a module that is gone."""
    module, _, name = address.rpartition(".")
    if importlib.util.find_spec(module).submodule_search_locations and importlib.util.find_spec(address):  # type: ignore[union-attr]
        module, name = address, "anything"
    with pytest.raises(ImportError) as error:
        exec(f"from {module} import {name}")
    assert str(error.value) == f"{module}.{name} of b2luigi 1.x is not here: {DROPPED_NAMES[address]}."
    assert not hasattr(importlib.import_module(module), "_private")


@pytest.mark.parametrize(("name", "words"), [("test", '"local"'), ("gbasf2", "Belle II grid"), ("pbs", "none of")])
def test_batch_systems_that_were_dropped(name: str, words: str) -> None:
    """The error lists those there are, and says what became of one that b2luigi 1.x had."""
    with pytest.raises(ValueError, match=rf"batch_system is '{name}', which is none of: auto, lsf.*") as error:
        systems.load(name)
    assert words in str(error.value)


def test_batch_systems_as_an_enumeration() -> None:
    """Its members are names that the setting takes, and it has all of ours."""
    assert set(BatchSystems) == {"auto", "local", "custom", *systems.OURS}
    with with_new_settings():
        b2luigi.set_setting("batch_system", BatchSystems.slurm)
        assert str(b2luigi.get_setting("batch_system")) == "slurm"


def test_the_page_for_those_who_move_is_complete() -> None:
    """Each name and setting that was dropped, or has a new name, is listed there."""
    page = (Path(ROOT) / "docs" / "moving-from-1.x.md").read_text()
    old = [name for setting in known_settings.KNOWN.values() for name in setting.old_names]
    assert [name for name in (*DROPPED_NAMES, *known_settings.DROPPED_SETTINGS, *old) if f"`{name}`" not in page] == []
