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
