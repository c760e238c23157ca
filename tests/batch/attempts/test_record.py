from __future__ import annotations

import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from b2luigi.batch.attempts.fresh_look import look_again
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.outcome import DONE, Marker, Outcome
from b2luigi.batch.attempts.record import LARGEST_OUTCOME, ClaimedError, Record, read_outcome

TOKENS = "0123456789abcdef", "fedcba9876543210"


def facts(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def test_a_claim_is_on_disk_at_once(tmp_path: Path) -> None:
    """The record of an attempt is there before anything is submitted, for its owner only."""
    former = os.umask(0o022)
    try:
        attempt = Record.claim(tmp_path / "new" / "folder", {"task_id": "T_1"}, after=0)
    finally:
        os.umask(former)
    assert attempt.path == tmp_path / "new" / "folder" / "attempt-1.json"
    assert stat.S_IMODE(attempt.path.stat().st_mode) == 0o600
    found = facts(attempt.path)
    assert (found["format"], found["attempt"], found["task_id"]) == (1, 1, "T_1")
    assert found["token"] == attempt.token
    assert len(attempt.token) == 16
    int(attempt.token, 16)


def test_the_group_may_read_records_where_it_may_write(tmp_path: Path) -> None:
    """In a project that a group shares: who may write to the folder can change what the job runs."""
    tmp_path.chmod(0o2775)
    attempt = Record.claim(tmp_path, {}, after=0)
    attempt.note(job_id="7")
    assert stat.S_IMODE(attempt.path.stat().st_mode) == 0o640


def test_attempts_are_counted(tmp_path: Path) -> None:
    """Each attempt has the next number and a token of its own; other files do not count."""
    for name in ("attempt-7.json", "attempt-9.json.part", "attempt-x.json", "xattempt-8.json"):
        (tmp_path / name).write_text("")
    tokens = set()
    for expected in ("attempt-8.json", "attempt-9.json", "attempt-10.json"):
        number, _ = Record.last(tmp_path)
        attempt = Record.claim(tmp_path, {}, after=number)
        tokens.add(attempt.token)
        assert attempt.path.name == expected
    assert len(tokens) == 3


def test_of_two_runs_one_gets_the_claim(tmp_path: Path) -> None:
    """Claims made at the same time after the same attempt: one wins, the others know that they did not."""

    def claim(_: int) -> str | None:
        try:
            return Record.claim(tmp_path, {}, after=3).token
        except ClaimedError:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [token for token in pool.map(claim, range(40)) if token]
    number, attempt = Record.last(tmp_path)
    assert attempt is not None
    assert (number, [attempt.token]) == (4, won)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["attempt-4.json"]


def test_the_last_attempt_is_unfinished_until_its_end_is_noted(tmp_path: Path) -> None:
    """What nobody has judged may live; so may a record that cannot be read (cut short, another format)."""
    assert Record.last(tmp_path / "nowhere") == (0, None)
    attempt = Record.claim(tmp_path, {"task_id": "T_1"}, after=0)
    number, found = Record.last(tmp_path)
    assert found is not None
    assert (number, found.token, found.number) == (1, attempt.token, 1)
    attempt.note(ended=1.0, end="DONE")
    assert Record.last(tmp_path) == (1, None)
    for text in ("", "{", "[]", '{"format": 99, "token": "0123456789abcdef"}', '{"format": 1, "token": "../x"}'):
        (tmp_path / "attempt-2.json").write_text(text)
        number, found = Record.last(tmp_path)
        assert found is not None
        assert (number, found.number, found.is_torn) == (2, 2, True)


def test_a_claim_that_cannot_be_written(tmp_path: Path) -> None:
    """Without a record there is no attempt: the error is raised."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        Record.claim(tmp_path / "taken", {}, after=Record.last(tmp_path / "taken")[0])


def test_what_becomes_known_is_added(tmp_path: Path) -> None:
    """Notes complete the record, keep what was in it, and leave no other file."""
    attempt = Record.claim(tmp_path / "task", {"task_id": "T_1"}, after=0)
    attempt.note(job_id="7.0", submitted=1.5)
    attempt.note(job_id="8.0", name="ü\n")
    found = facts(attempt.path)
    assert (found["task_id"], found["job_id"], found["submitted"], found["name"]) == ("T_1", "8.0", 1.5, "ü\n")
    assert found["token"] == attempt.token
    assert stat.S_IMODE(attempt.path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "task") == ["attempt-1.json"]


def test_a_few_facts_are_added_in_place(tmp_path: Path) -> None:
    """Many, or an end, make a new file; whatever others have written meanwhile is not torn."""
    attempt = Record.claim(tmp_path, {"server": None}, after=0)
    inodes = [attempt.path.stat().st_ino]
    for known in ({"server": "a"}, {"job_id": "7"}, {"text": "x" * 2000}, {"job_id": "8"}, {"ended": 1.0}):
        attempt.note(**known)
        assert facts(attempt.path) == attempt.facts
        inodes.append(attempt.path.stat().st_ino)
    assert inodes[0] == inodes[1] == inodes[2] != inodes[3]
    assert inodes[3] == inodes[4] != inodes[5]
    _, other = Record.latest(tmp_path)
    assert other is not None
    other.note(by="another")
    attempt.note(job_id="9")
    assert facts(attempt.path)["job_id"] == "9"


def test_threads_note_facts_at_the_same_time(tmp_path: Path) -> None:
    """The one that submits, and the loop; nothing is lost."""
    attempt = Record.claim(tmp_path, {}, after=0)

    def work(thread: int) -> None:
        for number in range(30):
            attempt.note(**{f"{thread}-{number}": "x" * (number % 3) * 500})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert facts(attempt.path) == attempt.facts
    assert len(attempt.facts) == 4 + 90


def test_records_of_ended_attempts_go(tmp_path: Path) -> None:
    """Records do not pile up, but those of attempts that may live, or cannot be read, stay."""
    ended, living, mine = (Record.claim(tmp_path, {}, after=Record.last(tmp_path)[0]) for _ in range(3))
    ended.note(ended=1.0)
    mine.note(ended=2.0)
    (tmp_path / "attempt-0.json").write_text("{")
    (tmp_path / "attempt-99.json").write_text("[1]")
    mine.sweep()
    left = {path.name for path in tmp_path.glob("attempt-*")}
    assert left == {living.path.name, mine.path.name, "attempt-0.json", "attempt-99.json"}


def test_files_of_ended_attempts_go(tmp_path: Path) -> None:
    """What jobs left late, marks that keep them from working, and files torn by a kill; not those of open attempts."""
    over, living, mine = (Record.claim(tmp_path, {}, after=number) for number in range(3))
    for attempt in (over, living, mine):
        attempt.void()
        for suffix in ("outcome", "progress", "inside"):
            attempt.path.with_name(f"{attempt.token}.{suffix}").touch()
    for name in (".attempt-1.json.0123abcd", ".executable_wrapper.sh.0123abcd", f".{over.token}.outcome.0123abcd"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1, 1))
    fresh = tmp_path / ".attempt-3.json.89abcdef"
    fresh.touch()
    over.close("given up", None)
    mine.close("DONE", None)
    mine.sweep()
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        *(attempt.path.name for attempt in (over, living, mine)),
        *(f"{living.token}.{suffix}" for suffix in ("void", "outcome", "progress", "inside")),
        fresh.name,
    }


def test_the_record_of_an_attempt_that_was_given_up_goes_later(tmp_path: Path) -> None:
    """A batch system may still start its job: the record keeps that from working."""
    former, mine = (Record.claim(tmp_path, {}, after=number) for number in range(2))
    former.void()
    former.close("given up", None)
    mine.close("DONE", None)
    mine.sweep()
    assert former.path.exists()
    former.note(ended=1.0)
    mine.sweep()
    assert not former.path.exists()


def test_a_fifo_stops_nothing(tmp_path: Path) -> None:
    """Nobody will ever write to it; in place of a record, a marker, an outcome, the owner or the claims of a run."""
    Record.claim(tmp_path, {}, after=0).close("DONE", None)
    os.mkfifo(tmp_path / "attempt-2.json")
    number, found = Record.latest(tmp_path)
    assert found is not None
    assert (number, found.number, found.is_open) == (2, 1, False)
    assert Record.claim(tmp_path, {}, after=number).number == 3
    inbox = Inbox(tmp_path / "inbox-1")
    inbox.folder.mkdir()
    for path in (inbox.folder / "run.json", inbox.folder / "claims", inbox.folder / TOKENS[0], tmp_path / "x.outcome"):
        os.mkfifo(path)
    assert (inbox.is_abandoned(), inbox.claims(), inbox.read(TOKENS[0])) == (None, (), Marker(None, False))
    assert read_outcome(tmp_path / "x.outcome") is None


def test_attempts_that_were_given_up_while_their_job_may_run(tmp_path: Path) -> None:
    """The record says so, or the job has an id and must not begin; without an id there is no job to cancel."""
    noted, unsent, void, running, over = (Record.claim(tmp_path, {}, after=number) for number in range(5))
    noted.note(given_up="timed out")
    unsent.void()
    void.note(job_id="7")
    void.void()
    running.note(job_id="8")
    over.note(given_up="timed out", ended=1.0)
    number, found = Record.all_in(tmp_path)
    assert number == 5
    assert [one.token for one in found if one.is_given_up] == [noted.token, void.token]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of somebody else")
def test_an_open_record_of_another_user_is_known_as_such(tmp_path: Path) -> None:
    """Its job is theirs; one that is closed is in nobody's way."""
    attempt = Record.claim(tmp_path, {}, after=0)
    os.chown(attempt.path, 12345, -1)
    _, found = Record.last(tmp_path)
    assert found is not None
    assert found.foreign == 12345
    attempt.path.write_text(json.dumps({**attempt.facts, "ended": 1.0}))
    assert Record.last(tmp_path) == (1, None)


# -- outcomes


def test_an_outcome_is_read(tmp_path: Path) -> None:
    """An outcome file is an outcome once it is whole."""
    (tmp_path / "outcome").write_text(Outcome(DONE, "ü").to_json())
    assert read_outcome(tmp_path / "outcome") == Outcome(DONE, "ü")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"\0" * 100, b"[" * 100_000])
def test_no_outcome_yet(tmp_path: Path, content: bytes) -> None:
    """A file that is empty, half there or something else is no outcome, and no error."""
    (tmp_path / "outcome").write_bytes(content)
    assert read_outcome(tmp_path / "outcome") is None


def test_no_outcome_at_all(tmp_path: Path) -> None:
    """A file that is not there, or is a folder, is no outcome, and no error."""
    assert read_outcome(tmp_path / "missing") is None
    assert read_outcome(tmp_path) is None


def test_an_outcome_too_large_is_none(tmp_path: Path) -> None:
    """A file beyond all measure does not fill the memory of the submit host."""
    with open(tmp_path / "outcome", "w") as file:
        file.truncate(LARGEST_OUTCOME * 1000)
    assert read_outcome(tmp_path / "outcome") is None


def test_looking_again_never_fails(tmp_path: Path) -> None:
    """The folder is touched, so that a network file system asks its server; one that is gone is no error."""
    os.utime(tmp_path, (0, 0))
    look_again(tmp_path)
    look_again(tmp_path / "missing")
    assert tmp_path.stat().st_mtime > 0


# -- the inbox


def test_markers_are_found_and_forgotten(tmp_path: Path) -> None:
    """Attempts that ended are those with a marker, and once judged they are not reported again."""
    inbox = Inbox(tmp_path / "deep" / "inbox")
    folder = inbox.open()
    assert inbox.open() == folder
    for token in TOKENS:
        (folder / token).write_text("0 outcome\n")
    assert sorted(inbox.tokens()) == sorted(TOKENS)
    assert inbox.read(TOKENS[0]) == Marker(0, True)
    inbox.remove(TOKENS[0])
    inbox.remove(TOKENS[0])
    assert inbox.tokens() == [TOKENS[1]]


@pytest.mark.parametrize("name", [f"{TOKENS[0]}.part", "0123", "0123456789ABCDEF", ".nfs0000000000000001"])
def test_other_files_are_no_markers(tmp_path: Path, name: str) -> None:
    """A marker that is being written, and whatever a file system leaves, is not reported."""
    (tmp_path / name).write_text("0 outcome\n")
    assert Inbox(tmp_path).tokens() == []


@pytest.mark.parametrize("content", [b"", b"\xff\xff", b"0" * 100_000])
def test_a_marker_of_any_content(tmp_path: Path, content: bytes) -> None:
    """A marker with anything in it means that the job ended."""
    (tmp_path / TOKENS[0]).write_bytes(content)
    assert Inbox(tmp_path).read(TOKENS[0]) == Marker(None, False)


def test_an_inbox_out_of_reach_reads_as_empty(tmp_path: Path) -> None:
    """A file system that is away for a moment fails no job: the batch system reports it, too."""
    inbox = Inbox(tmp_path / "missing")
    inbox.remove(TOKENS[0])
    inbox.close()
    assert (inbox.tokens(), inbox.read(TOKENS[0])) == ([], Marker(None, False))


def test_an_inbox_is_removed_when_it_is_empty(tmp_path: Path) -> None:
    """What late jobs had to say stays."""
    inbox = Inbox(tmp_path / "inbox")
    (inbox.open() / TOKENS[0]).write_text("0 none")
    inbox.close()
    assert inbox.tokens() == [TOKENS[0]]
    inbox.remove(TOKENS[0])
    inbox.close()
    assert not inbox.folder.exists()


def test_a_folder_that_is_away_is_no_news(tmp_path: Path) -> None:
    """An automount, an expired token: the record says what it said before, and nobody has given the job up."""
    folder = tmp_path / "task"
    record = Record.claim(folder, {"job_id": "7"}, after=0)
    before = dict(record.facts)
    folder.rename(tmp_path / "away")
    record.reload()
    folder.write_text("not a folder for now")
    record.reload()
    assert record.facts == before
