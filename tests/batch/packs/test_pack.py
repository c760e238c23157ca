"""What a pack leaves on disk: its job script, its ledger, its tokens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from b2luigi.batch.attempts.ledger import Ledger
from b2luigi.batch.attempts.outcome import Marker
from b2luigi.batch.attempts.tokens import PROJECT, TASK, is_of_pack, kin_of, new_token, token_of_pack
from b2luigi.batch.packs.description import KEPT, folder_of, members_in, tidy
from tests.batch.packs.lane import Site


def test_a_ledger_has_what_has_begun(tmp_path: Path) -> None:
    """One token in each line; none before the first task begins, and what was torn by a kill is no task."""
    ledger = Ledger(tmp_path)
    assert ledger.begun() == frozenset()
    for token in ("aaaa", "bbbb", "aaaa"):
        ledger.begin(token)
    with open(ledger.path, "ab") as file:
        file.write(b"cc\xff")
    assert ledger.begun() >= {"aaaa", "bbbb"}
    assert ledger.path.read_text(errors="replace").splitlines()[:3] == ["aaaa", "bbbb", "aaaa"]


def test_a_ledger_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    """To take it for empty would be to call a task at work one that has not begun."""
    os.mkfifo(tmp_path / "begun")
    with pytest.raises(OSError, match="not a regular file"):
        Ledger(tmp_path).begun()


def test_each_task_is_in_the_ledger_before_it_begins(tmp_path: Path) -> None:
    """Written and closed: that is what makes it visible on other machines."""
    Ledger(tmp_path).begin("aaaa")
    assert Ledger(tmp_path).begun() == {"aaaa"}


def test_the_token_of_a_pack_names_its_project_and_no_task() -> None:
    """So the task whose token it was made from is not taken for the only one in it."""
    member = new_token(kin_of("Work_1", "project"))
    token = token_of_pack(member)
    assert (len(token), token[:PROJECT]) == (16, member[:PROJECT])
    assert (is_of_pack(token), is_of_pack(member)) == (True, False)
    assert token[:TASK] != member[:TASK]
    assert token_of_pack(member) != token


@pytest.mark.parametrize("marker", [Marker(0, True, True), Marker(143, False, True), Marker(143, False, False)])
def test_a_marker_is_read_as_it_was_written(marker: Marker) -> None:
    """By another machine, maybe of another version."""
    assert Marker.from_text(marker.to_text()) == marker


@pytest.mark.parametrize("text", ["0 outcome  alone", "0 outcome alonely", "0 alone", "0 outcome alone alone"])
def test_a_marker_that_was_torn_says_that_there_was_an_end(text: str) -> None:
    """And nothing else."""
    assert Marker.from_text(text) == Marker(None, False)


def test_a_pack_says_which_tasks_are_in_it(tmp_path: Path) -> None:
    """With their folders, wherever the project is today."""
    site = Site(tmp_path)
    job, members = site.pack(2)
    folders = {member.spec.token: member.spec.folder for member in members}
    assert members_in(job.spec.folder) == folders
    moved = tmp_path / "moved"
    site.base.rename(moved)
    found = members_in(folder_of(moved / "inbox", job.spec.token))
    assert found == {token: moved / folder.name for token, folder in folders.items()}


@pytest.mark.parametrize("text", ["", "no job script", "#b2luigi-task {}\n", "#b2luigi-task []\n"])
def test_a_pack_that_does_not_say_what_is_in_it(tmp_path: Path, text: str) -> None:
    """Cut short, removed, or none: nothing is known, which is not that nothing is in it."""
    assert members_in(tmp_path, None) is None
    (tmp_path / "executable_wrapper.sh").write_text(text)
    assert members_in(tmp_path, None) is None


def test_what_is_left_of_a_pack_is_removed_after_a_week(tmp_path: Path) -> None:
    """By the time of its folder."""
    site = Site(tmp_path)
    folder = site.base / "packs" / "old"
    folder.mkdir(parents=True)
    begun = folder.stat().st_mtime
    tidy(site.inbox.folder, begun + KEPT - 1)
    assert folder.exists()
    tidy(site.inbox.folder, begun + KEPT + 1)
    assert not folder.exists()
