"""The reader: from the text of journals to runs, tasks and attempts."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import b2luigi.monitor
from b2luigi.batch.attempts.inbox import CLAIMS, OWNER, Inbox
from b2luigi.batch.attempts.liveness import this_process
from b2luigi.batch.attempts.outcome import DONE, FAILED, Outcome
from b2luigi.monitor import NoRunsError, State, load, load_run, log_folder
from tests.monitor.journals import BEGAN, Text
from tests.present import present

A, B, C = "Make_1_aa", "Make_2_bb", "Merge__cc"
T, U = "a" * 16, "b" * 16


def states(journal: Text) -> dict[str, State]:
    """By task id."""
    return {task_id: task.state for task_id, task in load_run(journal.folder).tasks.items()}


class TestStates:
    """What the events of a task make of its state."""

    def test_follows_a_job_from_its_submission_to_its_end(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A)
        seen = [states(journal)[A]]
        journal.add("submitting", id=A, attempt=1, token=T, batch_system="slurm")
        seen.append(states(journal)[A])
        for kind in ("queued", "held", "released"):
            seen.append(states(journal.add(kind, token=T, job_id="7", reason="JobHeldUser"))[A])
        seen += [states(journal.running(T))[A], states(journal.ended(T))[A]]
        assert seen == ["waiting", "submitting", "queued", "held", "queued", "running", "done"]

    def test_a_job_of_this_machine_that_waits_for_a_free_slot_is_queued(self, tmp_path: Path) -> None:
        journal = Text(tmp_path, process=this_process()).task(A)
        journal.add("submitting", id=A, attempt=1, token=T, batch_system="local")
        assert states(journal) == {A: State.queued}

    def test_a_failed_task_has_the_reason_of_its_job(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).queued(A, T).running(T)
        journal.ended(T, "memory", cause="OUT_OF_MEMORY", reason="memory limit", exit_code=137)
        journal.add("status", id=A, status="failed")
        task = load_run(journal.folder).tasks[A]
        assert (task.state, task.reason) == (State.failed, "memory limit")
        assert (present(task.last).cause, present(task.last).exit_code) == ("OUT_OF_MEMORY", 137)

    def test_what_a_person_cancelled_did_not_fail(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).queued(A, T).ended(T, "cancelled", reason="cancelled by you")
        assert states(journal.add("status", id=A, status="failed")) == {A: State.cancelled}

    def test_a_resubmitted_task_has_two_attempts_and_the_state_of_the_last(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).queued(A, T, "7").running(T).ended(T, "infrastructure", reason="NODE_FAIL")
        journal.add("again", id=A, why="NODE_FAIL")
        assert states(journal) == {A: State.waiting}
        journal.queued(A, U, "8", attempt=2)
        task = load_run(journal.folder).tasks[A]
        assert (task.state, task.job_id, [one.job_id for one in task.attempts]) == (State.queued, "8", ["7", "8"])
        assert task.row()["attempts"] == 2

    def test_late_news_of_a_replaced_job_does_not_change_the_task(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).queued(A, T).queued(A, U, attempt=2).running(U)
        assert states(journal.ended(T, "vanished")) == {A: State.running}

    def test_a_task_that_yielded_requirements_waits_for_them(self, tmp_path: Path) -> None:
        journal = (
            Text(tmp_path).task(A).queued(A, T).running(T).ended(T, "pending").add("status", id=A, status="pending")
        )
        assert states(journal) == {A: State.waiting}

    def test_what_was_complete_before_the_run_is_told_apart(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A, status="done").task(B).add("status", id=B, status="done")
        tasks = load_run(journal.folder).tasks
        assert {name: (task.state.value, task.done_before) for name, task in tasks.items()} == {
            A: ("done", True),
            B: ("done", False),
        }

    def test_a_resumed_job_has_the_id_it_had(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A)
        journal.add("resumed", id=A, attempt=3, token=T, batch_system="lsf", job_id="99", submitted=BEGAN - 3600)
        attempt = present(load_run(journal.folder).tasks[A].last)
        assert (attempt.number, attempt.job_id, attempt.resumed) == (3, "99", True)
        assert attempt.submitted == BEGAN - 3600


class TestWaiting:
    """A task that waits says for what."""

    def test_names_the_task_that_failed_with_its_parameters_however_far_away(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A, n="1").task(B, (A,)).task(C, (B,))
        journal.queued(A, T).ended(T, "failed", reason="ValueError")
        assert load_run(journal.folder).tasks[C].reason == "waits for Make(n=1), which failed"

    def test_counts_what_is_missing(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).task(B).task("Old_1_dd", status="done").task(C, (A, B, "Old_1_dd"))
        assert load_run(journal.folder).tasks[C].reason == "waits for 2 of 3 requirements"

    def test_names_the_path_of_external_data_that_are_missing(self, tmp_path: Path) -> None:
        journal = Text(tmp_path)
        facts: dict[str, Any] = {"class": "Raw", "parameters": {"run": "7"}, "external": True, "status": "pending"}
        journal.add("task", id="Raw_7_dd", **facts, outputs=["/data/7.root"]).task(A, ("Raw_7_dd",))
        tasks = load_run(journal.folder).tasks
        assert tasks["Raw_7_dd"].reason == "its data is missing: /data/7.root"
        assert tasks[A].reason == "waits for Raw(run=7), whose data is missing: /data/7.root"

    def test_a_long_chain_is_no_problem(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task("T_0").queued("T_0", T).ended(T, "failed")
        for number in range(1, 3000):
            journal.task(f"T_{number}", (f"T_{number - 1}",))
        assert "which failed" in load_run(journal.folder).tasks["T_2999"].reason


class TestUsage:
    """What a job used, and when by which clock."""

    USED = {"started": BEGAN + 5, "ended": BEGAN + 65, "wall": 60.0, "cpu": 58.5}

    def test_has_memory_and_cpu_beside_what_was_asked_for(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).queued(A, T).running(T)
        journal.ended(T, after=100.0, usage={**self.USED, "memory": 600_000_000, "memory_from": "cgroup"})
        row = load_run(journal.folder).tasks[A].row()
        assert (row["memory"], row["memory_requested"], row["cpu"]) == (600_000_000, 4_000_000_000, 58.5)
        assert (row["started"], row["ended"]) == (BEGAN + 5, BEGAN + 65)

    def test_a_node_whose_clock_is_ahead_ends_no_job_in_the_future(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).queued(A, T).running(T)
        ahead = {**self.USED, "started": BEGAN + 7203, "ended": BEGAN + 7263}
        attempt = present(load_run(journal.ended(T, usage=ahead).folder).tasks[A].last)
        assert attempt.clock_offset == pytest.approx(7200)
        assert present(attempt.ended) - present(attempt.started) == pytest.approx(60)
        assert present(attempt.ended) == journal.now
        assert attempt.usage.ended == BEGAN + 7263

    def test_a_node_whose_clock_is_behind_starts_no_job_before_its_submission(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).queued(A, T).running(T)
        behind = {**self.USED, "started": BEGAN - 3600, "ended": BEGAN - 3540}
        task = load_run(journal.ended(T, usage=behind).folder).tasks[A]
        assert present(task.started) >= present(task.submitted)
        assert present(task.last).clock_offset < -3000

    def test_without_usage_the_wall_time_is_what_the_run_saw(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).queued(A, T).running(T).ended(T, after=42.0)
        assert load_run(journal.folder).tasks[A].wall == 42.0


class TestLife:
    """Whether a run is alive is seen from its process, not from its journal."""

    def test_a_run_that_ended_by_itself_says_how(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).add("finished", result="SUCCESS", done=1, failed=0, left=0, elapsed=12.5)
        run = load_run(journal.folder)
        assert (run.is_alive, run.result, run.elapsed, run.finished) == (False, "SUCCESS", 12.5, journal.now)

    def test_the_run_of_a_process_that_lives_is_alive(self, tmp_path: Path) -> None:
        inbox = Inbox.new(tmp_path / "task_files")
        inbox.open()
        assert load_run(Text(tmp_path, inbox=inbox.name).folder).is_alive
        inbox.close()

    def test_so_is_one_that_only_follows_jobs_and_has_no_inbox(self, tmp_path: Path) -> None:
        assert load_run(Text(tmp_path, process=this_process()).folder).is_alive

    def test_the_jobs_of_a_killed_run_are_shown_as_left(self, tmp_path: Path) -> None:
        process = subprocess.Popen([sys.executable, "-c", ""])
        owner = {**this_process(), "pid": process.pid}
        process.wait()
        journal = Text(tmp_path, process=owner).task(A).queued(A, T).running(T)
        run = load_run(journal.folder)
        assert not run.is_alive
        assert run.result == ""
        seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(journal.now))
        assert run.tasks[A].reason == f"left running when the run was killed; seen last at {seen}"
        assert run.elapsed == journal.now - BEGAN

    @pytest.mark.parametrize(("age", "is_alive"), [(5.0, True), (3600.0, False)])
    def test_on_another_host_a_run_is_alive_while_it_shows_it(self, tmp_path: Path, age: float, is_alive: bool) -> None:
        inbox = tmp_path / "task_files" / "inbox-0123456789ab"
        journal = Text(tmp_path)
        inbox.mkdir()
        (inbox / OWNER).write_text(json.dumps({**this_process(), "host": "elsewhere"}))
        for path in (inbox / OWNER, journal.path):
            os.utime(path, (time.time() - age,) * 2)
        assert load_run(journal.folder).is_alive is is_alive


class TestLeft:
    """Jobs that a run has left when it was over: what is known of them since."""

    def test_one_whose_files_show_its_end_has_that_end(self, tmp_path: Path) -> None:
        journal = killed(tmp_path).task(A).queued(A, T).running(T).task(B).queued(B, U).running(U)
        outcome(journal, T, Outcome(DONE, node="node17", usage={"cpu": 3.5, "memory": 70_000_000}))
        outcome(journal, U, Outcome(FAILED, headline="ValueError: bad weather"))
        made, failed = (load_run(journal.folder).tasks[task_id] for task_id in (A, B))
        assert (made.state, made.node, made.cpu, made.memory) == (State.done, "node17", 3.5, 70_000_000)
        assert failed.state is State.failed
        assert failed.reason.startswith("ValueError: bad weather; the run was over by then")

    def test_one_that_left_its_exit_code_only_has_failed(self, tmp_path: Path) -> None:
        journal = killed(tmp_path).task(A).queued(A, T).running(T)
        claim(journal, T)
        (inbox_of(journal) / T).write_text("137 none\n")
        task = load_run(journal.folder).tasks[A]
        assert (task.state, present(task.last).exit_code) == (State.failed, 137)
        assert task.reason.startswith("its job ended with exit code 137; the run was over by then")

    def test_one_that_a_later_run_took_up_has_the_end_that_run_has_seen(self, tmp_path: Path) -> None:
        journal = killed(tmp_path).task(A).queued(A, T).running(T)
        later = Text(tmp_path, "20251126-090000-ab12cd").task(A)
        later.add("resumed", id=A, attempt=1, token=T, batch_system="slurm", job_id="4711").running(T)
        later.ended(T, "memory", reason="memory limit", exit_code=137)
        task = load_run(journal.folder).tasks[A]
        assert (task.state, task.reason, len(task.attempts)) == (State.failed, "memory limit", 1)
        assert load_run(journal.folder).elapsed == journal.now - BEGAN

    def test_a_job_of_an_earlier_run_is_looked_for_where_that_run_has_it(self, tmp_path: Path) -> None:
        journal = killed(tmp_path, inbox="inbox-ffffffffffff").task(A)
        journal.add("resumed", id=A, attempt=1, token=T, batch_system="lsf", job_id="7", inbox="inbox-0123456789ab")
        outcome(journal, T, Outcome(DONE))
        assert states(journal) == {A: State.done}

    def test_one_that_waited_for_a_free_slot_of_this_machine_was_not_started(self, tmp_path: Path) -> None:
        journal = killed(tmp_path).task(A).add("submitting", id=A, attempt=1, token=T, batch_system="local")
        task = load_run(journal.folder).tasks[A]
        assert task.state is State.waiting
        assert task.reason.startswith("its job had not started when the run was killed")

    def test_a_held_one_still_says_why(self, tmp_path: Path) -> None:
        journal = killed(tmp_path).task(A).queued(A, T).add("held", token=T, reason="JobHeldUser")
        reason = load_run(journal.folder).tasks[A].reason
        assert reason.startswith("left held when the run was killed")
        assert reason.endswith("(JobHeldUser)")


def killed(project: Path, **header: Any) -> Text:
    """The journal of a run whose process is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    owner = {**this_process(), "pid": process.pid}
    process.wait()
    return Text(project, process=owner, **header)


def inbox_of(journal: Text) -> Path:
    return journal.folder.parent.parent / "inbox-0123456789ab"


def claim(journal: Text, token: str) -> Path:
    """The run has noted in its inbox that it has this attempt; returns the folder of its files."""
    folder = inbox_of(journal).parent / f"of-{token}"
    folder.mkdir(parents=True)
    inbox_of(journal).mkdir(exist_ok=True)
    with open(inbox_of(journal) / CLAIMS, "a") as file:
        file.write(json.dumps([folder.name, 1, token, {}]) + "\n")
    return folder


def outcome(journal: Text, token: str, found: Outcome) -> None:
    """A node has left the outcome of this attempt."""
    (claim(journal, token) / f"{token}.outcome").write_text(found.to_json())


class TestDamage:
    """Whatever lies there is read as far as it goes, and the rest is counted."""

    def test_a_torn_last_line_is_no_problem(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).raw('{"t": 12, "e": "sub')
        run = load_run(journal.folder)
        assert (list(run.tasks), run.problems) == ([A], ())

    def test_lines_that_cannot_be_read_are_counted_and_named(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).raw("\x00\x00\n[1]\n").task(A).raw('{"t": "soon", "e": "task", "id": "x"}\n').task(B)
        run = load_run(journal.folder)
        assert list(run.tasks) == [A, B]
        assert run.problems == ("3 lines of the journal cannot be read and were skipped: 2, 3, 6",)

    def test_unknown_events_and_facts_are_passed_over(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).add("eclipse", moon=1).task(A).add("status", id=A, status="pending", colour="red")
        assert load_run(journal.folder).problems == ()

    def test_a_journal_of_a_later_release_is_read_and_says_so(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A)
        journal.path.write_text(journal.path.read_text().replace('"format": 1', '"format": 2'))
        run = load_run(journal.folder)
        assert list(run.tasks) == [A]
        assert "later release" in run.problems[0]

    def test_a_lost_first_line_loses_nothing_else(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A)
        journal.path.write_text("{}garbage\n" + journal.path.read_text().partition("\n")[2])
        run = load_run(journal.folder)
        assert (list(run.tasks), run.is_alive, run.started > 0) == ([A], False, True)

    def test_no_mutation_of_a_journal_breaks_the_reader(self, tmp_path: Path) -> None:
        journal = Text(tmp_path).task(A).task(B, (A,)).queued(A, T).running(T).ended(T, "failed", usage=TestUsage.USED)
        journal.add("outage", what="w", reason="r").add("outage_over", what="w").add("finished", elapsed=1)
        text, luck = journal.path.read_text(), random.Random(17)
        parts = ['"', "{", "}", "[", "]", "null", "1e999", "-1", "true", "\n", "\\", "NaN", '{"a": []}', "\x1b", "é"]
        for _ in range(2000):
            place, length = luck.randrange(len(text)), luck.randrange(12)
            journal.path.write_text(text[:place] + luck.choice(parts) + text[place + length :])
            for task in load_run(journal.folder).tasks.values():
                json.dumps(task.row())


class TestPlaces:
    """Where journals are looked for."""

    def test_script_project_folder_and_run_lead_to_the_same_run(self, tmp_path: Path) -> None:
        (tmp_path / "analysis.py").write_text("import b2luigi\n")
        journal = Text(tmp_path)
        ways = [tmp_path / "analysis.py", tmp_path, tmp_path / "task_files", journal.folder.parent, journal.folder]
        assert [[run.id for run in load(way)] for way in ways] == [[journal.folder.name]] * 5

    def test_a_script_has_its_own_runs_only_and_the_newest_comes_first(self, tmp_path: Path) -> None:
        for name, script in (("20251101-000000-000001", "a.py"), ("20251102-000000-000002", "b.py")):
            Text(tmp_path, name, script)
            (tmp_path / script).write_text("")
        Text(tmp_path, "20251103-000000-000003", "a.py")
        assert [run.id[-1] for run in load(tmp_path / "a.py")] == ["3", "1"]
        assert [run.id[-1] for run in load(tmp_path)] == ["3", "2", "1"]

    @pytest.mark.parametrize(
        ("file", "text"),
        [("settings.json", '{"task_file_dir": "jobs"}'), ("s.py", 'b2luigi.set_setting("task_file_dir", "jobs")\n')],
    )
    def test_the_folder_may_have_another_name(self, tmp_path: Path, file: str, text: str) -> None:
        Text(tmp_path, script="s.py")
        os.rename(tmp_path / "task_files", tmp_path / "jobs")
        (tmp_path / "s.py").touch()
        (tmp_path / file).write_text(text)
        assert len(load(tmp_path / "s.py")) == 1

    def test_a_folder_without_runs_says_what_was_looked_for(self, tmp_path: Path) -> None:
        with pytest.raises(NoRunsError, match=r"task_files/runs/\*/journal.jsonl"):
            load(tmp_path)
        with pytest.raises(NoRunsError, match=r"no such script or folder: .*nowhere"):
            load(tmp_path / "nowhere")

    def test_the_current_folder_and_its_parents_have_their_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The paths of a run are shown, and copied."""
        (tmp_path / "empty").mkdir()
        monkeypatch.chdir(tmp_path / "empty")
        with pytest.raises(NoRunsError, match=f"was found for {tmp_path}/empty. "):
            load(".")
        journal = Text(tmp_path)
        assert [run.folder for run in load("..")] == [journal.folder]

    def test_the_log_folder_of_a_task_with_secrets_is_found(self, tmp_path: Path) -> None:
        folder = tmp_path / "logs" / "token=open sesame" / "n=[1]" / "A"
        folder.mkdir(parents=True)
        journal = Text(tmp_path).task(A)
        masked = str(folder).replace("open sesame", "***")
        journal.add("submitting", id=A, attempt=1, token=T, batch_system="lsf", log_dir=masked)
        attempt = present(load_run(journal.folder).tasks[A].last)
        assert log_folder(attempt) == folder

    def test_reading_loads_neither_luigi_nor_what_draws(self) -> None:
        code = "import b2luigi.monitor, sys; print(*{'luigi', 'rich', 'typer', 'jinja2'} & set(sys.modules))"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ran.stdout.split() == []

    def test_all_names_are_those_of_the_documentation(self) -> None:
        assert all(hasattr(b2luigi.monitor, name) for name in b2luigi.monitor.__all__)
