"""The examples run as their texts say."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

import b2luigi
from tests.end_to_end.project import Project, end_of
from tests.machine import PATH
from tests.standins.apptainer import put_apptainer, put_image
from tests.waiting import until

EXAMPLES = Path(__file__).parent.parent / "examples"
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


@pytest.mark.parametrize("flags", [(), ("--batch",)])
def test_the_quick_start(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """With and without jobs the average is there."""
    example = Example("quick_start.py", tmp_path / "project")
    ended = example.run(*flags, name="quick_start.py")
    assert "* 11 ran successfully:" in ended.text, ended.text
    assert (example.folder / "results" / "average.txt").exists()


def test_a_scan_of_parameters(tmp_path: Path) -> None:
    """A measurement that is not precise enough gets the part it yields for, and all come together in one table."""
    example = Example("parameter_scan.py", tmp_path / "project")
    ended = example.run("--batch", name="parameter_scan.py")
    assert "* 10 ran successfully:" in ended.text, ended.text
    assert "lifetime 1.0, resolution 1.0: 1.01 +- 0.02 (4000 particles)" in ended.text
    (found,) = (example.folder / "results").rglob("scan.json")
    points = json.loads(found.read_text())
    assert [point["particles"] for point in points] == [2000, 4000, 2000, 2000]
    assert all(abs(point["mean"] - point["lifetime"]) < 3 * point["error"] for point in points)
    assert all(point["error"] <= 0.028 * point["mean"] for point in points)


def test_three_hooks(tmp_path: Path) -> None:
    """The classic way to a batch system of one's own."""
    example = Example("own_batch_process.py", tmp_path / "project")
    ended = example.run(name="own_batch_process.py")
    assert "* 3 ran successfully:" in ended.text, ended.text
    assert len(list((example.folder / "results").rglob("output.txt"))) == 3


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
    text = script.read_text().replace('job_name = "numbers"', 'job_name = "numbers"\n    tasks_per_job = 5')
    text = text.replace("self.n**2", f"({shot}, self.n**2)[1]").replace("    def output(self):\n", shoot, 1)
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
