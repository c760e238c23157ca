"""Two runs of one graph at the same time, each of which is started by hand: they share the work."""

from __future__ import annotations

import re
import signal
from collections import Counter

import pytest

from tests.end_to_end.conftest import ONE_CLUSTER, System
from tests.end_to_end.project import Project, end_of
from tests.end_to_end.test_restart import ATTACHED, let_go, parts, ran
from tests.waiting import until

pytestmark = pytest.mark.parametrize("system", ONE_CLUSTER, indirect=True)

PAIRS = """
    class First(b2luigi.Task):
        n = b2luigi.IntParameter()

        def output(self):
            yield self.add_to_output("first.txt")

        def run(self):
            with open(self.get_output_file_name("first.txt"), "w") as f:
                f.write("half of ")
                f.flush()
                with open("ran.log", "a") as log:
                    log.write(f"first-{self.n}\\n")
                time.sleep(0.2 + 0.1 * (self.n % 3))
                f.write("the whole")

    class Second(b2luigi.Task):
        n = b2luigi.IntParameter()

        def requires(self):
            return First(n=self.n)

        def output(self):
            yield self.add_to_output("second.txt")

        def run(self):
            text = open(self.get_input_file_names("first.txt")[0]).read()
            assert text == "half of the whole", text
            with open("ran.log", "a") as log:
                log.write(f"second-{self.n}\\n")
            open(self.get_output_file_name("second.txt"), "w").close()

    class All(b2luigi.WrapperTask):
        def requires(self):
            return [Second(n=n) for n in range(8)]

    if __name__ == "__main__":
        b2luigi.set_setting("local_slots", 3)
        b2luigi.process(All(), batch=True)
"""


def test_two_runs_at_once_do_nothing_twice(system: System, project: Project) -> None:
    """What one has finished since the other looked is delivered there and not redone; no input is half-written."""
    project.write(PAIRS)
    runs = [project.start(), project.start()]
    for ended in map(end_of, runs):
        assert "progress looks :)" in ended.text, ended.text
    assert Counter(ran(project)) == Counter([f"{name}-{n}" for name in ("first", "second") for n in range(8)])
    assert project.inboxes() == []
    assert system.live_jobs() == []


def test_a_second_run_says_that_the_first_is_alive(system: System, project: Project) -> None:
    """Where and since when, in one line; its jobs are none of an earlier run."""
    project.write(parts(4))
    first = project.start()
    until(lambda: len(ran(project)) >= 3, "jobs run")
    text = let_go(project, project.start(), "Another run is working").text
    assert end_of(first).rc == 0
    lines = re.findall(r"Another run .*", text)
    assert len(lines) == 1, text
    assert re.search(rf"process {first.pid} on \S+, alive, since \d\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d", lines[0]), lines
    assert "earlier run" not in text
    assert ran(project) == ["0", "1", "2", "3"]


def test_a_second_run_takes_over_when_the_first_is_killed(system: System, project: Project) -> None:
    """From then on the jobs are those of an earlier run."""
    project.write(parts(4))
    first = project.start()
    until(lambda: len(ran(project)) >= 3, "jobs run")
    second = project.start()
    second.until_printed("Another run")
    first.send_signal(signal.SIGKILL)
    end_of(first)
    ended = let_go(project, second, ATTACHED)
    assert "* 5 ran successfully:" in ended.text, ended.text
    assert "of an earlier run" in ended.text
    assert ran(project) == ["0", "1", "2", "3"]
    assert project.inboxes() == []
