"""The ways in which users start scripts, and what scripts do besides one call of `process`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import local
from tests.end_to_end.project import FAST, Project, end_of

PART = """
    class Part(b2luigi.Task):
        n = b2luigi.IntParameter(default=1)
        bad = b2luigi.BoolParameter(default=False, significant=False)
        def output(self):
            yield self.add_to_output("part.txt")
        def run(self):
            if self.bad:
                raise ValueError("it is bad")
            with open(self.get_output_file_name("part.txt"), "w") as f:
                f.write(f"{os.getpid()} {sys.argv[1:]}")
        def remove_output(self):
            self._remove_output()
"""
RETCODES = "[retcode]\ntask_failed = 30\nmissing_data = 20\nscheduling_error = 35\nnot_run = 25\n"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with local(tmp_path) as system:
        yield Project(tmp_path / "a project", system.env)


def write(project: Project, text: str, name: str = "analysis.py") -> None:
    project.write(textwrap.dedent(PART) + textwrap.dedent(text), name)


TWICE = """
    if not b2luigi.process(Part(n=1), batch=True):
        sys.exit("the first call failed")
    first = open(Part(n=1).get_output_file_name("part.txt")).read()
    class Later(Part):
        first = b2luigi.Parameter(significant=False)
    found = b2luigi.process(Later(n=2, first=first), batch=True, detailed_summary=True)
    assert found.status == b2luigi.LuigiStatusCode.SUCCESS
    b2luigi.process([Part(n=1), Part(n=3)], batch=True)
    print("three calls")
"""


def test_several_calls(project: Project) -> None:
    """Each call of process runs its own tasks, with the results of earlier ones; a node uses the same call."""
    write(project, TWICE)
    ended = project.run()
    assert ended.rc == 0, ended.text
    assert ended.text.count("three calls") == 1
    made = {path.parent.name for path in project.folder.glob("n=*/part.txt")}
    assert made == {"n=1", "n=2", "n=3"}
    assert len(project.records()) == 3
    assert project.inboxes() == []


def test_a_call_that_a_node_does_not_make(project: Project) -> None:
    """If the script does not make the call on the node, the task fails and its log says why."""
    write(
        project,
        """
        b2luigi.process(Part(n=1), batch=True)
        if "--batch-runner" not in sys.argv:
            b2luigi.process(Part(n=2), batch=True)
        """,
    )
    ended = project.run()
    assert "ended on the node before its call number 2 of process()" in ended.text
    assert list(ended.stories) == [task_id for task_id in ended.stories if task_id.startswith("Part_2")]
    assert len(ended.stories) == 1


def test_a_dispatched_task_that_cannot_have_a_job_script(project: Project) -> None:
    """Refused like a job, in one sentence, before any task runs."""
    write(
        project,
        """
        class Dispatched(b2luigi.DispatchableTask):
            executable_prefix = ["nice -n 5"]
            def output(self):
                yield self.add_to_output("dispatched.txt")
        b2luigi.process([Part(n=1), Dispatched()], log_level="WARNING")
        """,
    )
    ended = project.run()
    assert ended.rc == 1
    assert ended.text.startswith("Nothing was started. executable_prefix (attribute of the task Dispatched): ")
    assert len(ended.text.splitlines()) == 1
    assert not (project.folder / "n=1").exists()


def test_a_refused_run_does_not_count_its_tasks(project: Project) -> None:
    """The reason is all it prints, not "All 0 tasks done" before it."""
    write(
        project,
        """
        Part.batch_system = "local"
        Part.requires = lambda self: "x.root"
        b2luigi.process(Part(n=1), batch=True)
        """,
    )
    ended = project.run()
    assert ended.rc == 1
    assert ended.text == "Nothing was started. requires() of Part(n=1) needs a task, not 'x.root'.\n"


def test_dispatch_in_a_later_call(project: Project) -> None:
    """A task dispatched in the second call is found by its own process."""
    write(
        project,
        """
        b2luigi.process(Part(n=1))
        class Dispatched(b2luigi.DispatchableTask):
            def output(self):
                yield self.add_to_output("dispatched.txt")
            def process(self):
                open(self.get_output_file_name("dispatched.txt"), "w").close()
        b2luigi.process(Dispatched())
        """,
    )
    ended = project.run()
    assert (project.folder / "dispatched.txt").exists(), ended.text


PACKAGE = """
    from .tools import Part
    if __name__ == "__main__":
        b2luigi.process(Part(), batch=True)
"""


@pytest.mark.parametrize("module", ["package.analysis", "package", "package.inner.deep"])
def test_a_module_of_a_package(project: Project, module: str) -> None:
    """`python -m package.script` with relative imports: jobs run the same module from any folder."""
    inner = project.folder / "package" / "inner"
    inner.mkdir(parents=True)
    (inner / "__init__.py").touch()
    (inner.parent / "__init__.py").touch()
    write(project, "", "package/tools.py")
    name = {"package": "package/__main__.py"}.get(module, module.replace(".", "/") + ".py")
    project.write(PACKAGE.replace(".tools", "..tools") if "inner" in module else PACKAGE, name)
    ended = end_of(project.start_python("-m", module))
    assert ended.rc == 0, ended.text
    (made,) = project.folder.rglob("part.txt")
    assert "--batch-runner" in made.read_text()


@pytest.mark.parametrize("words", [["../app"], ["../app.pyz"], ["../app/program"], ["-m", "analysis"]], ids=" ".join)
def test_ways_to_start_that_follow_the_current_folder(project: Project, words: list[str]) -> None:
    """A folder, a zipapp, a script without suffix, a module found elsewhere: jobs write where the submit host looks."""
    app, current = project.folder / "app", project.folder / "current"
    app.mkdir()
    current.mkdir()
    write(project, "b2luigi.process(Part(), batch=True)", "app/analysis.py")
    for name in ("__main__.py", "program"):
        shutil.copy(app / "analysis.py", app / name)
    with zipfile.ZipFile(project.folder / "app.pyz", "w") as archive:
        archive.write(app / "__main__.py", "__main__.py")
    project.env["PYTHONPATH"] = os.pathsep.join([str(app), *filter(None, [project.env.get("PYTHONPATH")])])
    ended = end_of(project.start_python(*words, cwd=current))
    assert "* 1 ran successfully:" in ended.text, ended.text
    assert [path.parent.parent for path in project.folder.rglob("part.txt")] == [current]


def test_a_script_with_its_own_parser(project: Project) -> None:
    """On the node, the script gets its own arguments, before b2luigi's; `process` can ignore them."""
    write(
        project,
        """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("words", nargs="*")
        parser.add_argument("--number", type=int)
        found = parser.parse_known_args()[0]
        assert found.words == ["two words"]
        b2luigi.process(Part(n=found.number), ignore_additional_command_line_args=True)
        """,
    )
    ended = project.run("two words", "--number", "7", "--batch")
    assert ended.rc == 0, ended.text
    assert "['two words', '--number', '7', '--batch-runner', " in project.read("n=7/part.txt")


def test_an_unknown_flag_runs_nothing(project: Project) -> None:
    """For a typo in a flag, the script exits with code 2 and names it."""
    write(project, "b2luigi.process(Part())")
    ended = project.run("--bach")
    assert ended.rc == 2
    assert "unrecognized arguments: --bach" in ended.text
    assert list(project.folder.iterdir()) == [project.folder / "analysis.py"]


@pytest.mark.parametrize("batch", [[], ["--batch"]])
@pytest.mark.parametrize(
    ("root", "config", "code"),
    [
        ("Part(bad=True)", "", 0),
        ("Part(bad=True)", RETCODES, 30),
        ("Missing()", RETCODES, 20),
        ("Broken()", RETCODES, 35),
        ("Part()", RETCODES, 0),
    ],
)
def test_the_exit_code_is_luigis(project: Project, batch: list[str], root: str, config: str, code: int) -> None:
    """Without a section [retcode] it is always 0; otherwise it is the configured code."""
    write(
        project,
        f"""
        class Missing(b2luigi.ExternalTask):
            def output(self):
                return luigi.LocalTarget("nowhere.txt")
        class Broken(Part):
            def complete(self):
                raise OSError("no such disk")
        print("returned", b2luigi.process({root}))
        """,
    )
    (project.folder / "luigi.cfg").write_text(config)
    ended = project.run(*batch)
    assert ended.rc == code, ended.text
    assert ("returned" in ended.text) is (code == 0)


@pytest.mark.parametrize(("root", "returned"), [("Part()", "True"), ("Part(bad=True)", "False")])
@pytest.mark.parametrize("batch", [True, False])
def test_what_process_returns(project: Project, root: str, returned: str, batch: bool) -> None:
    """It returns the result of luigi.build: whether everything succeeded."""
    write(project, f"print('returned', b2luigi.process({root}, batch={batch}))")
    assert f"returned {returned}\n" in project.run().text


def test_removed_tasks_run_again(project: Project) -> None:
    """After --remove, --dry-run lists them and the next run has a new job for them; both exit with 0."""
    write(project, "b2luigi.process([Part(n=1), Part(n=2)])")
    project.run("--batch")
    before = project.read("n=1/part.txt")
    removed = project.run("--remove", "Part", "-y")
    assert (removed.rc, list(project.folder.glob("n=*/part.txt"))) == (0, [])
    listed = project.run("--dry-run")
    assert (listed.rc, listed.text.splitlines()[-1]) == (0, "2 tasks to run.")
    assert "progress looks :)" in project.run("--batch").text
    assert project.read("n=1/part.txt") != before


@pytest.mark.parametrize(
    ("arguments", "flags", "left"),
    [
        ("remove=['Part']", ["-y"], []),
        ("", ["--remove", "Part", "--yes"], []),
        ("remove=['Part'], keep_tasks=['Top'], auto_confirm=True", [], ["n=2"]),
        ("auto_confirm=True", ["--remove=Part,Top", "--keep=Top"], ["n=2"]),
        ("remove_only=['Top'], auto_confirm=True", [], ["n=1"]),
        ("", ["--remove-only", "Top", "-y"], ["n=1"]),
        ("", ["--remove", "Part"], ["n=1", "n=2"]),
    ],
)
def test_removing_by_flags_and_by_arguments(
    project: Project, arguments: str, flags: list[str], left: list[str]
) -> None:
    """All flags for removal are also arguments; the script exits afterwards. Nobody answers the question here."""
    write(
        project,
        f"""
        class Top(Part):
            def requires(self):
                return Part()
        b2luigi.process(Top(n=2), {arguments})
        print("not to be reached")
        """,
    )
    for n in (1, 2):
        (project.folder / f"n={n}").mkdir()
        (project.folder / f"n={n}" / "part.txt").touch()
    ended = project.run(*flags)
    assert ended.rc == (1 if len(left) == 2 else 0), ended.text
    assert "not to be reached" not in ended.text
    assert sorted(path.parent.name for path in project.folder.glob("n=*/part.txt")) == left


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--test", "--scheduler-host", "h"], "Dry runs and tests do not use a central scheduler"),
        (["--dry-run", "--scheduler-port", "1"], "Dry runs and tests do not use a central scheduler"),
        (["--batch-runner"], "--batch-runner needs --task-id"),
        (["--scheduler-port", "x"], "--scheduler-port must be a number, not 'x'."),
        (["--batch-runner", "--task-id", "Part_2_x"], "Similar ids: Part_1_"),
        (["--remove", "Pat"], "No task of this graph is named Pat; nothing was removed. Did you mean Part?"),
    ],
    ids=" ".join,
)
def test_invalid_flags(project: Project, flags: list[str], message: str) -> None:
    """The error explains the problem, nothing runs, and the script fails."""
    write(project, "b2luigi.process(Part())")
    ended = project.run(*flags)
    assert ended.rc == 1
    assert message in ended.text
    assert "Traceback" not in ended.text
    assert list(project.folder.glob("n=*")) == []


NOTEBOOK = f"""
import os, sys, time
sys.argv = ["ipykernel_launcher.py", "-f", "kernel.json"]
import b2luigi, luigi
{FAST}
"""


def without_script(project: Project, text: str, *words: str) -> str:
    """The output of Python without a script file."""
    text = NOTEBOOK + textwrap.dedent(PART) + text
    words = tuple(text if word == "TEXT" else word for word in words)
    stdin = text if words == ("-",) else ""
    ended = subprocess.run(
        [sys.executable, *words], input=stdin, cwd=project.folder, env=project.env, capture_output=True, text=True
    )
    return ended.stdout + ended.stderr


def test_a_notebook(project: Project) -> None:
    """A session without a script runs tasks locally and ignores its own command line."""
    printed = without_script(project, "print('returned', b2luigi.process(Part()))", "-c", "TEXT")
    assert "returned True" in printed, printed
    assert (project.folder / "n=1" / "part.txt").exists()


@pytest.mark.parametrize("words", [["-c", "TEXT"], ["-"]], ids=" ".join)
def test_no_batch_in_a_notebook(project: Project, words: list[str]) -> None:
    """Nodes cannot run tasks that are in no file, so batch is rejected with advice."""
    text = "sys.argv[1:] = []\nb2luigi.process(Part(), batch=True)"
    printed = without_script(project, text, *words)
    assert "Nothing was started. Part: a task that is defined in a cell, in a session or in `python -c`" in printed
    assert "Traceback" not in printed, printed
    assert list(project.folder.iterdir()) == []


@pytest.mark.parametrize("batch", [True, False])
def test_a_deep_graph_that_fails_at_its_bottom(project: Project, batch: bool) -> None:
    """If 10,000 tasks in a chain wait for one that failed, luigi's summary counts them all."""
    write(
        project,
        f"""
        class Link(Part):
            def requires(self):
                return type(self)(n=self.n - 1) if self.n else Part(n=-1, bad=True)
        b2luigi.process(Link(n=9998), batch={batch})
        """,
    )
    ended = project.run()
    assert ended.rc == 0
    assert "RecursionError" not in ended.text
    summary = ended.text.partition("===== Luigi Execution Summary =====")[2]
    assert "Scheduled 10000 tasks of which:\n* 1 failed:\n    - 1 Part(n=-1" in summary, summary
    assert "* 9999 had failed dependencies:\n        - 9999 Link(" in summary
