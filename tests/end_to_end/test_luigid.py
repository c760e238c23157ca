"""luigi's central scheduler, a real luigid: what it shows, and what happens when it goes away."""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import local
from tests.end_to_end.project import Project, end_of
from tests.waiting import PATIENCE, until

WORK = """
    class Part(b2luigi.Task):
        n = b2luigi.IntParameter()
        def output(self):
            yield self.add_to_output("part.txt")
        def run(self):
            with open("ran.log", "a") as f:
                f.write(f"{{self.n}}\\n")
            {work}
            if self.n == 7:
                raise ValueError("seven is too much")
            open(self.get_output_file_name("part.txt"), "w").close()

    class Whole(b2luigi.Task):
        def requires(self):
            return [Part(n=n) for n in {numbers}]
        def output(self):
            yield self.add_to_output("whole.txt")
        def run(self):
            open(self.get_output_file_name("whole.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.set_setting("local_slots", 3)
        b2luigi.process(Whole(), batch={batch})
"""
GO = "wait_for('go')"


class Luigid:
    """A luigid of one's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.port = next(filter(_is_free, iter(lambda: random.randrange(20_000, 32_000), None)))
        self.start()

    def start(self) -> None:
        """Starts it, with the state it has saved, and waits until it answers."""
        words = ["--address", "127.0.0.1", "--port", str(self.port), "--state-path", str(self.folder / "state")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("luigid"), *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        until(self.answers, "luigid answers")

    def answers(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Ends it; it saves its state."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)

    def ask(self, method: str, **data: Any) -> Any:
        """One call of its API."""
        query = urllib.parse.urlencode({"data": json.dumps(data)})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/{method}?{query}", timeout=PATIENCE) as answer:
            return json.load(answer)["response"]

    def tasks(self, status: str) -> list[str]:
        """Families of the tasks of a status."""
        return sorted(
            task["display_name"] for task in self.ask("task_list", status=status, upstream_status="").values()
        )


def _is_free(port: int) -> bool:
    """Not one of those that this machine gives to anybody: luigid comes back to it."""
    with socket.socket() as free:
        try:
            free.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture
def luigid(tmp_path: Path) -> Iterator[Luigid]:
    daemon = Luigid(tmp_path / "luigid")
    yield daemon
    daemon.stop()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with local(tmp_path) as system:
        yield Project(tmp_path / "project", system.env)


def flags(luigid: Luigid) -> list[str]:
    return ["--scheduler-host", "127.0.0.1", "--scheduler-port", str(luigid.port)]


@pytest.mark.parametrize("batch", [True, False])
def test_luigid_knows_every_task(project: Project, luigid: Luigid, batch: bool) -> None:
    """States, and the traceback of a failure that happened on a node."""
    project.write(WORK.format(work="pass", numbers=[1, 7], batch=batch))
    project.run(*flags(luigid))
    assert luigid.tasks("DONE") == ["Part(n=1)"]
    assert luigid.tasks("FAILED") == ["Part(n=7)"]
    (task_id,) = luigid.ask("task_list", status="FAILED", upstream_status="")
    assert "seven is too much" in luigid.ask("fetch_error", task_id=task_id)["error"]


def test_luigid_may_go_away_while_jobs_run(project: Project, luigid: Luigid) -> None:
    """It is waited for, logged once; no job is cancelled, and none runs twice."""
    project.write(WORK.format(work=GO, numbers=[1, 2, 3], batch=True))
    process = project.start(*flags(luigid))
    log = project.folder / "ran.log"
    until(lambda: log.exists() and len(log.read_text().split()) == 3, "the jobs run")
    luigid.stop()
    project.touch("go")
    until(lambda: len(list(project.folder.rglob("part.txt"))) == 3, "the jobs are done")
    process.until_printed("does not answer; the jobs keep running.")
    luigid.start()
    ended = end_of(process)
    assert "progress looks :)" in ended.text, ended.text
    assert ended.text.count("does not answer; the jobs keep running.") == 1
    assert "luigi's scheduler answers again after" in ended.text
    assert sorted(log.read_text().split()) == ["1", "2", "3"]


def test_a_killed_run_gets_its_tasks_back_from_luigid(project: Project, luigid: Luigid) -> None:
    """luigid thinks they run; a new run under the same name resumes their jobs instead of doing nothing."""
    project.write(WORK.format(work=GO, numbers=[1, 2, 3], batch=True))
    process = project.start(*flags(luigid))
    log = project.folder / "ran.log"
    until(lambda: log.exists() and len(log.read_text().split()) == 3, "the jobs run")
    process.kill()
    end_of(process)
    process = project.start(*flags(luigid))
    process.until_printed("of an earlier run.")
    project.touch("go")
    ended = end_of(process)
    assert (project.folder / "whole.txt").exists(), ended.text
    assert sorted(log.read_text().split()) == ["1", "2", "3"]


def test_a_luigid_that_was_never_there_is_an_error(project: Project, luigid: Luigid) -> None:
    """A wrong port is an error soon, not a run that waits for ever."""
    luigid.stop()
    project.write(WORK.format(work="pass", numbers=[1], batch=True))
    (project.folder / "luigi.cfg").write_text("[core]\nrpc-retry-attempts = 2\nrpc-retry-wait = 1\n")
    ended = project.run(*flags(luigid))
    luigid.start()
    assert ended.rc != 0
    assert "Errors (2 attempts) when connecting to remote scheduler" in ended.text


REPORTS = """
    class Reports(b2luigi.Task):
        def output(self):
            yield self.add_to_output("done.txt")
        def run(self):
            self.set_tracking_url("http://first.example/job")
            self.set_status_message("half of it")
            self.set_progress_percentage(50)
            while not os.path.exists("go"):
                time.sleep(0.1)
            self.set_status_message("all of it")
            self.set_progress_percentage(100)
            {end}

    if __name__ == "__main__":
        b2luigi.process(Reports(), batch={batch})
"""


def shown(luigid: Luigid, status: str) -> dict[str, Any]:
    """What luigid shows of the one task of a status."""
    tasks = luigid.ask("task_list", status=status, upstream_status="")
    for task_id in tasks:
        return {
            "url": tasks[task_id]["tracking_url"],
            "message": luigid.ask("get_task_status_message", task_id=task_id)["statusMessage"],
            "progress": luigid.ask("get_task_progress_percentage", task_id=task_id)["progressPercentage"],
        }
    return {}


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("status", ["DONE", "FAILED"])
def test_luigid_shows_the_reports_of_a_task(project: Project, luigid: Luigid, batch: bool, status: str) -> None:
    """Tracking URL, status message and progress, while the task runs and after; nothing is left on disk."""
    end = 'open(self.get_output_file_name("done.txt"), "w").close()' if status == "DONE" else "raise ValueError"
    project.write(REPORTS.format(end=end, batch=batch))
    process = project.start(*flags(luigid))
    first = {"url": "http://first.example/job", "message": "half of it", "progress": 50}
    try:
        until(lambda: shown(luigid, "RUNNING") == first, "luigid shows the first words")
    finally:  # or the script would wait, for the task and then for luigid, for ever
        (project.folder / "go").touch()
        end_of(process)
    assert shown(luigid, status) == {**first, "message": "all of it", "progress": 100}
    assert list(project.folder.rglob("*.progress")) == []
    assert len(luigid.ask("worker_list")) <= 1


def test_luigid_shows_where_the_jobs_are(project: Project, luigid: Luigid) -> None:
    """Batch system, job id, node, since when, and the logs; the worker says whose it is, and of which script.

    A task that is cancelled from another terminal is not tried again before somebody asks for that.
    """
    project.write(WORK.format(work=GO, numbers=[1, 2], batch=True))
    process = project.start(*flags(luigid))
    script = str(project.folder / "analysis.py")
    try:
        until(lambda: "running in local" in str(shown(luigid, "RUNNING").get("message")), "luigid shows a job")
        page = shown(luigid, "RUNNING")
        assert re.fullmatch(r"running in local as \d+ on \S+ since \d\d:\d\d; logs: /.*/logs/.*", page["message"]), page
        assert page["url"].startswith("file:///")
        (worker,) = luigid.ask("worker_list")
        assert re.search(r"user=\S+, script=analysis\.py, host=", worker["name"]), worker["name"]
        words = ("-m", "b2luigi", "cancel", "Part(n=1)", "--in", script)
        assert end_of(project.start_python(*words)).rc == 0
        until(lambda: len(luigid.ask("task_list", status="DISABLED", upstream_status="")) == 1, "it is disabled")
        assert end_of(project.start_python(*("-m", "b2luigi", "retry", "--failed", "--in", script))).rc == 0
    finally:
        (project.folder / "go").touch()
        ended = end_of(process)
    assert "* 3 ran successfully:" in ended.text, ended.text
