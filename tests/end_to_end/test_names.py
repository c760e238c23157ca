"""Names, arguments and settings of b2luigi 1.x in whole runs on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import local
from tests.end_to_end.mail import mail_server
from tests.end_to_end.project import Project
from tests.end_to_end.test_scripts import write


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with local(tmp_path) as system:
        yield Project(tmp_path / "a project", system.env)


def test_the_batch_system_test_is_this_machine(project: Project) -> None:
    """By its name, by the enumeration, and as a process class; the run takes all of them as jobs of one queue."""
    write(
        project,
        """
        from b2luigi.batch.workers import BatchSystems
        class Named(Part):
            batch_system = "test"
        class Listed(Part):
            batch_system = BatchSystems.test
            def output(self):
                yield self.add_to_output("listed.txt")
            def run(self):
                open(self.get_output_file_name("listed.txt"), "w").close()
        class Bound(Listed):
            batch_system = "custom"
            process_class = BatchSystems.test.load_process_class()
            def output(self):
                yield self.add_to_output("listed.txt", result_dir="bound")
        print("returned", b2luigi.process([Named(n=1), Listed(n=2), Bound(n=3)], batch=True, progress_tui=True))
        """,
    )
    ended = project.run("--tui")
    assert "returned True" in ended.text, ended.text
    assert sorted(path.parent.name for path in project.folder.rglob("attempt-1.json")) == ["Bound", "Listed", "Named"]


def test_several_words_in_one_entry_are_refused_before_the_first_job(project: Project) -> None:
    """Once for each class and setting, with the list to write; the script ends with 1, and nothing is submitted."""
    write(
        project,
        """
        class Verbose(Part):
            executable_prefix = ["nice -n 5"]
            task_cmd_additional_args = ["--name x"]
        b2luigi.process([Verbose(n=n) for n in range(3)], batch=True, ignore_additional_command_line_args=True)
        """,
    )
    ended = project.run()
    assert ended.rc == 1
    assert ended.text.count('each word needs an entry of its own: ["nice", "-n", "5"].') == 1
    assert ended.text.count('each word needs an entry of its own: ["--name", "x"].') == 1
    assert "Traceback" not in ended.text
    assert list(project.folder.rglob("executable_wrapper.sh")) == []


@pytest.mark.parametrize(
    ("argument", "words"), [("workrs=3", "did you mean workers?"), ("bacth=True", "did you mean batch?")]
)
def test_a_misspelt_argument_of_process(project: Project, argument: str, words: str) -> None:
    """It is named with its nearest one, without a traceback, and nothing runs."""
    write(project, f"b2luigi.process(Part(), {argument})")
    ended = project.run()
    assert ended.rc == 1
    assert words in ended.text
    assert "Traceback" not in ended.text
    assert list(project.folder.glob("n=*")) == []


@pytest.mark.parametrize(
    ("argument", "count"), [("", 3), ("workers=2", 2), ("batch=True", 3), ("batch=True, workers=2", 2)]
)
def test_the_setting_workers(project: Project, argument: str, count: int) -> None:
    """It is the default of the argument, with and without batch."""
    write(project, f"b2luigi.set_setting('workers', 3)\nb2luigi.process(Part(), {argument})")
    printed = project.run().text
    logs = [path.read_text() for path in project.folder.glob("task_files/runs/*/run.log")]
    assert f"Running Worker with {count} processes" in "".join([printed, *logs])


def test_workers_of_luigi(project: Project) -> None:
    """Without the setting, and without batch, luigi's own configuration counts."""
    write(project, "b2luigi.process(Part())")
    (project.folder / "luigi.cfg").write_text("[core]\nworkers = 5\n")
    assert "Running Worker with 5 processes" in project.run().text


def test_one_task_by_an_argument(project: Project) -> None:
    """batch_runner=True runs the first task here, and the script continues; if it fails, it ends with its code."""
    write(
        project,
        """
        print("returned", b2luigi.process([Part(n=1), Part(n=2)], batch_runner=True))
        b2luigi.process(Part(n=3, bad=True), batch_runner=True)
        print("not to be reached")
        """,
    )
    ended = project.run()
    assert "returned True" in ended.text, ended.text
    assert ended.rc == 1
    assert "not to be reached" not in ended.text
    assert [path.parent.name for path in project.folder.glob("n=*/part.txt")] == ["n=1"]


RUNNER = """
    from b2luigi.cli.arguments import get_cli_arguments
    from b2luigi.cli import runner
    class Top(Part):
        def requires(self):
            return Part(n=1)
    flags = get_cli_arguments(ignore_additional_command_line_args=True)
    tasks = [Top(n=2)]
    if flags.batch_runner:
        runner.run_as_batch_worker(tasks, flags, {})
    elif flags.remove:
        runner.remove_outputs(tasks, flags.remove, auto_confirm=flags.yes, keep_tasks=flags.keep)
    elif "--here" in sys.argv:
        print("returned", runner.run_test_mode(tasks, flags, {"workers": 1}))
    else:
        runner.show_all_outputs(tasks)
        print("returned", runner.run_batched(tasks, {"workers": 2}))
"""


def test_a_script_with_a_main_function_of_its_own(project: Project) -> None:
    """The functions of b2luigi.cli.runner do what the flags of a script do, with the arguments of each release."""
    write(project, RUNNER)
    ended = project.run("--other")
    assert "returned True" in ended.text, ended.text
    assert "part.txt" in ended.text
    assert "--batch-runner" in project.read("n=2/part.txt")
    removed = project.run("--remove", "Part", "-y", "--keep", "Top")
    assert removed.rc == 0, removed.text
    assert [path.parent.name for path in project.folder.glob("n=*/part.txt")] == ["n=2"]
    project.run("--remove", "Part", "-y")
    assert "returned True" in project.run("--here").text
    assert "--here" in project.read("n=1/part.txt")


def test_a_mail_for_each_failed_task(project: Project) -> None:
    """luigi's section [email] works with batch, too; the nodes send nothing."""
    write(project, "b2luigi.process([Part(n=1, bad=True), Part(n=2), Part(n=3, bad=True)], batch=True)")
    with mail_server() as server:
        (project.folder / "luigi.cfg").write_text(
            "[email]\nreceiver = me@example.org\nsender = it@example.org\nforce_send = true\n"
            f"[smtp]\nhost = 127.0.0.1\nport = {server.port}\nno_tls = true\n"
        )
        ended = project.run()
    assert sorted(subject.partition(" FAILED")[0] for subject in server.subjects) == [
        f"Luigi: Part(n={n})" for n in (1, 3)
    ], ended.text
