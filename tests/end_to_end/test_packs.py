"""The life of tasks that share a job (`tasks_per_job`), on each batch system."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.end_to_end.conftest import System
from tests.end_to_end.project import Project
from tests.end_to_end.test_control import ON_ALL
from tests.present import present
from tests.waiting import until

ENDS = """
    import atexit, random, signal
    import numpy

    GENERATOR = numpy.random.default_rng()

    def note(name, *words):
        with open(name, "a") as log:
            print(*words, file=log)

    atexit.register(lambda: note("exits", os.getpid()))

    class Ends(b2luigi.Task):
        how = b2luigi.Parameter()
        tasks_per_job = 20
        job_retries = 1

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            note("ran", self.how)
            print("words of", self.how, flush=True)
            print("complaint of", self.how, file=sys.stderr, flush=True)
            match self.how:
                case "raises":
                    raise ValueError("not in the mood")
                case "crashes":
                    os.kill(os.getpid(), signal.SIGSEGV)
                case "exits":
                    os._exit(0)
                case "shot" if not os.path.exists("healed"):
                    open("healed", "w").close()
                    os.kill(os.getpid(), signal.SIGKILL)
                case "yields":
                    yield Part(n=1)
                case "late":
                    wait_for("followed")
            with open(self.get_output_file_name("out.txt"), "w") as f:
                print(random.random(), numpy.random.random(), GENERATOR.random(), file=f)

    class Hangs(Ends):
        worker_timeout = 4
        def run(self):
            time.sleep(1000)

    class OtherClass(Ends):
        pass

    class OtherEnv(Ends):
        env = {"MINE": "1"}

    class Part(b2luigi.Task):
        n = b2luigi.IntParameter()
        tasks_per_job = 20
        def output(self):
            yield self.add_to_output("part.txt")
        def run(self):
            open(self.get_output_file_name("part.txt"), "w").close()

    class Follows(Part):
        priority = 1
        def requires(self):
            return Ends(how="well 0")
        def run(self):
            open(self.get_output_file_name("part.txt"), "w").close()
            open("followed", "w").close()

    if __name__ == "__main__":
        hows = ["well 0", "raises", "crashes", "exits", "shot", "yields", "well 1", "well 2"]
        others = [Hangs(how="hangs"), OtherClass(how="well class"), OtherEnv(how="well env"), Follows(n=2)]
        b2luigi.process([*map(lambda how: Ends(how=how), hows), *others, Ends(how="late")], batch=True)
"""


def stories(text: dict[str, str]) -> dict[str, str]:
    return {present(re.search(r"how = (.*)", story))[1]: story for story in text.values()}


def test_each_task_of_a_pack_has_its_own_end(system: System, project: Project) -> None:
    """A failure, a crash, an exit, a hanging and a shot task hurt nobody else; who needs a task starts when it ends."""
    project.write(ENDS)
    ended = project.run()
    found = stories(ended.stories)
    assert set(found) == {"raises", "crashes", "exits", "hangs"}, ended.text
    for how, words in {
        "raises": "ValueError: not in the mood",
        "crashes": "the program crashed: SIGSEGV (exit code 139), in ",
        "exits": "the program ended with exit code 0 in the middle of the task",
        "hangs": "longer than its worker_timeout of 4 s",
    }.items():
        assert words in found[how].splitlines()[0], found[how]
        assert f"logs:    {project.folder}/logs/how={how}/" in found[how]
    assert "complaint of crashes" in found["crashes"]
    assert project.read("logs/how=well 1/Ends/stdout") == "words of well 1\n"
    assert project.read("logs/how=shot/Ends/stdout.1") == "words of shot\n"
    assert Counter(project.read("ran").splitlines())["shot"] == 2
    outputs = [path.read_text().split() for path in project.folder.rglob("out.txt")]
    assert [len(set(numbers)) for numbers in zip(*outputs, strict=True)] == [8, 8, 8]
    assert len(list(project.folder.rglob("part.txt"))) == 2
    packs = {record["task_id"].partition("_")[0]: record.get("pack") for record in project.records()}
    first = {record["pack"] for record in project.records() if record["task_id"].startswith("Ends_well_0")}
    assert {packs["Hangs"], packs["OtherClass"]} == first
    assert packs["OtherEnv"] not in first
    until(lambda: not system.live_jobs(), "no job is left")
    exits = project.read("exits").split()
    assert len(exits) == len(set(exits)) == 1 + len({record["pack"] for record in project.records()})
    assert project.inboxes() == []
    assert list(project.folder.glob("task_files/packs/*")) == []


ANEW = """
    import glob, signal

    SCRIPT = os.getpid()

    class Anew(b2luigi.Task):
        n = b2luigi.IntParameter()
        tasks_per_job, tasks_at_once, pack_mode = 6, 3, "process"

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            print("words of", self.n, flush=True)
            open(f"at-work-{self.n}", "w").close()
            while len(glob.glob("at-work-*")) < 3:
                time.sleep(0.05)
            match self.n:
                case 1:
                    raise ValueError("not in the mood")
                case 2:
                    os._exit(0)
                case 3 if not os.path.exists("healed"):
                    open("healed", "w").close()
                    os.kill(os.getpid(), signal.SIGKILL)
            with open(self.get_output_file_name("out.txt"), "w") as f:
                f.write(str(SCRIPT == os.getpid()))

    if __name__ == "__main__":
        b2luigi.process([Anew(n=n) for n in range(6)], batch=True)
"""


@pytest.mark.parametrize("system", ON_ALL, indirect=True)
def test_the_script_may_be_started_anew_for_each_task(system: System, project: Project) -> None:
    """pack_mode "process": three tasks at once, each in a Python of its own, with a log and an end of its own."""
    project.write(ANEW)
    ended = project.run()
    firsts = sorted(story.splitlines()[0] for story in ended.stories.values())
    assert firsts == [
        "Task Anew failed: ValueError: not in the mood",
        "Task Anew failed: the program ended with exit code 0 in the middle of the task",
    ], ended.text
    outputs = {path.parent.name: path.read_text() for path in project.folder.rglob("out.txt")}
    assert outputs == {f"n={n}": "True" for n in (0, 3, 4, 5)}
    assert [project.read(f"logs/n={n}/Anew/stdout") for n in range(6)] == [f"words of {n}\n" for n in range(6)]
    assert len({record["job_id"] for record in project.records()}) == 2, "one was tried again"
    until(lambda: not system.live_jobs(), "no job is left")
    assert project.inboxes() == []
