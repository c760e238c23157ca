"""`b2luigi status`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from b2luigi.cli.command.app import COMMANDS
from b2luigi.core.project_words import words_of_task
from tests.cli.command.conftest import A, B, C, Call, D, E
from tests.monitor.journals import Text

COLUMNS = [
    *("task_id", "class", "parameters", "state", "batch_system", "job_id", "attempt", "attempts", "node", "submitted"),
    *("started", "ended", "memory", "memory_requested", "cpu", "log_dir", "reason"),
]


def test_a_table_of_the_classes_and_what_needs_a_look(journal: Text, call: Call) -> None:
    """Failed tasks come with job, node and reason; text from a task cannot act on the terminal."""
    result = call("status")
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.strip()}
    assert rows["class"][1:] == ["waiting", "queued", "running", "done", "failed", "tasks"]
    assert rows["Make"][1:] == ["-", "1", "-", "1", "1", "3"]
    assert rows["all"][1:] == ["2", "1", "-", "1", "1", "5"]
    (failed,) = [line for line in result.stdout.splitlines() if line.startswith("Make(n=2")]
    assert failed.split()[:4] == ["Make(n=2,", "mode=fast)", "failed", "slurm"]
    assert "ValueError: ?[31mno <b>such</b> run" in failed
    assert "\x1b" not in result.stdout


def test_states_that_are_seldom_have_a_column_when_a_task_is_in_them(journal: Text, call: Call) -> None:
    """The table fits on a terminal of 80 columns; nothing is hidden."""
    journal.add("held", token="c" * 16, reason="by a person")
    heading = next(line for line in call("status").stdout.splitlines() if line.startswith("class"))
    assert heading.split() == ["class", "waiting", "queued", "held", "running", "done", "failed", "tasks"]


def test_a_run_of_a_project_shows_what_a_person_types(project: Path, call: Call) -> None:
    """Not what the command makes of it."""
    words = ["--batch", "--failure-exit-code", "1", *words_of_task("Fit", "/p/tasks.py", "", ["lifetime=2"])]
    Text(project, script="/p/tasks.py", arguments=words)
    assert " of /p/tasks.py (b2luigi run Fit -P lifetime=2), process " in call("status").stdout


def test_a_run_that_was_killed(journal: Text, call: Call) -> None:
    """Nobody looks after its jobs: status says so, and for each of them why says what to do, too."""
    advice = "Run the script again: it waits for the jobs that are still there, and submits what is missing."
    assert "no longer running: it was killed" in call("status").stdout
    assert advice in call("status").stdout
    assert advice in call("why", C).stdout
    assert advice in call("why", D).stdout
    assert advice not in call("why", B).stdout
    journal.add("finished", result="failed")
    assert advice not in call("status").stdout
    assert advice not in call("why", D).stdout


def test_json(journal: Text, call: Call) -> None:
    """All tasks with all columns; numbers are seconds and bytes."""
    found = json.loads(call("status", "--json").stdout)
    assert found["format"] == 1
    assert found["run"]["counts"] == {"waiting": 2, "queued": 1, "done": 1, "failed": 1}
    assert [list(task) for task in found["tasks"]] == [COLUMNS] * 5
    tasks = {task["task_id"]: task for task in found["tasks"]}
    assert set(tasks) == {A, B, C, D, E}
    assert tasks[A]["parameters"] == {"n": "1", "mode": "fast"}
    assert (tasks[A]["memory"], tasks[A]["memory_requested"], tasks[A]["cpu"]) == (450_000_000, 4_000_000_000, 50.0)
    assert tasks[C]["state"] == "queued"
    assert tasks[D]["job_id"] is None


def test_some_tasks_only(journal: Text, call: Call) -> None:
    """By class, by name, or those that failed."""

    def listed(*words: str) -> set[str]:
        return {task["task_id"] for task in json.loads(call("status", "--json", *words).stdout)["tasks"]}

    assert listed("--class", "Merge") == {D}
    assert listed("--failed") == {B}
    assert listed("--failed", "--class", "Make(n=1)") == set()


def test_the_last_run_and_others(journal: Text, project: Path, call: Call) -> None:
    """The newest one, another by the beginning of its id, or so many runs back."""
    Text(project, "20251126-080000-ffffff").task(A)
    assert "20251126-080000-ffffff" in call("status").stdout
    for which in ("20251125", "-2"):
        assert "20251125-211733-ab12cd" in call("status", "--run", which).stdout
    result = call("status", "--run", "2024")
    assert result.exit_code == 1
    assert "No run begins with 2024" in result.stderr
    assert "20251126-080000-ffffff" in result.stderr


def test_where_there_is_no_run(project: Path, call: Call) -> None:
    """What was looked for is said, in words and not by a traceback."""
    result = call("status")
    assert result.exit_code == 1
    assert "task_files/runs/*/journal.jsonl" in result.stderr
    assert call("status", "nowhere.py").exit_code == 1


def test_a_journal_that_is_damaged(journal: Text, call: Call) -> None:
    """What can be read is shown, and what cannot is counted."""
    journal.raw('{"t": 1, "e": "status", "id": \n\n[1]\n').add("status", id=C, status="done")
    result = call("status")
    assert result.exit_code == 0
    assert "2 lines of the journal cannot be read" in result.stdout


def test_watching_a_run_that_is_over(journal: Text, call: Call) -> None:
    """There is one look, and no endless wait."""
    assert "Make(n=2, mode=fast)" in call("status", "--watch").stdout


@pytest.mark.parametrize("command", ["status", "why", "logs"])
def test_looking_at_a_run_loads_no_luigi(journal: Text, command: str) -> None:
    """Half of the time that a look would take; whoever looks at all runs looks often."""
    code = (
        "import sys; from typer.testing import CliRunner; from b2luigi.cli.command.app import app\n"
        f"said = CliRunner().invoke(app, {[command, *([] if command == 'status' else ['Merge'])]!r})\n"
        "print(said.exit_code, *{'luigi', 'jinja2', 'b2luigi.batch.workers'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() in (["0"], ["1"])  # Merge has no log yet


def test_every_command_is_there(call: Call) -> None:
    """Each is imported when it is called, and all of them for the help."""
    text = call("--help").stdout
    for command in COMMANDS:
        assert f"  {command} " in text
        assert call(command, "--help").exit_code == 0
    assert call("nosuch").exit_code == 2
