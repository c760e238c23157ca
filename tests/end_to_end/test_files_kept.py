"""What a run leaves in the folders of a user: so many files for each task, and no more."""

from __future__ import annotations

import re
from pathlib import Path

from b2luigi.monitor import load
from tests.end_to_end.conftest import System
from tests.end_to_end.project import Project
from tests.present import present

SCRIPT = """
    class Part(b2luigi.Task):
        n = b2luigi.IntParameter()

        def output(self):
            yield self.add_to_output("part.txt")

        def run(self):
            self.set_status_message("half of it")
            self.set_progress_percentage(50)
            if self.n == 1 and self.job_attempt == 1:
                os.kill(os.getpid(), 9)
            if self.n == 2:
                raise ValueError("no")
            open(self.get_output_file_name("part.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process([Part(n=n) for n in range(3)], batch=True)
"""
KEPT = """
analysis.py
logs/n=0/Part/stderr
logs/n=0/Part/stdout
logs/n=1/Part/stderr
logs/n=1/Part/stderr.1
logs/n=1/Part/stdout
logs/n=1/Part/stdout.1
logs/n=2/Part/stderr
logs/n=2/Part/stdout
n=0/part.txt
n=1/part.txt
task_files/n=0/Part/attempt-1.json
task_files/n=0/Part/executable_wrapper.sh
task_files/n=1/Part/attempt-1.json
task_files/n=1/Part/attempt-2.json
task_files/n=1/Part/executable_wrapper.sh
task_files/n=2/Part/attempt-1.json
task_files/n=2/Part/batch.log
task_files/n=2/Part/executable_wrapper.sh
task_files/runs/<run>/journal.jsonl
task_files/runs/<run>/run.log
"""
"""Part 0 is done at once, the first job of part 1 is killed, part 2 fails.

The record of the killed job stays for a while: if the batch system starts that job again, its script reads there that
the attempt is over.
"""


def test_no_more_files_are_kept_for_a_task_than_these(system: System, project: Project) -> None:
    """The same files on every batch system, for each way a task can end."""
    project.write(SCRIPT)
    ended = project.run()
    assert "* 2 ran successfully:" in ended.text, ended.text
    files = (str(path.relative_to(project.folder)) for path in project.folder.rglob("*") if path.is_file())
    names = (re.sub(r"\b[0-9a-f]{16}\b", "<token>", name) for name in files)
    assert sorted(re.sub(r"\b\d{8}-\d{6}-[0-9a-f]{6}\b", "<run>", name) for name in names) == KEPT.split()
    assert project.inboxes() == []
    _check_journal(project)


def _check_journal(project: Project) -> None:
    """The journal of that run, read from elsewhere, says of each task how it ended, where, and what it used."""
    (run,) = load(project.folder)
    assert (run.is_alive, run.result, run.problems) == (False, "failed", ())
    tasks = {task.parameters["n"]: task for task in run.tasks.values()}
    assert {n: task.state.value for n, task in tasks.items()} == {"0": "done", "1": "done", "2": "failed"}
    assert {n: len(task.attempts) for n, task in tasks.items()} == {"0": 1, "1": 2, "2": 1}
    assert tasks["2"].reason == "ValueError: no"
    killed, last = tasks["1"].attempts
    assert (killed.end, killed.exit_code) == ("infrastructure", 137)
    assert killed.job_id != last.job_id
    for attempt in (task.attempts[-1] for task in tasks.values()):
        assert attempt.job_id
        assert attempt.node
        assert present(attempt.submitted) <= present(attempt.started) <= present(attempt.ended)
        assert present(attempt.usage.cpu) > 0
        assert present(attempt.usage.memory) > 5_000_000
        assert (project.folder / attempt.log_dir / "stderr").exists()
    log = Path(run.log).read_text()
    assert "Informed scheduler that task" in log
    assert "ValueError: no" in log
