"""Scripts that cannot work: the user reads one sentence, and no batch system hears of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.conftest import System, local
from tests.end_to_end.project import Project

GRAPHS = {
    "a circle": (
        """
    class A(b2luigi.Task):
        def requires(self):
            return B()
        def output(self):
            yield self.add_to_output("a")
    class B(A):
        def requires(self):
            return A()
        def output(self):
            yield self.add_to_output("b")
    b2luigi.process(A(), batch=BATCH)
        """,
        "A() -> B() -> A()",
    ),
    "a class": (
        """
    class A(b2luigi.Task):
        n = b2luigi.IntParameter()
    b2luigi.process(A, batch=BATCH)
        """,
        "process() needs an instance of a task: A(...), not the class A.",
    ),
    "values that cannot be part of a path": (
        """
    class A(b2luigi.Task):
        path = b2luigi.Parameter()
        def output(self):
            yield self.add_to_output("a")
        def run(self):
            pass
    class B(A):
        def requires(self):
            return A(path="/" + self.path)
    b2luigi.process([*(A(path=f"/data/{n}") for n in range(60)), B(path="x")], batch=BATCH)
        """,
        "A: the parameter 'path' has the value '/data/0', which is not a valid folder name. Define it with hashed=True "
        "to use a hash of the value in the path. The same holds for 60 more.",
    ),
    "a setting that requires() asks for": (
        """
    class A(b2luigi.Task):
        n = b2luigi.IntParameter()
        def requires(self):
            b2luigi.get_setting("energy")
        def output(self):
            yield self.add_to_output("a")
        def run(self):
            pass
    b2luigi.process([A(n=n) for n in range(60)], batch=BATCH)
        """,
        "No settings found for energy!",
    ),
    "a batch system that does not exist, of a requirement": (
        """
    class A(b2luigi.Task):
        def output(self):
            yield self.add_to_output(type(self).__name__)
        def requires(self):
            return Inner()
        def run(self):
            pass
    class Inner(A):
        batch_system = "slrum"
        def requires(self):
            return []
    b2luigi.process(A(), batch=BATCH or sys.exit("Did you mean 'slurm'?"))
        """,
        "Did you mean 'slurm'?",
    ),
}


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("graph", GRAPHS)
def test_a_graph_that_cannot_work(graph: str, batch: bool, tmp_path: Path) -> None:
    """The script ends with 1 and one line, with jobs and without; there is no traceback, and no job was prepared."""
    text, words = GRAPHS[graph]
    with local(tmp_path) as system:
        project = Project(tmp_path / "project", system.env)
        project.write(text.replace("BATCH", str(batch)))
        ended = project.run()
    assert ended.rc == 1
    assert words in ended.text.splitlines()[-1]
    assert "Traceback" not in ended.text
    assert list(project.folder.iterdir()) == [project.folder / "analysis.py"]


SAME = """
class First(b2luigi.Task):
    def output(self):
        yield self.add_to_output("same.txt")
    def run(self):
        open(self.get_output_file_name("same.txt"), "w").close()
class Second(First):
    pass
b2luigi.process([First(), Second()], batch=True)
"""


def test_a_batch_system_does_not_hear_of_it(system: System, project: Project) -> None:
    """Two tasks that write the same file: nothing is submitted, whatever the batch system is."""
    project.write(SAME)
    ended = project.run()
    assert ended.rc == 1
    assert "First() and Second() would both run and write the same file" in ended.text
    assert system.shims is None or system.calls("submit") == []


MISTAKES = {
    "not JSON": ('{"queue": "l",}', "settings.json, line 1, column 15: not valid JSON"),
    "empty": ("", "settings.json, line 1, column 1: not valid JSON"),
    "a list": ("[1]", "settings.json, line 1, column 1: expected a JSON object"),
    "a wrong type": ('{"result_dir": 3}', "settings.json, line 1: result_dir must be a path, not 3"),
    "a batch system": ('{"batch_system": "slrum"}', "Did you mean 'slurm'? It is the value in: "),
}
FLAGS = ("--batch", "", "--test", "--dry-run", "--show-output")
FIVE = """
class A(b2luigi.Task):
    n = b2luigi.IntParameter()
    def output(self):
        yield self.add_to_output("a")
    def run(self):
        pass
b2luigi.process([A(n=n) for n in range(5)])
"""


@pytest.mark.parametrize(
    ("mistake", "flag"),
    [(mistake, flag) for mistake in MISTAKES for flag in FLAGS if flag == "--batch" or "batch" not in mistake],
)
def test_settings_that_cannot_work(mistake: str, flag: str, tmp_path: Path) -> None:
    """One sentence that names the file, whatever the script was to do, and nothing is started or listed."""
    text, words = MISTAKES[mistake]
    with local(tmp_path) as system:
        project = Project(tmp_path / "project", system.env)
        project.write(FIVE)
        (project.folder / "settings.json").write_text(text)
        ended = project.run(*filter(None, [flag]))
    assert ended.rc == 1
    assert words in ended.text.splitlines()[-1]
    assert ended.text.count("settings.json") == 1
    assert "Traceback" not in ended.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("workers=0", "workers must be a positive integer, not 0."),
        ("workers='many'", "workers must be a positive integer, not 'many'."),
        ("log_level='loud'", "log_level must be one of NOTSET, DEBUG, INFO, WARNING, ERROR, CRITICAL, not 'loud'."),
    ],
)
def test_arguments_of_luigi_that_cannot_work(arguments: str, words: str, tmp_path: Path) -> None:
    """luigi would start nothing, and say nothing of it, or print a traceback."""
    with local(tmp_path) as system:
        project = Project(tmp_path / "project", system.env)
        project.write(FIVE.replace("range(5)]", f"range(5)], {arguments}"))
        ended = project.run()
    assert (ended.rc, ended.text) == (1, f"{words}\n")
