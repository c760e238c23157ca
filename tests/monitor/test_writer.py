"""The writer: what happens in a run is in its folder a moment later, and the run never waits for that."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
import resource
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.parameter import ParameterVisibility

import b2luigi
from b2luigi.batch.queue.outage import Outage
from b2luigi.monitor import State, load, load_run
from b2luigi.monitor.journal.log_file import LogHandler
from b2luigi.monitor.journal.spool import File, Lines, Spool
from b2luigi.monitor.journal.writer import Journal, NoJournal
from tests.machine import no_room
from tests.present import present
from tests.waiting import until

logger = logging.getLogger("luigi-interface.b2luigi")
TOKEN = "0123456789abcdef"


class Part(b2luigi.Task):
    """A task with secrets."""

    n = b2luigi.IntParameter()
    grid_token = b2luigi.Parameter(default="open sesame, please")
    hidden = b2luigi.Parameter(default="family matters", visibility=ParameterVisibility.PRIVATE)


class Unspeakable(str):
    """A value that has no text."""

    def __str__(self) -> str:
        raise ValueError("unspeakable")


def reported(task: luigi.Task, status: str = "PENDING", deps: tuple[str, ...] = ()) -> dict[str, Any]:
    """What luigi's worker reports to its scheduler."""
    facts = {"task_id": task.task_id, "status": status, "deps": list(deps)}
    return {**facts, "family": task.task_family, "module": task.task_module, "params": task.to_str_params()}


@pytest.fixture
def journal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Journal]:
    """Of a run that has just begun, in which luigi logs as it does by default."""
    caplog.set_level(logging.INFO, "luigi-interface")
    made = Journal(lambda: tmp_path / "task_files", lambda: str(tmp_path / "s.py"), every=0.01)
    made.listen()
    yield made
    made.close(result="done")
    made.detach()


def folder_of(journal: Journal) -> Path:
    """Where a journal is kept that was opened."""
    return present(journal.folder)


class TestRun:
    """From the begin of a run to its end."""

    def test_a_run_without_a_job_leaves_nothing(self, journal: Journal, tmp_path: Path) -> None:
        journal.report(reported(Part(n=1), "DONE"), None)
        journal.close(result="done")
        assert list(tmp_path.iterdir()) == []

    def test_what_came_before_the_first_job_is_there(self, journal: Journal, tmp_path: Path) -> None:
        task = Part(n=1)
        journal.report(reported(task, deps=("x",)), task)
        logger.info("scheduled")
        journal.open("inbox-1")
        journal.add("submitting", id=task.task_id, attempt=1, token=TOKEN, batch_system="lsf")
        journal.report({"task_id": task.task_id, "status": "FAILED"}, task)
        journal.close(result="failed", done=0, failed=1, left=0)
        run = load_run(folder_of(journal))
        (found,) = run.tasks.values()
        assert (found.class_name, found.parameters["n"], found.needs) == ("Part", "1", ("x",))
        assert (found.state, found.batch_system) == (State.failed, "lsf")
        assert (run.result, run.inbox, run.script, run.pid) == (
            "failed",
            "inbox-1",
            str(tmp_path / "s.py"),
            os.getpid(),
        )
        assert "INFO scheduled" in Path(run.log).read_text()

    def test_the_settings_of_a_class_are_there_once(self, tmp_path: Path) -> None:
        own = [("queue", "l", "attribute of Part"), ("env", {"A": "nobody's business"}, "attribute of Part")]
        journal = Journal(lambda: tmp_path, lambda: "s.py", settings_of=lambda task: own, every=0.01)
        for task in (Part(n=1), Part(n=2)):
            journal.report(reported(task), task)
        journal.open("inbox-1")
        journal.close(result="done")
        text = (folder_of(journal) / "journal.jsonl").read_text()
        assert (text.count('"e":"settings"'), "business" in text) == (1, False)
        (found,) = load_run(folder_of(journal)).class_settings["Part"][:1]
        assert found == ("queue", '"l"', "attribute of Part")

    def test_others_see_it_while_it_runs(self, journal: Journal, tmp_path: Path) -> None:
        journal.open("inbox-1")
        journal.report(reported(Part(n=1)), None)
        until(lambda: any(run.tasks for run in seen(tmp_path)), "the task is in the journal")

    def test_two_runs_do_not_mix(self, tmp_path: Path) -> None:
        both = [Journal(lambda: tmp_path, lambda: "s.py", every=0.01) for _ in range(2)]
        for n, one in enumerate(both):
            one.open(f"inbox-{n}")
            one.report(reported(Part(n=n)), None)
        for one in both:
            one.close(result="done")
        assert [[task.parameters["n"] for task in load_run(folder_of(one)).tasks.values()] for one in both] == [
            ["0"],
            ["1"],
        ]

    def test_the_summary_that_luigi_logs_after_the_run_is_in_its_log(self, journal: Journal) -> None:
        journal.open("inbox-1")
        journal.close(result="done")
        logger.info("the summary")
        journal.detach()
        logger.info("of something else")
        log = (folder_of(journal) / "run.log").read_text()
        assert log.endswith("INFO the summary\n")

    def test_without_a_run_nothing_is_written(self) -> None:
        NoJournal().open("inbox")
        NoJournal().add("queued", token=TOKEN)
        NoJournal().report(reported(Part(n=1)), None)

    def test_begin_and_end_of_an_outage_are_events(self, journal: Journal) -> None:
        journal.open("inbox-1")
        outage = Outage("LSF accepts jobs", time.monotonic)
        outage.begin("LSF is not accepting jobs: %s", "queue closed")
        outage.end()
        journal.close(result="done")
        (found,) = load_run(folder_of(journal)).outages
        assert (found.what, found.reason) == ("LSF accepts jobs", "LSF is not accepting jobs: queue closed")
        assert present(found.ended) >= found.began


def seen(tmp_path: Path) -> list[Any]:
    """The runs that others see; none as long as there is nothing."""
    try:
        return list(load(tmp_path / "task_files"))
    except ValueError:
        return []


class TestLog:
    """The log has more than the terminal, which gets what it got before."""

    def test_has_what_the_user_does_not_want_on_the_terminal(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        journal = Journal(lambda: tmp_path, lambda: "s.py", every=0.01)
        interface = logging.getLogger("luigi-interface")
        with caplog.at_level(logging.WARNING, "luigi-interface"):
            journal.listen()
            journal.open("inbox-1")
            logger.info("for the file only")
            logger.warning("for both")
            journal.close(result="done")
            assert interface.level == logging.WARNING
        journal.detach()
        log = (folder_of(journal) / "run.log").read_text()
        assert "for the file only" in log
        assert "for both" in log
        assert caplog.messages == ["for both"]

    def test_a_warning_is_shown_also_where_nobody_has_set_up_logging(
        self, journal: Journal, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alone = logging.getLogger("luigi-interface")
        monkeypatch.setattr(alone, "propagate", False)
        monkeypatch.setattr(alone, "handlers", [one for one in alone.handlers if isinstance(one, LogHandler)])
        logger.warning("look here")
        assert capfd.readouterr().err == "look here\n"

    def test_has_tracebacks(self, journal: Journal) -> None:
        journal.open("inbox-1")
        try:
            raise ValueError("deep down")
        except ValueError:
            logger.exception("It broke.")
        journal.close(result="done")
        log = (folder_of(journal) / "run.log").read_text()
        assert "ERROR It broke.\nTraceback" in log
        assert "ValueError: deep down" in log

    def test_has_what_a_forked_child_logs(self, journal: Journal) -> None:
        journal.open("inbox-1")
        log = folder_of(journal) / "run.log"
        until(log.exists, "there is a log")
        child = multiprocessing.get_context("fork").Process(target=logger.info, args=("from the child",))
        child.start()
        child.join()
        assert "INFO from the child\n" in log.read_text()


class TestSecrets:
    """What has a name like "token" is in no file, however it comes there."""

    def test_parameters_are_masked_in_journal_and_log(self, journal: Journal) -> None:
        task = Part(n=1)
        journal.report(reported(task), task)
        journal.open("inbox-1")
        journal.keep_secret({"API_KEY": "abcdefgh12345", "DATA": "/data/belle"})
        logger.warning("%s failed with abcdefgh12345 in /data/belle", task)
        journal.close(result="done")
        (found,) = load_run(folder_of(journal)).tasks.values()
        assert dict(found.parameters) == {"n": "1", "grid_token": "***"}
        files = [(folder_of(journal) / name).read_text() for name in ("journal.jsonl", "run.log")]
        for secret in ("sesame", "family", "abcdefgh12345"):
            assert [secret in text for text in files] == [False, False]
        assert "/data/belle" in files[1]

    def test_the_command_line_is_masked(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        words = ["s.py", "--batch", "--password=x", "--api-key", "y", "--n", "3"]
        monkeypatch.setattr("sys.argv", words)
        journal.open("inbox-1")
        journal.close(result="done")
        assert load_run(folder_of(journal)).arguments == (
            *("--batch", "--password=***", "--api-key", "***", "--n", "3"),
        )


class TestDisk:
    """A disk that is full, or away, costs nothing but time."""

    def test_what_cannot_be_written_now_is_written_later_and_whole(self, tmp_path: Path) -> None:
        file, path = File(lambda: tmp_path / "f", lambda: 0o600), tmp_path / "f"
        file.append("one\n")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (7, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                file.append("twotwo\n")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_text() == "one\ntwo"
        file.append("three\n")
        assert path.read_text() == "one\ntwotwo\nthree\n"

    def test_is_reported_once_and_nothing_is_lost(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        lines, problems = Lines(), [OSError(errno.ENOSPC, "No space left on device")] * 2

        def make() -> None:
            if problems:
                raise problems.pop()

        spool = Spool(make, [(File(lambda: tmp_path / "f", lambda: 0o600), lines.take)])
        for number in range(3):
            lines.add(str(number))
            spool.write()
        assert (tmp_path / "f").read_text() == "0\n1\n2\n"
        assert [message for message in caplog.messages if "No space left" in message] == caplog.messages[:1]

    def test_text_that_is_no_text_is_written_all_the_same(self, tmp_path: Path) -> None:
        """A log may quote a file name with broken characters, or half of a pair of UTF-16."""
        file = File(lambda: tmp_path / "f", lambda: 0o600)
        file.append("one \udcff\n")
        file.append("two \ud800\n")
        file.append("three\n")
        assert (tmp_path / "f").read_bytes() == b"one \xff\ntwo \\ud800\nthree\n"

    def test_an_error_of_what_comes_then_does_not_end_the_writing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Say, a setting `keep_runs` that is no number."""
        journal = Journal(lambda: tmp_path, lambda: "s.py", lambda: int("many"), every=0.01)
        journal.open("inbox-1")
        until(lambda: "many" in caplog.text, "the error is reported")
        journal.close(result="done")
        assert load_run(folder_of(journal)).result == "done"

    def test_a_value_that_cannot_be_shown_is_reported_once(
        self, journal: Journal, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nobody's run ends for it."""
        for n in (1, 2):
            journal.report(reported(Part(n=n, hidden=Unspeakable())), Part(n=n, hidden=Unspeakable()))
        assert [message for message in caplog.messages if "unspeakable" in message] == [
            "The journal of this run is not complete. ValueError: unspeakable"
        ]

    def test_no_room_for_a_thread_no_matter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """All is written at the end."""
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_room)
            journal = Journal(lambda: tmp_path, lambda: "s.py")
            journal.open("inbox-1")
        journal.close(result="done")
        assert load_run(folder_of(journal)).result == "done"

    def test_no_folder_no_matter(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        journal = Journal(lambda: tmp_path / "file", lambda: "s.py", every=0.01)
        journal.listen()
        journal.open("inbox-1")
        journal.close(result="done")
        journal.detach()

    @pytest.mark.parametrize(("mode", "of_folder", "of_file"), [(0o755, 0o700, 0o600), (0o2775, 0o750, 0o640)])
    def test_who_may_write_to_the_folder_may_read(
        self, tmp_path: Path, mode: int, of_folder: int, of_file: int
    ) -> None:
        base = tmp_path / "task_files"
        base.mkdir()
        base.chmod(mode)
        journal = Journal(lambda: base, lambda: "s.py", every=0.01)
        journal.listen()
        journal.open("inbox-1")
        logger.warning("something")
        journal.close(result="done")
        journal.detach()
        folder = folder_of(journal)
        modes = [stat.S_IMODE(path.stat().st_mode) & 0o777 for path in (folder, *sorted(folder.iterdir()))]
        assert modes == [of_folder, of_file, of_file]
        assert stat.S_IMODE(folder.parent.stat().st_mode) & 0o777 == mode & 0o777


class TestPruning:
    """The last finished runs stay, and all of which jobs may live."""

    def old(self, base: Path, day: int, inbox: str = "gone") -> str:
        """A run that finished."""
        name = f"202511{day:02d}-120000-abcdef"
        folder = base / "runs" / name
        folder.mkdir(parents=True)
        header = {"format": 1, "run": {"id": name, "inbox": f"inbox-{inbox}"}}
        (folder / "journal.jsonl").write_text(json.dumps(header, separators=(",", ":")) + "\n")
        return name

    def kept(self, base: Path, keep: int) -> list[str]:
        """What one more run leaves of them."""
        journal = Journal(lambda: base, lambda: "s.py", lambda: keep, every=0.01)
        journal.open("inbox-1")
        journal.close(result="done")
        return sorted(path.name for path in (base / "runs").iterdir() if path != journal.folder)

    def test_the_oldest_go(self, tmp_path: Path) -> None:
        names = [self.old(tmp_path, day) for day in range(1, 6)]
        assert self.kept(tmp_path, 3) == names[2:]

    def test_a_run_whose_inbox_is_there_has_jobs_and_stays(self, tmp_path: Path) -> None:
        names = [self.old(tmp_path, 1, "live"), self.old(tmp_path, 2), self.old(tmp_path, 3)]
        (tmp_path / "inbox-live").mkdir()
        assert self.kept(tmp_path, 1) == [names[0], names[2]]

    def test_so_does_one_that_has_resumed_the_jobs_of_another_run(self, tmp_path: Path) -> None:
        names = [self.old(tmp_path, 1), self.old(tmp_path, 2)]
        with open(tmp_path / "runs" / names[0] / "journal.jsonl", "a") as file:
            file.write('{"t":1,"e":"resumed","id":"x","token":"y","inbox":"inbox-live"}\n')
        (tmp_path / "inbox-live").mkdir()
        assert self.kept(tmp_path, 0) == [names[0]]

    def test_other_things_in_the_folder_stay(self, tmp_path: Path) -> None:
        (tmp_path / "runs" / "mine").mkdir(parents=True)
        assert self.kept(tmp_path, 0) == ["mine"]
