"""Tasks whose own complete() says when they are done, as jobs: they end as they do without batch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.conftest import ONE_CLUSTER
from tests.end_to_end.project import Project

SCRIPT = """
    class Stage(b2luigi.Task):
        seed = b2luigi.IntParameter()
        def output(self):
            for kind in ("grid", "info"):
                yield [self.add_to_output(f"{kind}-{part}.dat") for part in range(2)]
        def complete(self):
            return any(all(target.exists() for target in list(group.values())) for group in self.groups())
        def groups(self):
            for one, other in self.output():
                yield {**one, **other}
        def run(self):
            for name in list(self.groups())[self.seed % 2]:
                open(self.get_output_file_name(name), "w").close()

    class Row(b2luigi.Task):
        def output(self):
            return "a row of a table"
        def complete(self):
            return os.path.exists(os.path.join(os.path.dirname(os.path.abspath(__file__)), "row"))
        def run(self):
            open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "row"), "w").close()

    class Strict(b2luigi.Task):
        def output(self):
            yield self.add_to_output("written.txt")
            yield self.add_to_output("forgotten.txt")
        def run(self):
            open(self.get_output_file_name("written.txt"), "w").close()

    class All(b2luigi.Task):
        def requires(self):
            return [Stage(seed=0), Stage(seed=1), Row()]
        def output(self):
            yield self.add_to_output("all.txt")
        def run(self):
            open(self.get_output_file_name("all.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process([All(), Strict()], workers=10, batch="--here" not in sys.argv,
                        ignore_additional_command_line_args=True)
"""


def files(project: Project) -> set[str]:
    """What the tasks have written."""
    found = (str(path.relative_to(project.folder)) for path in project.folder.rglob("*.*"))
    return {path for path in found if path.endswith(("dat", "txt", "failed-1"))}


@pytest.mark.parametrize("system", ONE_CLUSTER, indirect=True)
def test_complete_of_the_task_itself_counts_in_a_job(project: Project) -> None:
    """Alternative sets of files and a mere name are enough; luigi's own complete() misses the forgotten file."""
    project.write(SCRIPT)
    ended = project.run()
    assert "* 4 ran successfully" in ended.text, ended.text
    assert len(ended.stories) == 1, ended.text
    (story,) = ended.stories.values()
    assert "Strict" in story
    assert "forgotten.txt is not there" in story
    made = {f"seed=0/grid-{n}.dat" for n in range(2)} | {f"seed=1/info-{n}.dat" for n in range(2)}
    assert files(project) == {*made, "all.txt", "written.txt.failed-1"}
    assert (project.folder / "row").exists()


def test_it_is_the_same_without_batch(tmp_path: Path) -> None:
    """luigi alone is done with the same tasks."""
    project = Project(tmp_path / "project", {})
    project.write(SCRIPT)
    ended = project.run("--here")
    assert "* 5 ran successfully" in ended.text, ended.text  # luigi does not look what run() left
    assert files(project) >= {"all.txt", "seed=0/grid-0.dat", "seed=1/info-0.dat"}
