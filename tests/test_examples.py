"""The examples run as their texts say."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import b2luigi
from tests.end_to_end.project import Project, end_of
from tests.machine import PATH
from tests.snippets import snippets
from tests.standins.apptainer import put_apptainer, put_image, python_mounts, why_not_real
from tests.transcript import Person, Step, same, steps
from tests.waiting import PATIENCE, until

EXAMPLES = Path(__file__).parent.parent / "examples"
LOCAL = (
    "quick_start.py",
    "parameter_scan.py",
    "dynamic_requirements.py",
    "short_tasks.py",
    "carried_files/carried_files.py",
    "own_batch_process.py",
)
"""Examples that run on any machine as they are."""
PRINTED = ("stream", "execute_result", "error")
"""Messages of a kernel that a notebook shows."""
BY_SPEED = r"^INFO: (Submitted|[\d,]+ of [\d,]+ tasks done).*\n"
"""Lines that a run logs when it has submitted jobs, and if it takes long."""
PROGRAM = "#!{python}\nfrom toybatch.commands import {function}\n{function}()\n"
ENTRY_POINTS = "[b2luigi.batch_systems]\ntoy = toybatch.language:Toy\n"
PROGRAMS = {"toysub": "submit", "toystat": "status", "toydel": "delete"}


class Example(Project):
    """A copy of an example."""

    def __init__(self, name: str, folder: Path, env: dict[str, str] | None = None) -> None:
        super().__init__(folder, env or {})
        if (EXAMPLES / name).is_dir():
            shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True)
        else:
            shutil.copy(EXAMPLES / name, folder)


@pytest.fixture
def toy(tmp_path: Path) -> Example:
    """The example package, as if it were installed (CI installs it for real), and its batch system."""
    site, programs = tmp_path / "site", tmp_path / "bin"
    shutil.copytree(EXAMPLES / "own_batch_system" / "toybatch", site / "toybatch")
    (site / "toybatch-1.0.dist-info").mkdir()
    (site / "toybatch-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toybatch\nVersion: 1.0\n")
    (site / "toybatch-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    programs.mkdir()
    for name, function in PROGRAMS.items():
        (programs / name).write_text(PROGRAM.format(python=sys.executable, function=function))
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    python_path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    env = {"PYTHONPATH": python_path, "PATH": path, "TOYBATCH": str(tmp_path / "jobs")}
    return Example("own_batch_system", tmp_path / "project", env)


def said_in(path: Path) -> list[Step]:
    """The commands in the docstring of an example, each with what comes out."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return steps("\n".join(line[4:] for line in text.splitlines() if line.startswith("    ")))


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody in a copy of the source, in which nothing has run yet."""
    made = shutil.ignore_patterns("results", "logs", "task_files", "carried", "__pycache__")
    shutil.copytree(EXAMPLES, tmp_path / "b2luigi" / "examples", ignore=made)
    return Person(tmp_path / "b2luigi", "/home/me/b2luigi")


@pytest.mark.parametrize("name", LOCAL)
def test_commands_give_what_the_example_says(name: str, person: Person) -> None:
    """To the letter, but for times, ids and folders."""
    for step in said_in(EXAMPLES / name):
        person.follows(step)


def test_the_quick_start_without_jobs(tmp_path: Path) -> None:
    """One task after the other, in the process of the script."""
    example = Example("quick_start.py", tmp_path / "project")
    ended = example.run(name="quick_start.py")
    assert "* 11 ran successfully:" in ended.text, ended.text
    assert (example.folder / "results" / "average.txt").exists()


def test_a_new_point_of_a_scan(person: Person) -> None:
    """Only its tasks run."""
    script = person.folder / "examples" / "parameter_scan.py"
    small = script.read_text().replace("LIFETIMES = [1.0, 2.0]", "LIFETIMES = [1.0]").replace("PARTS = 3", "PARTS = 1")
    script.write_text(small)
    assert "All 5 tasks done" in person.types("python examples/parameter_scan.py --batch")[1]
    svg = person.folder / "examples/results/parameter_scan/scan.svg"
    assert len(list(ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}circle"))) == 2
    svg.unlink()
    script.write_text(small.replace("LIFETIMES = [1.0]", "LIFETIMES = [1.0, 0.5]"))
    assert "All 7 tasks done" in person.types("python examples/parameter_scan.py --batch")[1]
    assert len(list(ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}circle"))) == 4


def test_containers(person: Person, tmp_path: Path) -> None:
    """With the image of a site, and settings for this machine. Without an image, nothing runs outside of it."""
    script = EXAMPLES / "containers" / "containers.py"
    code, text = person.types(said_in(script)[0].command)
    assert code == 1
    assert "/cvmfs/belle.example.org/images/el9.sif" in text
    settings = {
        **json.loads((script.parent / "settings.json").read_text()),
        "apptainer_image": str(put_image(tmp_path / "image.sif")),
        "apptainer_cmd": str(put_apptainer(tmp_path / "programs", "bare" if why_not_real() else "real")),
        "apptainer_mounts": python_mounts(),
        "executable": [sys.executable],
        "env": {"PYTHONPATH": str(Path(b2luigi.__file__).parents[1])},
    }
    (person.folder / "examples" / "containers" / "settings.json").write_text(json.dumps(settings))
    for step in said_in(script):
        person.follows(step)


def test_the_page_on_notebooks_shows_the_first_cells_of_the_example() -> None:
    """To the letter."""
    notebook = json.loads((EXAMPLES / "notebook" / "notebook.ipynb").read_text())
    first, second = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"][:2]
    (shown,) = [snippet.text for snippet in snippets("text") if snippet.page.name == "notebooks.md"]
    assert shown == f"{first}\n\n{second}\n"


@pytest.mark.filterwarnings("ignore")
def test_the_notebook(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell prints and returns what is saved with it."""
    folder = person.folder / "examples" / "notebook"
    monkeypatch.setenv("IPYTHONDIR", str(person.folder / "ipython"))
    from jupyter_client.manager import start_new_kernel

    notebook = json.loads((folder / "notebook.ipynb").read_text())
    manager, client = start_new_kernel(cwd=str(folder))
    try:
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                messages: list[Any] = []
                client.execute_interactive("".join(cell["source"]), timeout=PATIENCE, output_hook=messages.append)
                contents = [message["content"] for message in messages if message["msg_type"] in PRINTED]
                saved = [{**output, "text": "".join(output.get("text", ""))} for output in cell["outputs"]]
                assert _printed(person, contents) == _printed(person, saved), contents
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _printed(person: Person, outputs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What a cell printed and returned. How many jobs are submitted at once depends on how fast the machine is."""
    found: dict[str, str] = {}
    for output in outputs:
        name = output.get("name") or ("returned" if "data" in output else "error")
        text = output["data"]["text/plain"] if "data" in output else output.get("text")
        found[name] = found.get(name, "") + ("".join(text) if text else str(output))
    folder = str(person.folder / "examples")
    return {
        name: same(re.sub(BY_SPEED, "", text.replace(folder, "/home/me"), flags=re.MULTILINE))
        for name, text in found.items()
    }


def test_the_index_names_every_example() -> None:
    """And each script says what it shows, how to run it, and what comes out."""
    index = (EXAMPLES / "README.md").read_text()
    scripts = [path for path in EXAMPLES.rglob("*.py") if "__main__" in path.read_text()]
    assert {*LOCAL, "own_batch_system/example.py", "containers/containers.py"} == {
        str(path.relative_to(EXAMPLES)) for path in scripts
    }
    for path in [*scripts, *EXAMPLES.rglob("*.ipynb")]:
        assert f"({path.relative_to(EXAMPLES)})" in index
    assert all(len(said_in(path)) in (1, 2) for path in scripts)
    for link in re.findall(r"\]\(([^)]+)\)", index):
        assert (EXAMPLES / link).exists(), link


def test_the_example_of_an_own_batch_system(toy: Example) -> None:
    """What its docstring says, in its folder."""
    person = Person(toy.folder, "/home/me/b2luigi/examples/own_batch_system", toy.env)
    for step in said_in(EXAMPLES / "own_batch_system" / "example.py"):
        person.follows(step)


@pytest.mark.parametrize("named", [True, False])
def test_a_language_of_ones_own(toy: Example, named: bool) -> None:
    """By its name, and found by "auto" where its program is the only one."""
    script = toy.folder / "example.py"
    if not named:
        script.write_text(script.read_text().replace('b2luigi.set_setting("batch_system", "toy")', "pass"))
    ended = toy.run(name="example.py")
    assert "* 6 ran successfully:" in ended.text, ended.text
    assert toy.read("results/sum.txt") == "30"
    assert {record["batch_system"] for record in toy.records()} == {"toy"}


def test_containers_in_a_language_of_ones_own(toy: Example, tmp_path: Path) -> None:
    """The job script enters the container, so that a language need not know of it."""
    settings = {
        "apptainer_image": str(put_image(tmp_path / "image.sif")),
        "apptainer_cmd": str(put_apptainer(tmp_path / "programs", "bare")),
        "env": {"PYTHONPATH": str(Path(b2luigi.__file__).parents[1])},
    }
    (toy.folder / "settings.json").write_text(json.dumps(settings))
    script = toy.folder / "example.py"
    is_outside = "('TOYBATCH' in __import__('os').environ)"  # the container clears the environment
    script.write_text(script.read_text().replace("self.n**2", f"self.n**2 + 1000 * {is_outside}"))
    ended = toy.run(name="example.py")
    assert "* 6 ran successfully:" in ended.text, ended.text
    assert toy.read("results/sum.txt") == "30"


def test_a_language_of_ones_own_reports_what_went_wrong(toy: Example) -> None:
    """A failed task is reported with its job id; the others are done."""
    script = toy.folder / "example.py"
    script.write_text(script.read_text().replace("self.n**2", "1 / (self.n - 2)"))
    ended = toy.run(name="example.py")
    (story,) = ended.stories.values()
    assert "Task Number failed: ZeroDivisionError" in story
    assert "toy job " in story
    assert "* 4 ran successfully:" in ended.text


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ('__import__("os")._exit(0)', "the program ended with exit code 0 in the middle of the task"),
        ("exec('raise KeyboardInterrupt')", "KeyboardInterrupt"),
    ],
)
def test_odd_ends_in_a_language_of_ones_own(toy: Example, what: str, words: str) -> None:
    """They are judged as everywhere: it is the job script that notices them."""
    script = toy.folder / "example.py"
    script.write_text(script.read_text().replace("self.n**2", f"({what} if self.n == 2 else self.n**2)"))
    ended = toy.run(name="example.py")
    (story,) = ended.stories.values()
    assert f"Task Number failed: {words}" in story
    assert "* 4 ran successfully:" in ended.text


def test_a_signal_before_the_task_in_a_language_of_ones_own(toy: Example) -> None:
    """The job is submitted again."""
    script = toy.folder / "example.py"
    toy.touch("env.sh")
    (toy.folder / "env.sh").write_text("if mkdir shot 2> /dev/null; then kill -USR2 $$; fi\n")
    script.write_text(
        script.read_text().replace(
            "b2luigi.process(", 'b2luigi.set_setting("env_script", "env.sh")\n    b2luigi.process('
        )
    )
    ended = toy.run(name="example.py")
    assert ended.text.count("Retrying (1 of ") == 1, ended.text
    assert "* 6 ran successfully:" in ended.text, ended.text


def test_a_program_that_does_not_end_in_a_language_of_ones_own(toy: Example) -> None:
    """It is stopped after result_grace."""
    script = toy.folder / "example.py"
    lingers = "__import__('threading').Thread(target=__import__('time').sleep, args=(1000,)).start()"
    text = script.read_text().replace("self.n**2", f"(self.n**2, {lingers} if self.n == 2 else None)[0]")
    script.write_text(text.replace("b2luigi.process(", 'b2luigi.set_setting("result_grace", 4)\n    b2luigi.process('))
    ended = toy.run(name="example.py")
    assert "* 6 ran successfully:" in ended.text, ended.text


def test_tasks_share_a_job_in_a_language_of_ones_own(toy: Example) -> None:
    """Its language need not know of that: a task that is shot is tried again, and with a job goes what has begun."""
    script = toy.folder / "example.py"
    shot = "__import__('os').path.exists(f'healed-{self.n}') or self._shoot()"
    shoot = """    def _shoot(self):
        import os, time
        open(f"healed-{self.n}", "w").close()
        if self.n in (1, 3):
            os.kill({1: os.getpid(), 3: os.getppid()}[self.n], 9)
            time.sleep(100)

    def output(self):
"""
    settings = "tasks_per_job = 5\n    priority = property(lambda self: -self.n)"
    text = script.read_text().replace('job_name = "numbers"', settings)
    text = text.replace("self.n**2", f"({shot}, self.n**2)[1]").replace("    def output(self):\n", shoot, 1)
    text = text.replace("class Sum(b2luigi.Task):", "class Sum(b2luigi.Task):\n    priority = -9")
    script.write_text(text)
    ended = toy.run(name="example.py")
    assert "* 6 ran successfully:" in ended.text, ended.text
    assert toy.read("results/sum.txt") == "30"
    attempts = [record["attempt"] for record in toy.records() if "pack" in record]
    assert sorted(attempts) == [1, 1, 1, 1, 1, 2, 2, 2]
    assert len({record["pack"] for record in toy.records() if "pack" in record}) <= 3


def test_a_language_of_ones_own_leaves_no_job_behind(toy: Example) -> None:
    """Ctrl-C cancels the jobs of the toy, too."""
    script = toy.folder / "example.py"
    script.write_text(
        script.read_text().replace(
            "with open(self.get_output", "import time; time.sleep(1000)\n        with open(self.get_output"
        )
    )
    process = toy.start(name="example.py")
    jobs = Path(toy.env["TOYBATCH"])
    until(lambda: len(list(jobs.glob("*/pid"))) == 5, "the jobs are there")
    pids = [int(path.read_text()) for path in jobs.glob("*/pid")]
    process.send_signal(signal.SIGINT)
    assert end_of(process).rc == 130
    until(lambda: not any(Path("/proc", str(pid)).exists() for pid in pids), "no process is left")


def test_the_tests_know_this_machine() -> None:
    """A PATH of links stands for a machine without batch systems; the real one is kept."""
    assert shutil.which("python3", path=PATH)
    assert not shutil.which("sbatch")
