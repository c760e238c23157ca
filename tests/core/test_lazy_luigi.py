"""A node does not load what its task does not need, without a visible difference."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import b2luigi
from b2luigi.core.description import describe
from b2luigi.core.job_script import SCRIPT_VARIABLE, JobScript, render

HEAVY = (
    *("luigi.rpc", "requests", "tenacity", "tornado", "asyncio", "urllib3", "colorama", "parse", "b2luigi.cli.modes"),
    *("jsonschema", "difflib"),
)
"""Modules that a node must not load."""
ROOMS = (
    "b2luigi.batch.systems",
    "b2luigi.batch.processes",
    "b2luigi.batch.workers.worker",
    "b2luigi.batch.scheduling.indexed",
)
SCRIPT = """
import json, sys
import b2luigi

class LeanLeaf(b2luigi.Task):
    i = b2luigi.IntParameter()
    def output(self):
        yield self.add_to_output("modules.json")
    def run(self):
        with open(self.get_output_file_name("modules.json"), "w") as file:
            json.dump(sorted(sys.modules), file)

if __name__ == "__main__":
    b2luigi.set_setting("result_dir", "results")
    b2luigi.process(LeanLeaf(i=1), batch=True)
"""


class LeanLeaf(b2luigi.Task):
    """Has the same task id as the class of this name in the script."""

    i = b2luigi.IntParameter()


def job_script(folder: Path, shell: str) -> Path:
    """The job script of the leaf of SCRIPT."""
    (folder / "script.py").write_text(SCRIPT)
    task_id = LeanLeaf(i=1).task_id
    path = folder / "executable_wrapper.sh"
    path.write_text(
        render(
            JobScript(
                task_id=task_id,
                command=[sys.executable, "script.py", "--batch-runner", "--task-id", task_id],
                description={**describe(LeanLeaf(i=1)), "module": "__main__"},
                shell=shell,
                folder=str(folder),
                home=str(folder),
                inbox=str(folder),
                logs=str(folder),
            )
        )
    )
    path.chmod(0o700)
    return path


def on_a_node(code: str) -> str:
    """The output of Python code on a node."""
    env = {**os.environ, SCRIPT_VARIABLE: "/somewhere/executable_wrapper.sh"}
    words = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('sys').modules.get('luigi.rpc') is None",
        "luigi.RPCError is luigi.rpc.RPCError and luigi.RemoteScheduler is luigi.rpc.RemoteScheduler",
        "luigi.interface.rpc.RemoteScheduler is luigi.RemoteScheduler",
        "b2luigi.RPCError is luigi.RPCError and b2luigi.rpc is luigi.rpc",
        "issubclass(luigi.RPCError, Exception)",
        "not hasattr(luigi, 'no_such_name') and not hasattr(luigi.interface.rpc, 'no_such_name')",
        "set(luigi.__all__) <= set(dir(luigi))",
        "luigi.rpc.__name__ == 'luigi.rpc' and luigi.rpc.__file__.endswith('rpc.py')",
        "luigi.build([], local_scheduler=True, log_level='ERROR') is True",
        "all(hasattr(luigi, name) for name in luigi.__all__)",
    ],
)
def test_luigi_looks_unchanged(condition: str) -> None:
    """On a node, luigi behaves as everywhere else."""
    assert on_a_node(f"import b2luigi, luigi; print({condition})") == "True"


@pytest.mark.parametrize(
    "first",
    [
        "from luigi import RPCError, RemoteScheduler",
        "from luigi.rpc import RPCError",
        "import luigi.rpc",
        "import luigi.interface; luigi.interface.rpc.RPCError",
        "from luigi import *",
        "from luigi import rpc",
    ],
)
@pytest.mark.parametrize("before", ["import b2luigi", "import luigi; import b2luigi"])
def test_the_client_is_imported_on_first_access(before: str, first: str) -> None:
    """However the client is accessed, and whatever is imported first, everybody gets the same module."""
    printed = on_a_node(
        f"{before}\n{first}\nimport luigi, sys\n"
        "print(luigi.RPCError is luigi.interface.rpc.RPCError is luigi.rpc.RPCError)"
    )
    assert printed == "True"


USE_OF_SCHEMA = """
import sys
import b2luigi, luigi
print("jsonschema" in sys.modules)

class Schemed(b2luigi.Task):
    values = b2luigi.DictParameter(schema={"type": "object", "properties": {"a": {"type": "number"}}})

print(dict(Schemed(values={"a": 1}).values))
try:
    Schemed(values={"a": "text"})
except Exception as error:
    import jsonschema
    print(isinstance(error, jsonschema.ValidationError))
"""


def test_schemas_are_checked_on_a_node() -> None:
    """A parameter with a schema imports `jsonschema`, which Jupyter installs, when it checks a value."""
    pytest.importorskip("jsonschema")
    assert on_a_node(USE_OF_SCHEMA).splitlines() == ["False", "{'a': 1}", "True"]


def test_without_jsonschema_luigi_knows_that() -> None:
    """Where it is not installed, luigi does without, on a node as everywhere."""
    without = "import sys; sys.modules['jsonschema'] = None"
    assert on_a_node(f"{without}; import b2luigi, luigi; print(luigi.parameter._JSONSCHEMA_ENABLED)") == "False"


def test_outside_a_job_luigi_is_imported_normally() -> None:
    """Without a job script, luigi is imported with its client."""
    env = {name: value for name, value in os.environ.items() if name != SCRIPT_VARIABLE}
    code = "import b2luigi, sys; print('luigi' in sys.modules); b2luigi.Task; print('luigi.rpc' in sys.modules)"
    words = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.split() == [
        "False",
        "True",
    ]


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_what_a_node_loads(tmp_path: Path, script_folder: Path, shell: str) -> None:
    """The job of a leaf loads no RPC client, no display and no batch system; its only program is `mv`."""
    if not Path(f"/bin/{shell}").exists():
        pytest.skip(f"no {shell} here")
    job, programs = job_script(script_folder, shell), tmp_path / "bin"
    programs.mkdir()
    (programs / "mv").symlink_to(shutil.which("mv") or "")
    done = subprocess.run([job, "token"], env={"PATH": str(programs)}, capture_output=True, text=True)
    logs = [path.read_text() for path in script_folder.rglob("stderr")]
    assert done.returncode == 0, (done.stderr, logs)
    loaded = next(script_folder.rglob("modules.json")).read_text()
    assert "b2luigi.batch.node.runner" in loaded
    assert [name for name in (*HEAVY, *ROOMS) if f'"{name}"' in loaded] == []
    assert "not found" not in "".join(logs)
