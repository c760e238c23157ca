"""A user's own BatchProcess, and what users get wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.project import Project, end_of
from tests.waiting import PATIENCE, until

OWN = """
    import subprocess
    from b2luigi.batch.processes import BatchProcess, JobStatus
    from b2luigi.core.executable import create_executable_wrapper
    from b2luigi.core.utils import get_log_file_dir

    calls = []

    class MyBatch(BatchProcess):
        def start_job(self):
            calls.append(f"start {{self.task.n}}")
            {start}
            logs = get_log_file_dir(self.task)
            os.makedirs(logs, exist_ok=True)
            with open(logs + "stdout", "w") as out, open(logs + "stderr", "w") as err:
                self.job = subprocess.Popen([create_executable_wrapper(self.task)], stdout=out, stderr=err)

        def get_job_status(self):
            {status}
            rc = self.job.poll()
            if rc is None:
                return JobStatus.idle if self.task.n % 2 else JobStatus.running
            return JobStatus.aborted if rc else JobStatus.successful

        def {kill}(self):
            calls.append(f"kill {{self.task.n}}")
            self.job.kill()

    class Mine(b2luigi.Task):
        n = b2luigi.IntParameter()
        batch_system = "custom"
        process_class = MyBatch
        def output(self):
            yield self.add_to_output("out.txt")
        def run(self):
            if self.n == 3:
                raise ValueError("three is unlucky")
            {work}
            open(self.get_output_file_name("out.txt"), "w").close()

    class Other(b2luigi.Task):
        batch_system = "local"
        def output(self):
            yield self.add_to_output("other.txt")
        def run(self):
            open(self.get_output_file_name("other.txt"), "w").close()

    if __name__ == "__main__":
        try:
            b2luigi.process([Mine(n=n) for n in range({jobs})] + [Other()], batch=True)
        finally:
            print("CALLS", sorted(calls))
"""
DEFAULTS = {"start": "pass", "status": "pass", "kill": "kill_job", "work": "pass", "jobs": 4}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project on a machine without a batch system."""
    return Project(tmp_path / "project", {})


def own(**changes: object) -> str:
    """The script, with something special in one place."""
    return OWN.format(**{**DEFAULTS, **changes})


def calls_of(text: str) -> list[str]:
    """The hooks that were called."""
    calls: list[str] = json.loads(text.partition("CALLS ")[2].splitlines()[0].replace("'", '"'))
    return calls


def test_three_hooks_are_enough(project: Project) -> None:
    """A BatchProcess of one's own starts each job once and never kills it; its failure report names its log folder."""
    project.write(own())
    ended = project.run()
    assert calls_of(ended.text) == ["start 0", "start 1", "start 2", "start 3"]
    assert "* 4 ran successfully:" in ended.text
    assert {path.parent.name for path in project.folder.rglob("out.txt")} == {"n=0", "n=1", "n=2"}
    (story,) = ended.stories.values()
    assert "Task Mine failed: its job was aborted" in story
    assert "three is unlucky" in story
    assert f"{project.folder}/logs/n=3/Mine/" in story
    assert "three is unlucky" in project.read("logs/n=3/Mine/stderr")


@pytest.mark.parametrize("hook", ["start", "status"])
@pytest.mark.parametrize(
    "error", ["raise RuntimeError('broken hook')", "sys.exit('no proxy')", "return 'an odd answer'"]
)
def test_a_broken_hook_fails_its_own_task_and_nothing_else(project: Project, hook: str, error: str) -> None:
    """An exception, or an answer that is no JobStatus: the task fails with the story, other tasks run."""
    project.write(own(**{hook: f"if self.task.n == 1: {error}"}))
    ended = project.run()
    assert (project.folder / "other.txt").exists()
    assert (project.folder / "n=2" / "out.txt").exists()
    assert "MyBatch" in ended.text
    assert "n=1" in ended.text.rpartition("failed =====")[2]


@pytest.mark.parametrize("kill", ["kill_job", "terminate_job"])
def test_a_task_that_takes_too_long_is_killed_once_under_either_name(project: Project, kill: str) -> None:
    """The kill hook may have the name of either version of b2luigi."""
    project.write(
        own(kill=kill, jobs=1, work="wait_for('go')").replace("n = b2luigi", "worker_timeout = 2; n = b2luigi")
    )
    ended = project.run()
    project.touch("go")  # what its job script has started is not killed by this class
    assert calls_of(ended.text) == ["kill 0", "start 0"]
    assert "timed out after 2 seconds" in ended.text


def test_an_unknown_batch_system_is_an_error_at_once(project: Project) -> None:
    """A wrong name is an error before anything runs, with the names there are."""
    project.write(own().replace('batch_system = "local"', 'batch_system = "pbs"'))
    ended = project.run()
    assert ended.rc == 1
    assert "batch_system is 'pbs', which is none of: auto, lsf, htcondor, slurm, local, custom." in ended.text
    assert "attribute of the task" in ended.text
    assert "Traceback" not in ended.text
    assert calls_of(ended.text) == []


def test_errors_name_invalid_settings(project: Project) -> None:
    """A string for a list, a custom system without its class: both are named."""
    project.write(
        own(jobs=1)
        .replace("process_class = MyBatch", "pass")
        .replace('batch_system = "local"', 'batch_system = "local"; executable = "python3"')
    )
    ended = project.run()
    assert "executable must be a list of strings" in ended.text
    assert "process_class" in ended.text
    assert "Traceback" not in ended.text


def test_a_job_script_run_by_hand_runs_its_task_here_and_now(project: Project) -> None:
    """No token, no record: output on the terminal, exit code of the task."""
    project.write(own(jobs=4))
    project.run()
    (project.folder / "n=1" / "out.txt").unlink()
    records = len(project.records())
    done = _by_hand(project, "task_files/n=1/Mine")
    failed = _by_hand(project, "task_files/n=3/Mine")
    assert (done.returncode, failed.returncode) == (0, 1)
    assert (project.folder / "n=1" / "out.txt").exists()
    assert "three is unlucky" in failed.stderr
    assert len(project.records()) == records


def test_an_unknown_task_id_names_the_nearest(project: Project) -> None:
    """--batch-runner with an id that is not in the graph ends with an error, and says what there is."""
    project.write(own())
    ended = project.run("--batch-runner", "--task-id", "Other__99914b932c")
    assert ended.rc == 1
    assert "There is no task Other__99914b932c" in ended.text
    assert "Similar ids: Other__99914b932b" in ended.text


def test_batch_runner_without_a_task_id_is_an_error(project: Project) -> None:
    """It says what is missing."""
    project.write(own())
    ended = project.run("--batch-runner")
    assert ended.rc == 1
    assert "\n--batch-runner needs --task-id, the id of the task to run.\n" in ended.text
    assert "Traceback" not in ended.text


def test_a_script_with_arguments_of_its_own_gives_them_to_its_jobs(project: Project) -> None:
    """What is not b2luigi's reaches the script on the node as well."""
    project.write(
        """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--word")
        word = parser.parse_known_args()[0].word

        class Say(b2luigi.Task):
            def output(self):
                yield self.add_to_output("words.txt")
            def run(self):
                with open(self.get_output_file_name("words.txt"), "w") as f:
                    f.write(word)

        if __name__ == "__main__":
            b2luigi.process(Say(), ignore_additional_command_line_args=True)
        """
    )
    ended = project.run("--batch", "--word", "it's $HOME")
    assert "progress looks :)" in ended.text
    assert project.read("words.txt") == "it's $HOME"


def test_the_first_argument_of_a_script_is_the_first_on_the_node_too(project: Project) -> None:
    """Who looks at sys.argv[1] finds the same there: results would land in another folder otherwise."""
    project.write(
        """
        class Say(b2luigi.Task):
            def output(self):
                yield self.add_to_output("words.txt")
            def run(self):
                open(self.get_output_file_name("words.txt"), "w").close()

        if __name__ == "__main__":
            b2luigi.set_setting("result_dir", f"results/{sys.argv[1]}")
            b2luigi.process(Say(), batch=True, ignore_additional_command_line_args=True)
        """
    )
    assert "progress looks :)" in project.run("2016").text
    found = [str(path.relative_to(project.folder)) for path in project.folder.rglob("words.txt")]
    assert found == ["results/2016/words.txt"]


def test_outputs_that_the_submit_host_does_not_see_are_no_success(project: Project) -> None:
    """A node that comes to another path than the submit host made nothing that anybody will find."""
    project.write(
        """
        class Lost(b2luigi.Task):
            env = {"WHERE": "node"}
            @property
            def result_dir(self):
                return os.environ.get("WHERE", "home")
            def output(self):
                yield self.add_to_output("out.txt")
            def run(self):
                open(self.get_output_file_name("out.txt"), "w").close()

        if __name__ == "__main__":
            b2luigi.process(Lost(), batch=True)
        """
    )
    (story,) = project.run().stories.values()
    assert f"these outputs do not exist: {project.folder}/home/out.txt" in story


def test_a_copy_of_the_project_may_run_on_the_nodes(project: Project, tmp_path: Path) -> None:
    """working_dir names it; folders that are shared are given as absolute paths."""
    folders = {name: str(tmp_path / "shared" / name) for name in ("result_dir", "log_dir", "task_file_dir")}
    copy = tmp_path / "copy"
    (project.folder / "settings.json").write_text(json.dumps({**folders, "working_dir": str(copy)}))
    script = project.write(
        """
        class Here(b2luigi.Task):
            def output(self):
                yield self.add_to_output("here.txt")
            def run(self):
                with open(self.get_output_file_name("here.txt"), "w") as f:
                    f.write(os.getcwd())

        if __name__ == "__main__":
            b2luigi.process(Here(), batch=True)
        """
    )
    shutil.copytree(project.folder, copy)
    script.write_text(script.read_text() + "\n# the submit host's own\n")
    ended = project.run()
    assert "progress looks :)" in ended.text, ended.text
    assert (tmp_path / "shared/result_dir/here.txt").read_text() == str(copy)
    assert (tmp_path / "shared/log_dir/Here/stderr").exists()


JOB_AND_NO_JOB = """
class Job(b2luigi.Task):
    n = b2luigi.IntParameter(default=1)
    def output(self):
        yield self.add_to_output("job.txt")
    def run(self):
        open(self.get_output_file_name("job.txt"), "w").close()

class NoJob(b2luigi.WrapperTask):
    def complete(self):
        return os.path.exists("x")

if __name__ == "__main__":
    LINE
    b2luigi.process([*(Job(n=n) for n in range(9)), NoJob()], batch=True)
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Job.poll_interval = -1", "poll_interval must be a number of seconds"),
        ("Job.job_retries = -1", "job_retries must be an integer that is not negative"),
        ("Job.worker_timeout = '3600'", "worker_timeout must be a number of seconds"),
        ("Job.env = {'A': None}", "env['A'] is None"),
        ("Job.shell = 'a shell'", "shell must be the name of a shell"),
        ("Job.executable = 'python3'", "executable must be a list of strings"),
        ("Job.batch_system = 'slrum'", "batch_system is 'slrum', which is none of: auto, lsf"),
        ("Job.batch_system = 'custom'", "process_class names no subclass of BatchProcess"),
    ],
)
def test_a_value_that_cannot_work_starts_nothing(project: Project, line: str, message: str) -> None:
    """It is one line, however many tasks there are, the script ends with 1, and there are no files of jobs."""
    project.write(JOB_AND_NO_JOB.replace("LINE", line))
    ended = project.run()
    assert ended.rc == 1
    assert "Traceback" not in ended.text
    (row,) = [row for row in ended.text.splitlines() if message in row]
    assert row == ended.text.splitlines()[-1]
    assert list(project.folder.iterdir()) == [project.folder / "analysis.py"]


def test_an_error_in_a_property_fails_the_tasks_it_concerns_and_nothing_else(project: Project) -> None:
    """It may depend on files that are still to be made. The run goes on, and the story shows the user's line."""
    line = "Job.job_name = property(lambda self: 'ab'[self.n])"
    project.write(JOB_AND_NO_JOB.replace("LINE", line).replace("range(9)", "range(3)"))
    ended = project.run()
    assert "Luigi Execution Summary" in ended.text, ended.text
    (story,) = ended.stories.values()
    assert "IndexError: string index out of range" in story
    assert "lambda self: 'ab'[self.n]" in story


def test_what_luigi_runs_itself_ends_nothing_but_itself(project: Project) -> None:
    """Odd results and errors of tasks that are no jobs, and yielded tasks that cannot be scheduled."""
    project.write(
        """
        class Set(b2luigi.WrapperTask):
            def complete(self):
                return False
            def on_success(self):
                return {1, 2}

        class Mail(Set):
            def on_success(self):
                raise OSError("mail server down")
            def on_failure(self, error):
                raise OSError("mail server still down")

        class Bad(b2luigi.Task):
            def requires(self):
                return luigi.LocalTarget("a target is no task")
            def output(self):
                yield self.add_to_output("bad.txt")

        class Yields(b2luigi.Task):
            def output(self):
                yield self.add_to_output("yields.txt")
            def run(self):
                yield Bad()

        class Good(b2luigi.Task):
            def output(self):
                yield self.add_to_output("good.txt")
            def run(self):
                time.sleep(2)
                open(self.get_output_file_name("good.txt"), "w").close()

        class Forks(Set):
            worker_timeout = 2
            def run(self):
                time.sleep(1000)

        if __name__ == "__main__":
            b2luigi.process([Set(), Mail(), Yields(), Good(), Forks()], batch=True)
        """
    )
    ended = project.run()
    assert (project.folder / "good.txt").exists(), ended.text
    assert "mail server still down" in ended.text
    assert "Task Bad() cannot be scheduled" in ended.text
    assert "timed out after 2 seconds" in ended.text


def test_data_that_was_declared_external_is_never_made(project: Project) -> None:
    """luigi.task.externalize makes an instance external, not a class."""
    project.write(
        """
        class Data(b2luigi.Task):
            def output(self):
                yield self.add_to_output("data.txt")
            def run(self):
                open("was run", "w").close()

        class Uses(b2luigi.Task):
            def requires(self):
                return luigi.task.externalize(Data())
            def output(self):
                yield self.add_to_output("uses.txt")
            def run(self):
                pass

        if __name__ == "__main__":
            b2luigi.process(Uses(), batch=True)
        """
    )
    (project.folder / "luigi.cfg").write_text("[worker]\nretry_external_tasks = true\n")
    ended = project.run()
    assert not (project.folder / "was run").exists(), ended.text
    assert project.records() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wrapper_task_at_work_does_not_keep_the_run_from_ending(project: Project, number: signal.Signals) -> None:
    """It runs in a process of its own, which hears the signals, too."""
    project.write(
        """
        class Works(b2luigi.WrapperTask):
            def complete(self):
                return False
            def run(self):
                open("runs", "w").close()
                time.sleep(1000)

        if __name__ == "__main__":
            b2luigi.process(Works(), batch=True)
        """
    )
    process = project.start()
    until(lambda: (project.folder / "runs").exists(), "it runs")
    process.send_signal(number)
    assert end_of(process).rc in (130, 143)


@pytest.mark.parametrize("batch", [True, False])
def test_process_returns_what_luigi_returns(project: Project, batch: bool) -> None:
    """A summary to work with, or whether all could be scheduled; with batch and without."""
    project.write(
        own()
        .replace('print("CALLS", sorted(calls))', "pass")
        .replace("b2luigi.process(", "print('RETURNED', b2luigi.process(")
        .replace("batch=True)", f"batch={batch}, detailed_summary=True).status.name)")
    )
    assert "RETURNED FAILED" in project.run().text
    script = project.folder / "analysis.py"
    script.write_text(script.read_text().replace(", detailed_summary=True).status.name", ")"))
    assert "RETURNED False" in project.run().text


def test_a_flag_nobody_knows_is_refused(project: Project) -> None:
    """A typing error on the command line starts nothing."""
    project.write(own())
    ended = project.run("--bach")
    assert ended.rc == 2
    assert "unrecognized arguments: --bach" in ended.text
    assert project.records() == []


def _by_hand(project: Project, folder: str) -> subprocess.CompletedProcess[str]:
    script = project.folder / folder / "executable_wrapper.sh"
    return subprocess.run([script], cwd="/", env=project.env, capture_output=True, text=True, timeout=PATIENCE)


PLUGIN = """
import os
from b2luigi.batch.processes import BatchProcess, JobStatus

class Theirs(BatchProcess):
    def start_job(self):
        self.code = os.waitstatus_to_exitcode(os.system(f"{' '.join(self.task_cmd)} > theirs.log 2>&1"))
    def get_job_status(self):
        return JobStatus.aborted if self.code else JobStatus.successful
    def terminate_job(self): ...
"""


def test_hooks_of_another_package(project: Project) -> None:
    """A subclass of BatchProcess behind an entry point runs the tasks that name it; a broken one is one warning."""
    for name, code in {"theirs": PLUGIN, "broken": "import no_such_module"}.items():
        info = project.folder / "packages" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info.parent / f"{name}_plugin.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[b2luigi.batch_systems]\n{name} = {name}_plugin:Theirs\n")
    project.env["PYTHONPATH"] = os.pathsep.join(
        [str(project.folder / "packages"), *filter(None, [project.env.get("PYTHONPATH")])]
    )
    project.write(
        """
        class Mine(b2luigi.Task):
            batch_system = "theirs"
            def output(self):
                yield self.add_to_output(f"{type(self).__name__}.txt")
            def run(self):
                open(next(self.get_all_output_file_names()), "w").close()
        class Detected(Mine):
            batch_system = "auto"

        if __name__ == "__main__":
            b2luigi.process([Mine(), Detected()], batch=True)
        """
    )
    ended = project.run()
    assert "* 2 ran successfully:" in ended.text, ended.text
    assert (project.folder / "theirs.log").exists()
    assert len(project.records()) == 1  # of the other one
    assert ended.text.count("'broken'") == 1
    assert "No module named 'no_such_module'. It is disabled." in ended.text
