"""Runs for which nodes have no script: of a session, a notebook, and projects of tasks.py."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import SYSTEMS, System
from tests.end_to_end.project import FAST, WAIT_FOR, Ended, Project, end_of
from tests.waiting import PATIENCE, until

STEPS = f"""
import os, time
import b2luigi
{WAIT_FOR}
class Part(b2luigi.Task):
    n = b2luigi.IntParameter()
    bad = b2luigi.BoolParameter(default=False)
    other = b2luigi.IntParameter(default=None)
    go = ""
    def output(self):
        yield self.add_to_output("part.txt")
    def run(self):
        if self.go:
            open(f"started-{{self.n}}", "w").close()
            wait_for(self.go)
        if self.bad:
            raise ValueError("no such data")
        with open(self.get_output_file_name("part.txt"), "w") as file:
            file.write(str(self.n))

class Slow(Part):
    go = "go"

class Both(b2luigi.WrapperTask):
    n = b2luigi.IntParameter(default=5)
    def requires(self):
        return [Part(n=self.n), Slow(n=self.n)]
"""
IN_CI = pytest.mark.parametrize("system", SYSTEMS[:2], indirect=True)
"""On a real cluster, job scripts run as with a script."""
SETTINGS = f"import b2luigi\n{FAST}b2luigi.set_setting('result_dir', 'results')\n"


def command(project: Project, *words: str, cwd: Path | None = None) -> Ended:
    """Runs the command `b2luigi`."""
    return end_of(project.start_python("-m", "b2luigi", *words, cwd=cwd))


def parts(folder: Path) -> list[str]:
    """The contents of the outputs below a folder."""
    return sorted(path.read_text() for path in folder.rglob("part.txt"))


@IN_CI
def test_a_session(project: Project, system: System) -> None:
    """Somebody calls process() again and again: each call returns, and what cannot run is refused in a sentence.

    Settings that were set in the session count on the nodes, which import the module from where the session did.
    """
    (project.folder / "lib").mkdir()
    (project.folder / "lib" / "steps.py").write_text(STEPS)
    lines = f"""{SETTINGS}
import sys; sys.path.insert(0, "lib")
from steps import Part
print("first:", b2luigi.process([Part(n=n) for n in range(3)], batch=True))
print("second:", b2luigi.process(Part(n=7, bad=True), batch=True))
class Here(Part): pass

b2luigi.process(Here(n=8), batch=True)
print("third:", b2luigi.process(Part(n=9), batch=True))
print("fourth:", b2luigi.process(Part(n=10), dry_run=True))
"""
    ended = subprocess.run(
        [sys.executable, "-i", "-q"], input=lines, cwd=project.folder, env=project.env, capture_output=True, text=True
    )
    printed = ended.stdout + ended.stderr
    for words in ("first: True", "second: False", "no such data", "third: True", "fourth: True"):
        assert words in printed, printed
    assert "Nothing was started. Here: a task that is defined in a cell, in a session" in printed
    assert parts(project.folder / "results") == ["0", "1", "2", "9"]
    assert {record["batch_system"] for record in project.records()} == {system.name}
    assert "exit code" not in printed


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Callable[[str], tuple[str, str]]]]:
    """A kernel of Jupyter, and a function that runs a cell: returns the name of the error, and all that is printed."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    from jupyter_client.manager import start_new_kernel

    (tmp_path / "steps.py").write_text(STEPS)
    manager, client = start_new_kernel(cwd=str(tmp_path))

    def run(cell: str) -> tuple[str, str]:
        printed: list[str] = []
        reply = client.execute_interactive(
            cell, timeout=PATIENCE, output_hook=lambda message: printed.append(str(message["content"]))
        )
        return reply["content"].get("ename", ""), "".join(printed).replace("\\n", "\n")

    try:
        yield manager, run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("ignore")
def test_a_notebook(kernel: tuple[Any, Callable[[str], tuple[str, str]]], tmp_path: Path) -> None:
    """Jobs run, and a live block shows how far. A cell's own task is refused. Interrupting the kernel cancels the jobs,
    and the next cell works.
    """
    manager, run = kernel
    assert run(f"{SETTINGS}\nb2luigi.set_setting('batch_system', 'local')\nfrom steps import Part, Slow")[0] == ""
    error, printed = run("assert b2luigi.process(Part(n=1), batch=True)")
    assert error == ""
    live = [line for line in printed.split("{'data'") if "'display_id'" in line]
    # One output, which is drawn over and over again; the job may be over before the next time.
    assert re.search("Checking the tasks|of 1 tasks done", "".join(live)), printed
    assert len({re.search(r"'display_id': '(\w+)'", line)[1] for line in live}) == 1  # type: ignore[index]
    assert "{'text/plain': ''}" in live[-1]
    assert run("assert b2luigi.process(Part(n=2, bad=True), batch=True) is False")[0] == ""
    error, printed = run("class Cell(Part): pass\nb2luigi.process(Cell(n=3), batch=True)")
    assert error == "BadInputError"
    assert "Nothing was started. Cell: a task that is defined in a cell" in printed
    pid = manager.provisioner.pid
    interrupter = subprocess.Popen(
        [sys.executable, "-c", "import os, sys, time\nwhile not os.path.exists('started-4'): time.sleep(0.1)\n"
         f"os.kill({pid}, {int(signal.SIGINT)})"],
        cwd=tmp_path,
    )  # fmt: skip
    error, printed = run("b2luigi.process(Slow(n=4), batch=True)")
    assert interrupter.wait(PATIENCE) == 0
    assert error == "KeyboardInterrupt"
    assert "Cancelled 1 job." in printed
    assert run("assert b2luigi.process(Part(n=5), batch=True)")[0] == ""
    assert parts(tmp_path) == ["1", "5"]


def write_project(project: Project) -> None:
    """A tasks.py that imports another module, and a parameters.py."""
    (project.folder / "steps.py").write_text(STEPS)
    (project.folder / "tasks.py").write_text(f"{SETTINGS}from steps import Both, Part, Slow\n")
    config = 'config = {"n": ParameterGenerator([1, 2]), "unused": 3}'
    (project.folder / "parameters.py").write_text(f"from b2luigi import ParameterGenerator\n{config}\n")


@IN_CI
def test_a_project(project: Project, system: System, tmp_path: Path) -> None:
    """Started from another folder; paths are relative to the task file. Other commands know its tasks.

    The files of jobs are not removed while they may be needed, nor ever a file that is not b2luigi's.
    """
    write_project(project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = ("-m", "b2luigi", "run", "Slow", "-f", "../project/tasks.py")
    first = project.start_python(*run, cwd=elsewhere)
    until(lambda: all((project.folder / f"started-{n}").exists() for n in (1, 2)), "both jobs run")
    ended = command(project, "cleanup", "-y")
    assert ended.rc == 1
    assert "Nothing was removed: a run is alive: process" in ended.text

    first.send_signal(signal.SIGKILL)
    first.wait()
    ended = command(project, "cleanup", "Slow", "-y")
    assert ended.rc == 1
    assert "2 of the tasks have jobs that may still be running" in ended.text

    project.touch("go")
    ended = end_of(project.start_python(*run, cwd=elsewhere))
    assert ended.rc == 0, ended.text
    assert parts(project.folder / "results") == ["1", "2"]
    assert {record["batch_system"] for record in project.records()} == {system.name}

    logs = next(project.folder.rglob("stderr")).parent
    (logs / "notes.txt").touch()
    assert command(project, "cleanup", "-y").rc == 0
    assert project.records() == []
    assert [path.name for path in logs.iterdir()] == ["notes.txt"]
    assert parts(project.folder / "results") == ["1", "2"]


def test_commands_of_a_project(tmp_path: Path) -> None:
    """What they list, and what they remove: after a question only, and no data that no task makes."""
    project = Project(tmp_path / "project", {})
    write_project(project)
    with open(project.folder / "tasks.py", "a") as file:
        file.write("print('noise')\nb2luigi.process(Part(n=99))  # a script, too; only `python tasks.py` runs this\n")
    listed = command(project, "tasks").text.replace("noise\n", "")
    assert [line.split()[:2] for line in listed.splitlines()[1:4]] == [
        ["Both", "steps"],
        ["Part", "steps"],
        ["Slow", "steps"],
    ]
    described = command(project, "tasks", "info", "Part").text
    assert ["n", "IntParameter", "(required)"] in [line.split() for line in described.splitlines()]

    assert "2 tasks to run." in command(project, "run", "Part", "--dry").text
    assert "Would run Part(n=3, bad=False, other=None)" in command(project, "run", "Part", "-d", "-p", "n=3").text
    ended = command(project, "run", "Part", "--no-batch", "-P", "n=4")
    assert ended.rc == 0, ended.text
    assert command(project, "run", "Part", "--no-batch", "-P", "n=5", "-P", "bad=true").rc == 1

    paths = command(project, "show", "Part", "-P", "n=4", "--paths").text.replace("noise\n", "").splitlines()
    assert paths == [str(project.folder / "results/n=4/bad=False/other=None/part.txt")]
    shown = command(project, "show", "Part", "-P", "n=4").text
    assert ("exists" in shown, "missing" in shown) == (True, False)
    assert "missing" in command(project, "show", "--details").text
    drawn = command(project, "graph", "Both", "-P", "n=4", "--status").text
    assert ("Both" in drawn, "Part" in drawn, "Slow" in drawn) == (True, True, True)
    assert command(project, "-V").text == command(project, "version").text

    asked = command(project, "remove", "Part", "-P", "n=4")
    assert (asked.rc, "cannot ask for confirmation" in asked.text) == (1, True)
    assert os.path.exists(paths[0])
    assert "No outputs to remove." in command(project, "remove", "-y", "-P", "n=4", "--keep", "Part,Slow,Both").text
    assert command(project, "remove", "Part", "-y", "-P", "n=4").rc == 0
    assert not os.path.exists(paths[0])
    assert list(project.folder.rglob("n=99")) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "Prat"), "has no task Prat. The nearest: Part"),
        (("run", "Part", "-P", "m=3"), "-P m: there is no such parameter. There are: bad, n, other"),
        (("run", "Part", "-P", "n"), "is given as -P name=value, not as n."),
        (("run", "Part", "-p", "no.py"), "There is no parameters file"),
        (("run", "Part", "-f", "no.py"), "no no.py in"),
        (("run", "tasks.py", "-P", "n=3"), "tasks.py is a script: "),
        (("show", "Part", "-f", "broken.py"), "SyntaxError"),
        (("show", "Needs", "-f", "needs.py", "--direct"), "Needs needs values of a, b: in parameters.py, or as -P a="),
    ],
)
def test_mistakes(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    """Each gets a sentence, and no traceback of b2luigi."""
    project = Project(tmp_path / "project", {})
    write_project(project)
    (project.folder / "broken.py").write_text("class Part(\n")
    needs = "import b2luigi\nclass Needs(b2luigi.Task):\n    a = b2luigi.Parameter()\n    b = b2luigi.Parameter()\n"
    (project.folder / "needs.py").write_text(needs)
    ended = command(project, *words)
    assert ended.rc == 1
    assert sentence in ended.text
    assert "b2luigi/cli" not in ended.text, ended.text


SCRIPT = """
import argparse, sys
parser = argparse.ArgumentParser()
parser.add_argument("-o")
parser.add_argument("-i")
parser.add_argument("words", nargs="*")
found = parser.parse_args()
with open(found.o, "w") as file:
    file.write(f"{found.i and open(found.i).read()} {found.words}")
sys.exit("fail" in found.words)
"""


def test_a_script_is_tried(tmp_path: Path) -> None:
    """Here and as a job; a script that fails leaves no output."""
    project = Project(tmp_path / "project", {})
    (project.folder / "steer.py").write_text(textwrap.dedent(SCRIPT))
    (project.folder / "in.txt").write_text("data")
    assert command(project, "test", "-s", "steer.py", "-o", "out.txt", "-i", "in.txt", "a", "b").rc == 0
    assert project.read("out.txt") == "data ['a', 'b']"
    ended = command(project, "test", "-s", "steer.py", "-o", "bad.txt", "--batch-system", "local", "fail")
    assert ended.rc == 1
    assert "steer.py ended with exit code 1." in ended.text
    job = command(project, "test", "-s", "steer.py", "-o", "job.txt", "--batch", "--setting", "log_dir=mine", "c")
    assert job.rc == 0, job.text
    assert project.read("job.txt") == "None ['c']"
    assert list((project.folder / "mine").rglob("stdout")) != []
    assert command(project, "test", "-s", "steer.py", "-o", "out.txt", "--force", "again").rc == 0
    assert project.read("out.txt") == "None ['again']"
    assert sorted(path.name for path in project.folder.glob("*.txt")) == ["in.txt", "job.txt", "out.txt"]
