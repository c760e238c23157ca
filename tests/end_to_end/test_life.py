"""The life of a job, on each batch system: the same tests, the real thing wherever it can be had."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.end_to_end.conftest import System
from tests.end_to_end.project import Project, end_of
from tests.present import present
from tests.waiting import until

NUMBERS = """
    class MyNumberTask(b2luigi.Task):
        some_parameter = b2luigi.IntParameter()
        htcondor_settings = {"request_cpus": 1, "request_memory": "100 MB"}

        def output(self):
            yield self.add_to_output("output_file.txt")

        def run(self):
            print("I am now starting a task")
            if self.some_parameter == 3 and not os.path.exists("healed"):
                raise ValueError("three is unlucky")
            with open(self.get_output_file_name("output_file.txt"), "w") as f:
                f.write(f"{self.some_parameter}\\n")

    class MyAverageTask(b2luigi.Task):
        def requires(self):
            for i in range(10):
                yield self.clone(MyNumberTask, some_parameter=i)

        def output(self):
            yield self.add_to_output("average.txt")

        def run(self):
            numbers = [float(open(name).read()) for name in self.get_input_file_names("output_file.txt")]
            with open(self.get_output_file_name("average.txt"), "w") as f:
                f.write(f"{sum(numbers) / len(numbers)}\\n")

    if __name__ == "__main__":
        b2luigi.process(MyAverageTask(), workers=200, batch=True)
"""

ENDS = """
    class Ends(b2luigi.Task):
        how = b2luigi.Parameter()

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            print("pid", os.getpid(), flush=True)
            print("last words of", self.how, file=sys.stderr, flush=True)
            if self.how == "python shot":
                os.kill(os.getpid(), 9)
            if self.how == "script shot":
                os.kill(os.getppid(), 9)
                time.sleep(20)  # a batch system that follows no children leaves this process running
                os.kill(os.getpid(), 9)
            if self.how == "exit":
                sys.exit(3)
            if self.how == "nothing":
                return
            if self.how.startswith("sleep"):
                time.sleep(1000)
            with open(self.get_output_file_name("out.txt"), "w") as f:
                f.write("whole")

    if __name__ == "__main__":
        hows = ["python shot", "script shot", "exit", "nothing", "well"]
        b2luigi.process([Ends(how=how) for how in hows], batch=True)
"""

SLEEPERS = ENDS.replace('["python shot", "script shot", "exit", "nothing", "well"]', '[f"sleep {n}" for n in range(5)]')


def test_the_example_of_the_documentation_runs_fails_where_it_must_and_is_healed(
    system: System, project: Project
) -> None:
    """Ten numbers, one raises: nine are there, the failure is printed; healed and run again, the rest is made."""
    project.write(NUMBERS)
    first = project.run()
    first_id = present(re.search(r"MyNumberTask_3_\w+", first.text))[0]
    assert (first.rc, list(first.stories)) == (0, [first_id])
    story = first.stories[first_id]
    job_ids = {record["task_id"]: record["job_id"] for record in project.records()}
    for words in (
        "Task MyNumberTask failed: ValueError: three is unlucky",
        "some_parameter = 3",
        f"{system.name} job {job_ids[first_id]} on node ",
        f"logs:    {project.folder}/logs/some_parameter=3/MyNumberTask/",
        'raise ValueError("three is unlucky")',
        "To run this one task here and now:",
    ):
        assert words in story
    assert "* 9 ran successfully:" in first.text
    assert project.read("logs/some_parameter=4/MyNumberTask/stdout") == "I am now starting a task\n"
    assert not (project.folder / "average.txt").exists()

    (project.folder / "healed").touch()
    second = project.run()
    assert "* 2 ran successfully:" in second.text
    assert second.stories == {}
    assert project.read("average.txt") == "4.5\n"
    assert sum(map(int, re.findall("INFO: Submitted ([0-9]+) job", second.text))) == 2
    assert system.live_jobs() == []


def test_little_is_left_behind(system: System, project: Project) -> None:
    """A finished task keeps four files, the run keeps no inbox, and the record has the whole story."""
    project.write(NUMBERS.replace("self.some_parameter == 3", "False"))
    project.run()
    own = [path for path in project.folder.rglob("*") if "some_parameter=7" in str(path) and path.is_file()]
    assert sorted(path.name for path in own) == [
        "attempt-1.json",
        "executable_wrapper.sh",
        "output_file.txt",
        "stderr",
        "stdout",
    ]
    assert project.inboxes() == []
    record = next(record for record in project.records() if record["task_id"].startswith("MyNumberTask_7"))
    assert record["outcome"]["status"] == record["end"] == "DONE"
    assert (record["batch_system"], record["class"]) == (system.name, "__main__.MyNumberTask")
    assert record["claimed"] <= record["submitted"] <= record["ended"]


def test_each_end_of_a_job_is_reported_and_touches_its_own_task_only(system: System, project: Project) -> None:
    """A shot Python, a shot job script, sys.exit, a missing output: four stories, and the fifth task is done."""
    project.write(ENDS)
    ended = project.run()
    stories = {present(re.search(r"how = (.*)", story))[1]: story for story in ended.stories.values()}
    assert set(stories) == {"python shot", "script shot", "exit", "nothing"}
    assert "killed by signal 9" in stories["python shot"]
    assert "last words of python shot" in stories["python shot"]
    assert "signal 9" in stories["script shot"]
    assert "SystemExit: 3" in stories["exit"]
    assert f"{project.folder}/how=nothing/out.txt" in stories["nothing"]
    assert project.read("how=well/out.txt") == "whole"
    assert "Running Worker with 1000 processes" in ended.text
    assert system.live_jobs() == []


def test_a_job_cancelled_by_hand_fails_its_task(system: System, project: Project) -> None:
    """What somebody removes from the queue is noticed and reported, and the other tasks run."""
    project.write(ENDS.replace('"python shot", "script shot", "exit", "nothing"', '"sleep"'))
    process = project.start()
    log = project.folder / "logs/how=sleep/Ends/stdout"
    until(lambda: log.exists() and "pid" in log.read_text(), "the job runs")
    until(lambda: any(r.get("job_id") and "sleep" in r["task_id"] for r in project.records()), "it has an id")
    (record,) = [record for record in project.records() if "sleep" in record["task_id"]]
    system.cancel_by_hand(record["job_id"])
    ended = end_of(process)
    (story,) = ended.stories.values()
    assert re.search("removed|TERM_OWNER|CANCELLED|signal 15|signal 2|130|143", story)
    assert project.read("how=well/out.txt") == "whole"


@pytest.mark.parametrize(("number", "rc"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_no_job_behind(
    system: System, project: Project, number: signal.Signals, rc: int
) -> None:
    """Ctrl-C and SIGTERM take all jobs out of the batch system, with one command, and end the script."""
    project.write(SLEEPERS)
    process = project.start()
    until(lambda: len(_pids(project)) >= min(5, os.cpu_count() or 1), "jobs run")
    pids = _pids(project)
    process.send_signal(number)
    ended = end_of(process)
    assert ended.rc == rc
    there = min(5, len(os.sched_getaffinity(0))) if system.name == "local" else 5
    counted = "1 job" if there == 1 else f"{there} jobs"
    assert f"Cancelling {counted}; please wait" in ended.text
    assert f"Cancelled {counted}." in ended.text
    assert "Keep-Alive" not in ended.text
    assert "Traceback" not in ended.text
    until(lambda: not system.live_jobs(), "no job is left")
    until(lambda: not any(_lives(pid) for pid in pids), "no process is left")
    if system.shims is not None:
        assert len(system.calls("cancel")) == 1
        assert len(system.calls("submit")) <= 5


def test_a_refused_submission_touches_its_own_task_only(system: System, project: Project) -> None:
    """Settings the batch system turns down: its own words, the task, and the rest of the graph is done."""
    project.write(
        f"""
        class Good(b2luigi.Task):
            n = b2luigi.IntParameter()
            def output(self):
                yield self.add_to_output("good.txt")
            def run(self):
                open(self.get_output_file_name("good.txt"), "w").close()

        class Bad(Good):
            {system.bad_settings}

        if __name__ == "__main__":
            b2luigi.process([Bad(n=1), Good(n=2), Good(n=3)], batch=True)
        """
    )
    ended = project.run()
    (story,) = ended.stories.values()
    assert "Task Bad failed: " in story
    assert system.refusal in story
    assert {path.parent.name for path in project.folder.rglob("good.txt")} == {"n=2", "n=3"}


def test_a_log_folder_that_cannot_be_made_is_reported(system: System, project: Project) -> None:
    """No job is submitted for a task whose logs could not be written; the story names the folder."""
    project.write(
        NUMBERS.replace(
            "class MyAverageTask(b2luigi.Task):", "class MyAverageTask(b2luigi.Task):\n        log_dir = 'healed/logs'"
        )
    )
    (project.folder / "healed").touch()
    ended = project.run()
    (story,) = ended.stories.values()
    assert "no job was submitted" in story
    assert f"{project.folder}/healed/logs" in story
    assert "* 10 ran successfully:" in ended.text


def test_tasks_of_every_kind_run_beside_each_other(system: System, project: Project) -> None:
    """Plain luigi tasks are jobs, wrapper and external tasks are none, and one task may stay on this machine."""
    project.write(
        """
        class Data(luigi.ExternalTask):
            def output(self):
                return luigi.LocalTarget(os.path.join(os.path.dirname(os.path.abspath(__file__)), "data.txt"))

        class Plain(luigi.Task):
            def requires(self):
                return Data()
            def output(self):
                return luigi.LocalTarget(os.path.join(os.path.dirname(os.path.abspath(__file__)), "plain.txt"))
            def run(self):
                with self.output().open("w") as f:
                    f.write(self.input().open().read())

        class Here(b2luigi.Task):
            batch_system = "local"
            def output(self):
                yield self.add_to_output("here.txt")
            def run(self):
                open(self.get_output_file_name("here.txt"), "w").close()

        class All(b2luigi.WrapperTask):
            def requires(self):
                yield Plain()
                yield Here()

        if __name__ == "__main__":
            b2luigi.process(All(), batch=True)
        """
    )
    (project.folder / "data.txt").write_text("input")
    ended = project.run()
    assert "progress looks :)" in ended.text
    assert project.read("plain.txt") == "input"
    systems = {record["class"].partition(".")[2]: record["batch_system"] for record in project.records()}
    assert systems == {"Plain": system.name, "Here": "local"}


def test_requirements_found_while_running_are_made(system: System, project: Project) -> None:
    """A task that yields requirements is run again when they are done, as without batch."""
    project.write(
        """
        class Part(b2luigi.Task):
            n = b2luigi.IntParameter()
            def output(self):
                yield self.add_to_output("part.txt")
            def run(self):
                with open(self.get_output_file_name("part.txt"), "w") as f:
                    f.write(str(self.n))

        class Whole(b2luigi.Task):
            def output(self):
                yield self.add_to_output("whole.txt")
            def run(self):
                first = yield [Part(n=1), Part(n=2)]
                yield Part(n=3)
                with open(self.get_output_file_name("whole.txt"), "w") as f:
                    f.write(f"{len(first)} parts and one")

        if __name__ == "__main__":
            b2luigi.process(Whole(), batch=True)
        """
    )
    ended = project.run()
    assert "progress looks :)" in ended.text
    assert project.read("whole.txt") == "2 parts and one"
    assert len(list(project.folder.rglob("part.txt"))) == 3


def test_requirements_found_while_running_may_be_of_any_shape(system: System, project: Project) -> None:
    """Dictionaries, nested, complete already, found in several rounds; one that fails touches its own task only."""
    project.write(
        """
        class Part(b2luigi.Task):
            n = b2luigi.IntParameter()
            def output(self):
                yield self.add_to_output("part.txt")
            def run(self):
                if self.n == 13:
                    raise ValueError("thirteen is unlucky")
                with open(self.get_output_file_name("part.txt"), "w") as f:
                    f.write(str(self.n))

        class Whole(b2luigi.Task):
            last = b2luigi.IntParameter()
            def requires(self):
                return Part(n=1)
            def output(self):
                yield self.add_to_output("whole.txt")
            def run(self):
                inputs = yield {"one": Part(n=1), "nested": {"two": [Part(n=2), Part(n=3)]}}
                again = yield (Part(n=4), Part(n=2))
                yield Part(n=self.last)
                numbers = [open(t["part.txt"].path).read() for found in (inputs["nested"]["two"], again)
                           for targets in found for t in targets]
                with open(self.get_output_file_name("whole.txt"), "w") as f:
                    f.write(" ".join(numbers))

        if __name__ == "__main__":
            b2luigi.process([Whole(last=5), Whole(last=13)], batch=True)
        """
    )
    ended = project.run()
    assert project.read("last=5/whole.txt") == "2 3 4 2", ended.text
    assert not (project.folder / "last=13").exists() or not list((project.folder / "last=13").rglob("whole.txt"))
    (story,) = ended.stories.values()
    assert "thirteen is unlucky" in story
    assert system.live_jobs() == []


def test_jobs_that_all_die_of_one_mistake_are_stopped_by_the_brake(system: System, project: Project) -> None:
    """Three jobs are enough to know; the others of their class are not submitted, those of another class are."""
    project.write(
        """
        class Broken(b2luigi.Task):
            n = b2luigi.IntParameter()
            failure_brake = 3
            def output(self):
                yield self.add_to_output("out.txt")
            def run(self):
                import no_such_module

        class Fine(Broken):
            def run(self):
                open(self.get_output_file_name("out.txt"), "w").close()

        if __name__ == "__main__":
            b2luigi.process([Broken(n=n) for n in range(12)] + [Fine(n=100)], batch=True, workers=3)
        """
    )
    ended = project.run()
    assert "* 1 ran successfully:" in ended.text, ended.text
    assert "the first 3 jobs of Broken all failed, for the same reason: ModuleNotFoundError" in ended.text
    assert len([record for record in project.records() if record["class"].endswith("Broken")]) < 9


def test_the_project_may_lie_anywhere(system: System, tmp_path: Path) -> None:
    """Folders with blanks, quotes and other signs; called from another folder; results below the script."""
    project = Project(tmp_path / "my 'own' project; & \"more\", it is $HOME `id` é", system.env)
    project.write(NUMBERS.replace("self.some_parameter == 3", "False"))
    ended = project.run(cwd=tmp_path)
    assert ended.stories == {}, ended.text
    assert project.read("average.txt") == "4.5\n"
    assert sorted(os.listdir(tmp_path / project.folder.name))[:2] == ["analysis.py", "average.txt"]


def test_the_environment_of_a_job_is_what_the_settings_say(system: System, project: Project) -> None:
    """env_script, then env, whatever the values hold; the copied rest; settings.json above; no secrets in the logs."""
    (project.folder / "setup it.sh").write_text("export FROM_SCRIPT='set up'\ncd /\nset -u\n")
    (project.folder.parent / "settings.json").write_text('{"env_script": "setup it.sh", "my_setting": [1, 2]}')
    project.env["SECRET_OF_MINE"] = "do not print"
    project.write(
        """
        class Env(b2luigi.Task):
            env = {"AWKWARD": "it's \\"$HOME\\" `id` $(id)\\n second line", "EMPTY": ""}
            def output(self):
                yield self.add_to_output("env.txt")
            def run(self):
                with open(self.get_output_file_name("env.txt"), "w") as f:
                    f.write(repr([os.environ["FROM_SCRIPT"], os.environ["AWKWARD"], os.environ["EMPTY"],
                                  b2luigi.get_setting("my_setting"), os.getcwd(),
                                  os.environ.get("SECRET_OF_MINE")]))

        if __name__ == "__main__":
            b2luigi.process(Env(), batch=True)
        """
    )
    ended = project.run()
    assert ended.stories == {}, ended.text
    awkward = 'it\'s "$HOME" `id` $(id)\n second line'
    copied = None if system.name == "htcondor" else "do not print"
    assert project.read("env.txt") == repr(["set up", awkward, "", [1, 2], str(project.folder), copied])
    logs = [path.read_text() for path in project.folder.rglob("std*") if path.is_file()]
    assert not any("do not print" in text for text in logs)


HUNDREDS = """
    class Part(b2luigi.Task):
        n = b2luigi.IntParameter()
        executable = ["/bin/sh", "part.sh"]
        add_filename_to_cmd = False

        @property
        def env(self):
            return {"OUT": self.get_output_file_name("out.txt")}

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            raise NotImplementedError("the job runs part.sh instead")

    class Whole(b2luigi.Task):
        def requires(self):
            return [Part(n=n) for n in range(200)]

        def output(self):
            yield self.add_to_output("whole.txt")

        def run(self):
            with open(self.get_output_file_name("whole.txt"), "w") as f:
                f.write(str(len(list(self.get_all_input_file_names()))))

    if __name__ == "__main__":
        b2luigi.process(Whole(), batch=True)
"""


def test_hundreds_of_jobs_run_once_each_and_cost_few_commands(system: System, project: Project) -> None:
    """200 jobs of a program that is not Python, and one that needs them all; nobody is asked about each."""
    (project.folder / "part.sh").write_text('echo x >> ran.log; mkdir -p "${OUT%/*}"; : > "$OUT"\n')
    project.write(HUNDREDS)
    ended = project.run()
    assert "* 201 ran successfully:" in ended.text, ended.text
    assert project.read("whole.txt") == "200"
    assert len(project.read("ran.log").split()) == 200
    if system.shims is not None:
        print(f"{system.name}: {ended.seconds:.1f} s, commands: {system.shims.counts()}")
        assert len(system.calls("submit")) <= 3
        assert len(system.calls("query")) <= ended.seconds / 3 + 2  # one finds the batch system
        assert len(system.calls("cancel")) == 0


SLOWLY = """
    class Part(b2luigi.Task):
        n = b2luigi.IntParameter()

        @property
        def job_name(self):
            end = time.time() + 3
            while self.n and time.time() < end and not os.path.exists("second/n=0"):
                time.sleep(0.02)
            return "part"

        def output(self):
            return b2luigi.LocalTarget(os.path.abspath(f"{type(self).__name__.lower()}/n={self.n}"))

        def run(self):
            os.makedirs(os.path.dirname(self.output().path), exist_ok=True)
            open(self.output().path, "w").close()

    class Second(Part):
        priority = 1

        def requires(self):
            return Part(n=self.n)

    class All(b2luigi.WrapperTask):
        def requires(self):
            return [Second(n=0), *(Part(n=n) for n in range(1, 12))]

    if __name__ == "__main__":
        b2luigi.process(All(), batch=True, workers=100)
"""


@pytest.mark.parametrize("system", ["local", "lsf"], indirect=True)
def test_jobs_run_and_end_while_others_are_being_prepared(system: System, project: Project) -> None:
    """A setting that takes three seconds for each task: a job and the one that needs it are done before the last."""
    project.write(SLOWLY)
    ended = project.run()
    assert ended.rc == 0, ended.text
    prepared = [path.stat().st_mtime for path in project.folder.rglob("executable_wrapper.sh")]
    assert len(prepared) == 13
    assert (project.folder / "second" / "n=0").stat().st_mtime < max(prepared)


def test_a_job_script_that_cannot_start_its_task_says_why(system: System, project: Project) -> None:
    """A missing env_script and a missing interpreter: the story of the task names them."""
    project.write(
        """
        class NoScript(b2luigi.Task):
            env_script = "nowhere.sh"
            def output(self):
                yield self.add_to_output(f"{self.get_task_family()}.txt")
            def run(self):
                pass

        class NoPython(NoScript):
            env_script = ""
            executable = ["/no/such/python"]

        if __name__ == "__main__":
            b2luigi.process([NoScript(), NoPython()], batch=True)
        """
    )
    ended = project.run()
    stories = {story.split()[1]: story for story in ended.stories.values()}
    assert "cannot read the env_script ./nowhere.sh" in stories["NoScript"]
    assert "looking for the program /no/such/python" in stories["NoPython"]


def _pids(project: Project) -> set[int]:
    found = (re.search(r"pid (\d+)", path.read_text()) for path in (project.folder / "logs").rglob("stdout"))
    return {int(match[1]) for match in found if match}


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
