"""The scheduling process is killed, at any moment, and started again: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import signal

import pytest

from b2luigi.monitor import State, load, load_run
from tests.end_to_end.conftest import System, on_one_cluster
from tests.end_to_end.project import Ended, Project, Started, end_of
from tests.waiting import until

system = on_one_cluster


PARTS = """
    class Part(b2luigi.Task):
        n = b2luigi.IntParameter()

        def output(self):
            yield self.add_to_output("part.txt")

        def run(self):
            with open(self.get_output_file_name("part.txt"), "w") as f:
                f.write("half of ")
                f.flush()
                with open("ran.log", "a") as log:
                    log.write(f"{{self.n}}\\n")
                {work}
                f.write("the whole")

    class Whole(b2luigi.Task):
        def requires(self):
            return [Part(n=n) for n in range({parts})]

        def output(self):
            yield self.add_to_output("whole.txt")

        def run(self):
            parts = [open(name).read() for name in self.get_all_input_file_names()]
            with open(self.get_output_file_name("whole.txt"), "w") as f:
                f.write("|".join(parts))

    if __name__ == "__main__":
        {before}
        b2luigi.process(Whole(), batch=True)
"""
LOCAL_SLOTS = 3
ATTACHED = "of an earlier run."
ANOTHER = "Another run is working"


def parts(number: int, work: str = "wait_for('go')", before: str = "pass") -> str:
    return PARTS.format(parts=number, work=work, before=f"b2luigi.set_setting('local_slots', {LOCAL_SLOTS}); {before}")


def ran(project: Project) -> list[str]:
    path = project.folder / "ran.log"
    return sorted(path.read_text().split()) if path.exists() else []


def seen_running(project: Project) -> int:
    """How many tasks run, as anybody can see."""
    runs = project.folder.glob("task_files/runs/*/journal.jsonl")
    return sum(load_run(path.parent).counts()[State.running] for path in runs)


def is_whole(project: Project, number: int) -> bool:
    return project.read("whole.txt") == "|".join(["half of the whole"] * number)


def kill_when(project: Project, jobs: int) -> None:
    """Starts the script, and kills it when so many jobs run."""
    process = project.start()
    until(lambda: len(ran(project)) == jobs, "jobs run")
    process.kill()
    end_of(process)


def let_go(project: Project, process: Started, words: str) -> Ended:
    """Lets the jobs end once a run has printed these words, and waits for its end."""
    process.until_printed(words)
    project.touch("go")
    return end_of(process)


def until_over(project: Project, jobs: int) -> None:
    """Waits until so many jobs have left their markers, which nobody reads."""
    until(lambda: len(list(project.folder.rglob(f"inbox-*/{'[0-9a-f]' * 16}"))) == jobs, "the jobs are over")


def resumed(project: Project) -> Ended:
    """Starts the script again, and lets the jobs end when it is attached to those of the run before."""
    process = project.start()
    process.until_printed(ATTACHED)
    project.touch("go")
    return end_of(process)


def test_a_restarted_script_resumes_the_jobs_of_the_last_run(system: System, project: Project) -> None:
    """kill -9 while jobs run, and some wait: they are attached to, and half-written outputs count for nothing."""
    project.write(parts(5))
    first = project.start()
    until(lambda: len(ran(project)) >= LOCAL_SLOTS, "jobs run")
    until(lambda: seen_running(project) >= LOCAL_SLOTS, "the journal says so")
    first.kill()
    end_of(first)
    (killed,) = load(project.folder)
    assert not killed.is_alive
    left = [task.reason for task in killed.tasks.values() if task.state is State.running]
    assert all(reason.startswith("left running when the run was killed; seen last at") for reason in left)
    ended = resumed(project)
    assert "* 6 ran successfully:" in ended.text, ended.text
    last, _ = load(project.folder)
    assert last.counts() == {State.done: 6}
    assert sum(task.attempts[0].resumed for task in last.tasks.values()) >= LOCAL_SLOTS
    assert all(task.node and task.cpu for task in last.tasks.values())
    assert ran(project) == ["0", "1", "2", "3", "4"]
    assert is_whole(project, 5)
    assert project.inboxes() == []
    assert system.live_jobs() == []
    if system.shims is not None:
        assert len(system.calls("submit")) == 2


def test_jobs_that_ended_while_nobody_watched_are_judged(system: System, project: Project) -> None:
    """Those that are done are done; those that failed are reported and submitted anew, for the user runs them again."""
    project.write(parts(3, work='wait_for("go"); self.n == 1 and not os.path.exists("again") and 1 / 0'))
    kill_when(project, 3)
    project.touch("go")
    until_over(project, 3)
    project.touch("again")
    ended = project.run()
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert "Part(n=1): its job in an earlier run failed: ZeroDivisionError" in ended.text
    assert ran(project) == ["0", "1", "1", "2"]
    assert is_whole(project, 3)


def test_a_run_that_was_killed_between_acceptance_and_record_doubles_nothing(
    cluster: System, cluster_project: Project
) -> None:
    """The batch system has the jobs, nobody noted their ids: they are found by what was noted before."""
    assert cluster.shims is not None
    cluster.shims.lose_reply(cluster.program("submit"))
    cluster_project.write(parts(3))
    kill_when(cluster_project, 3)
    assert not any("job_id" in record for record in cluster_project.records())
    process = cluster_project.start()
    until(lambda: sum("job_id" in record for record in cluster_project.records()) == 3, "the jobs are found")
    cluster_project.touch("go")
    ended = end_of(process)
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert ran(cluster_project) == ["0", "1", "2"]
    assert len(cluster.calls("submit")) == 2


def test_jobs_that_ended_before_their_ids_were_noted_are_done(system: System, project: Project) -> None:
    """kill -9 right after the jobs started, and a restart when they are over: nobody does them again."""
    project.write(parts(3))
    kill_when(project, 3)
    for path in project.folder.rglob("attempt-*.json"):  # as the run would have left it a moment earlier
        facts = json.loads(path.read_text())
        path.write_text(json.dumps({key: facts[key] for key in facts if key not in ("job_id", "submitted")}, indent=1))
    project.touch("go")
    until_over(project, 3)
    until(lambda: not system.live_jobs(), "the batch system has no job any more")
    ended = project.run()
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "1", "2"]
    assert is_whole(project, 3)


def test_two_runs_of_one_graph_share_their_jobs(system: System, project: Project) -> None:
    """The second submits nothing that the first has submitted, and both see everything done."""
    project.write(parts(3))
    first = project.start()
    until(lambda: len(ran(project)) == 3, "jobs run")
    second = let_go(project, project.start(), ANOTHER)
    assert "* 4 ran successfully:" in second.text, second.text
    assert "progress looks :)" in end_of(first).text
    assert ran(project) == ["0", "1", "2"]
    assert is_whole(project, 3)


def test_a_second_run_that_is_stopped_leaves_the_jobs_of_the_first(system: System, project: Project) -> None:
    """Ctrl-C of one of two runs: the jobs belong to the other one, which keeps them."""
    project.write(parts(3))
    first = project.start()
    until(lambda: len(ran(project)) == 3, "jobs run")
    second = project.start()
    second.until_printed(ANOTHER)
    second.send_signal(signal.SIGINT)
    assert end_of(second).rc == 130
    project.touch("go")
    assert "* 4 ran successfully:" in end_of(first).text
    assert ran(project) == ["0", "1", "2"]


@pytest.mark.parametrize(("number", "rc", "setting"), [(signal.SIGHUP, 129, False), (signal.SIGINT, 130, True)])
def test_jobs_may_stay_when_the_script_goes(
    system: System, project: Project, number: signal.Signals, rc: int, setting: bool
) -> None:
    """A terminal that hangs up, and leave_jobs_on_exit: nothing is cancelled, and the next run resumes them."""
    project.write(parts(5, before=f"b2luigi.set_setting('leave_jobs_on_exit', {setting})"))
    first = project.start()
    until(lambda: len(ran(project)) >= LOCAL_SLOTS, "jobs run")
    first.send_signal(number)
    left = end_of(first)
    assert left.rc == rc
    assert "Run the script again to resume." in left.text
    ended = resumed(project)
    assert "* 6 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "1", "2", "3", "4"]
    assert is_whole(project, 5)


def test_a_fresh_run_takes_the_jobs_of_the_last_one_out(system: System, project: Project) -> None:
    """--fresh: what an earlier run has left is cancelled, and everything is submitted anew."""
    project.write(parts(2, work='os.path.exists("again") or time.sleep(1000)'))
    kill_when(project, 2)
    project.touch("again")
    ended = project.run("--fresh")
    assert "* 3 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "0", "1", "1"]
    assert is_whole(project, 2)
    assert system.live_jobs() == []


def test_a_job_that_was_shot_is_submitted_again_and_its_logs_are_kept(system: System, project: Project) -> None:
    """Not the fault of the task; the settings of the next try may look at self.job_attempt."""
    project.write(
        """
        class Shot(b2luigi.Task):
            @property
            def env(self):
                return {"TRY": str(getattr(self, "job_attempt", 1))}

            def output(self):
                yield self.add_to_output("out.txt")

            def run(self):
                print("this is try", os.environ["TRY"], flush=True)
                with open(self.get_output_file_name("out.txt"), "w") as f:
                    f.write("half")
                    f.flush()
                    if self.job_attempt < 3:
                        os.kill(os.getpid(), 9)
                    f.write(" and half")

        if __name__ == "__main__":
            b2luigi.process(Shot(), batch=True)
        """
    )
    ended = project.run()
    assert "progress looks :)" in ended.text, ended.text
    assert "Retrying (2 of 2)." in ended.text
    logs = project.folder / "logs" / "Shot"
    assert [(logs / name).read_text() for name in ("stdout.1", "stdout.2", "stdout")] == [
        "this is try 1\n",
        "this is try 2\n",
        "this is try 3\n",
    ]
    assert (project.read("out.txt"), project.read("out.txt.failed-1")) == ("half and half", "half")
    assert system.live_jobs() == []


@pytest.mark.parametrize("where", ["task", "luigi.cfg"])
def test_the_retry_count_of_luigi_holds(system: System, project: Project, where: str) -> None:
    """A task that raises is tried again while the run lasts, which waits for it; then what needs it is made."""
    project.write(
        f"""
        class Moody(b2luigi.Task):
            {"retry_count = 3" if where == "task" else "pass"}
            def output(self):
                yield self.add_to_output("moody.txt")
            def run(self):
                with open("ran.log", "a") as f:
                    f.write("x")
                if len(open("ran.log").read()) < 3:
                    raise ValueError("not in the mood")
                open(self.get_output_file_name("moody.txt"), "w").close()

        class After(b2luigi.Task):
            def requires(self):
                return Moody()
            def output(self):
                yield self.add_to_output("after.txt")
            def run(self):
                open(self.get_output_file_name("after.txt"), "w").close()

        if __name__ == "__main__":
            b2luigi.process(After(), batch=True)
        """
    )
    count = "" if where == "task" else "retry_count = 3\n"
    (project.folder / "luigi.cfg").write_text(f"[scheduler]\nretry_delay = 1\n{count}")
    ended = project.run()
    assert (project.folder / "after.txt").exists(), ended.text
    assert project.read("ran.log") == "xxx"
    assert ended.stories == {}


def test_a_task_that_fails_too_often_is_given_up(system: System, project: Project) -> None:
    """retry_count failures, and the run ends."""
    project.write(
        """
        class Never(b2luigi.Task):
            retry_count = 2
            def output(self):
                yield self.add_to_output("never.txt")
            def run(self):
                with open("ran.log", "a") as f:
                    f.write("x")
                raise ValueError("never")

        if __name__ == "__main__":
            b2luigi.process(Never(), batch=True)
        """
    )
    (project.folder / "luigi.cfg").write_text("[scheduler]\nretry_delay = 1\n")
    ended = project.run()
    assert len(ended.stories) == 1
    assert project.read("ran.log") == "xx"
