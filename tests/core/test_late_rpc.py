"""A node leaves out what its task does not need, and nobody can tell."""

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

HEAVY = ("luigi.rpc", "requests", "tenacity", "tornado", "asyncio", "urllib3", "colorama", "parse", "b2luigi.cli.modes")
"""What a node does not load, nor any of these: a batch system, the worker of the submit host."""
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
    """What the script calls by this name has the same task id."""

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
    """What Python prints where a job script has started it."""
    env = {**os.environ, SCRIPT_VARIABLE: "/somewhere/executable_wrapper.sh"}
    words = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    "question",
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
def test_nobody_can_tell(question: str) -> None:
    """On a node luigi answers as it does everywhere."""
    assert on_a_node(f"import b2luigi, luigi; print({question})") == "True"


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
def test_whoever_asks_for_the_client_gets_it(before: str, first: str) -> None:
    """However the client is asked for, and whoever is imported first, there is one client for all."""
    told = on_a_node(
        f"{before}\n{first}\nimport luigi, sys\n"
        "print(luigi.RPCError is luigi.interface.rpc.RPCError is luigi.rpc.RPCError)"
    )
    assert told == "True"


def test_elsewhere_luigi_is_left_alone() -> None:
    """Without a job script luigi is imported as it always is."""
    env = {name: value for name, value in os.environ.items() if name != SCRIPT_VARIABLE}
    code = "import b2luigi, sys; print('luigi' in sys.modules); b2luigi.Task; print('luigi.rpc' in sys.modules)"
    words = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.split() == [
        "False",
        "True",
    ]


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_what_a_node_loads(tmp_path: Path, script_folder: Path, shell: str) -> None:
    """A job script that is there for one leaf loads no client, no display, no batch system; it needs `mv` only."""
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
