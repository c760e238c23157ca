"""HTCondor's file transfer: the script's folder is not there on the node, everything is carried."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import System
from tests.end_to_end.project import Project, end_of
from tests.snippets import ROOT

pytestmark = pytest.mark.cluster

CARRIED = """
    import threading
    sys.path.insert(0, ".")

    class Part(b2luigi.Task):
        n = b2luigi.IntParameter()

        def output(self):
            yield self.add_to_output("part.txt")

        def run(self):
            import helper.words
            print("words of part", self.n)
            print("in", os.getcwd(), file=sys.stderr)
            if self.n == 3:
                raise ValueError("three is unlucky")
            if self.n == 4:
                os.kill(os.getpid(), 9)
            if self.n == 6:
                threading.Thread(target=time.sleep, args=(1000,)).start()
            if self.n == 5:
                open(self.get_output_file_name("part.txt"), "w").close()
                os._exit(0)
            with open(self.get_output_file_name("part.txt"), "w") as f:
                f.write(helper.words.WORD + b2luigi.get_setting("my_setting"))

    class Whole(b2luigi.Task):
        def output(self):
            yield self.add_to_output("whole.txt")

        def run(self):
            yield [Part(n=n) for n in range(1, {parts} + 1)]
            open(self.get_output_file_name("whole.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process(Whole(), batch=True)
"""


@pytest.fixture(params=["htcondor"])
def project(system: System, tmp_path: Path) -> Project:
    """A project with a package of its own, with settings that carry it to the node."""
    project = Project(tmp_path / "my project", system.env)
    (project.folder / "helper").mkdir()
    (project.folder / "helper" / "words.py").write_text("WORD = 'carried, '\n")
    (project.folder / "env.sh").write_text("export SETUP=done\n")
    settings = f"""{{
        "my_setting": "set", "working_dir": ".", "env_script": "env.sh",
        "result_dir": "{tmp_path}/results", "transfer_files": ["{project.folder}/helper"]
    }}"""
    (project.folder / "settings.json").write_text(settings)
    return project


@pytest.mark.parametrize("system", ["htcondor"], indirect=True)
def test_jobs_run_without_a_shared_folder(project: Project, tmp_path: Path) -> None:
    """Script, package, env_script and settings go to the node; outcomes, logs and new requirements come home."""
    project.write(CARRIED.format(parts=2))
    ended = project.run()
    assert ended.stories == {}, ended.text
    assert "progress looks :)" in ended.text
    assert (tmp_path / "results" / "n=1" / "part.txt").read_text() == "carried, set"
    assert project.read("logs/n=1/Part/stdout") == "words of part 1\n"
    assert "/execute/dir_" in project.read("logs/n=2/Part/stderr")
    kept = [path.name for path in (project.folder / "task_files/n=1/Part").iterdir()]
    assert sorted(kept) == ["attempt-1.json", "executable_wrapper.sh"]


@pytest.mark.parametrize("system", ["htcondor"], indirect=True)
def test_the_example(system: System, tmp_path: Path) -> None:
    """examples/carried_files: the package and its data reach the node, which does not see the folder of the script."""
    project = Project(tmp_path / "project", system.env)
    shutil.copytree(ROOT / "examples" / "carried_files", project.folder, dirs_exist_ok=True)
    ended = project.run("--batch", "--results", str(tmp_path / "results"), name="carried_files.py")
    assert "* 3 ran successfully:" in ended.text, ended.text
    assert (tmp_path / "results" / "energy=50" / "calibrated.txt").read_text() == "50 GeV is 51.0 GeV\n"
    assert {record["batch_system"] for record in project.records()} == {"htcondor"}


@pytest.mark.parametrize("system", ["htcondor"], indirect=True)
def test_an_exit_in_the_middle_of_run_is_a_failure_without_a_shared_folder_too(project: Project) -> None:
    """The job script notices it on the node, and no file more comes home."""
    project.write(CARRIED.format(parts=1).replace("range(1, 1 + 1)", "[5]"))
    ended = project.run()
    assert "the program ended with exit code 0 in the middle of the task" in ended.text, ended.text
    kept = [path.name for path in (project.folder / "task_files/n=5/Part").iterdir()]
    assert sorted(kept) == ["attempt-1.json", "executable_wrapper.sh"]


@pytest.mark.parametrize("system", ["htcondor"], indirect=True)
def test_a_program_that_does_not_end_after_its_work_is_stopped(project: Project, tmp_path: Path) -> None:
    """Its outcome comes home only when its job ends, so that its node sees to that."""
    project.write(CARRIED.format(parts=1).replace("range(1, 1 + 1)", "[6]"))
    ended = project.run()
    assert "progress looks :)" in ended.text, ended.text
    assert (tmp_path / "results" / "n=6" / "part.txt").read_text() == "carried, set"
    assert "Python did not exit within 4 s" in project.read("logs/n=6/Part/stderr")


@pytest.mark.parametrize("system", ["htcondor"], indirect=True)
def test_failures_are_printed_as_with_a_shared_folder(project: Project) -> None:
    """An exception and a shot Python: their stories and their logs come home, too."""
    project.write(CARRIED.format(parts=4))
    ended = project.run()
    stories = {story.splitlines()[1].strip(): story for story in ended.stories.values()}
    assert "ValueError: three is unlucky" in stories["n = 3"]
    assert "killed by signal 9" in stories["n = 4"]
    assert project.read("logs/n=4/Part/stdout").strip() in ("", "words of part 4")


@pytest.mark.parametrize("system", ["htcondor"], indirect=True)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("b2luigi.set_setting('working_dir', '{here}')", "working_dir must be '.'"),
        ("b2luigi.set_setting('result_dir', 'results')", "result_dir must be an absolute path"),
        ("b2luigi.set_setting('transfer_files', ['helper'])", "transfer_files contains relative paths"),
        ("b2luigi.set_setting('transfer_files', '/a/b')", "transfer_files must be a list"),
        ("b2luigi.set_setting('transfer_files', ['{here}/a/x', '{here}/b/x'])", "two files with the same name"),
        ("b2luigi.set_setting('env_script', 'no.sh')", "no.sh"),
    ],
)
def test_invalid_transfers_are_rejected_before_submission(
    project: Project, system: System, line: str, words: str
) -> None:
    """The error names the setting, and nothing is submitted (a value of the wrong type ends the script)."""
    main = 'if __name__ == "__main__":'
    for folder in ("a", "b"):
        (project.folder / folder).mkdir()
        (project.folder / folder / "x").touch()
    line = line.format(here=project.folder)
    project.write(CARRIED.format(parts=1).replace(main, f"{main}\n        {line}"))
    ended = project.run()
    errors = [*ended.stories.values()] or [ended.text]
    assert len(errors) == 1
    assert words in errors[0]
    assert system.calls("submit") == []


@pytest.mark.parametrize("system", ["htcondor"], indirect=True)
def test_a_module_instead_of_a_script(project: Project, tmp_path: Path) -> None:
    """Without a script, the file with the class of the task goes to the node, and is imported there."""
    project.write(CARRIED.format(parts=1), name="steps.py")
    code = "import b2luigi, steps; b2luigi.process([steps.Part(n=n) for n in (1, 2)], batch=True)"
    ended = end_of(project.start_python("-c", code))
    assert ended.stories == {}, ended.text
    assert (tmp_path / "results" / "n=2" / "part.txt").read_text() == "carried, set"
    assert "/execute/dir_" in project.read("logs/n=2/Part/stderr")
