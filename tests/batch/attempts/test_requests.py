"""Requests to a run: what is taken from its inbox, and what is not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2luigi.batch.attempts import requests
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.requests import Reply, Request, RequestError, Verb

KEY = "0123456789abcdef"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder with nothing in it."""
    folder = tmp_path / "inboxes"
    folder.mkdir()
    return folder


def written(inbox: Path, text: str) -> Path:
    path = inbox / f"request-{KEY}.json"
    path.write_text(text)
    return path


def test_a_request_is_taken_once(inbox: Path) -> None:
    """As it was sent; whose it is says its file."""
    sent = Request(Verb.cancel, ("Make_1", "Make_2"), ("Plot",), all=True)
    key = requests.send(inbox, sent)
    assert requests.take(inbox, key) == sent
    assert os.listdir(inbox) == []
    assert not requests.withdraw(inbox, key)


def test_a_request_can_be_withdrawn(inbox: Path) -> None:
    """As long as the run has not taken it."""
    key = requests.send(inbox, Request(Verb.retry))
    assert requests.withdraw(inbox, key)
    with pytest.raises(RequestError):
        requests.take(inbox, key)


def test_an_answer_is_read_once(inbox: Path) -> None:
    """It names some of the tasks that were refused, and counts the others."""
    refused = {f"Make_{n}": "it is done" for n in range(100)}
    assert requests.read_reply(inbox, KEY) is None
    requests.reply(inbox, KEY, Reply.of(7, refused))
    found = requests.read_reply(inbox, KEY)
    assert found is not None
    assert (found.served, len(found.refused), found.others) == (7, requests.NAMED, 100 - requests.NAMED)
    assert os.listdir(inbox) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        json.dumps({"format": 2, "verb": "cancel"}),
        json.dumps({"format": 1}),
        json.dumps({"format": 1, "verb": "explode"}),
        json.dumps({"format": 1, "verb": ["cancel"]}),
        json.dumps({"format": 1, "verb": "cancel", "tasks": "Make_1"}),
        json.dumps({"format": 1, "verb": "cancel", "tasks": [1]}),
        json.dumps({"format": 1, "verb": "cancel", "classes": {"Make": 1}}),
        json.dumps({"format": 1, "verb": "cancel", "all": "yes"}),
    ],
)
def test_what_is_no_request_is_refused_and_removed(text: str, inbox: Path) -> None:
    """The reason is in the error, which the run sends back."""
    path = written(inbox, text)
    with pytest.raises(RequestError):
        requests.take(inbox, KEY)
    assert not path.exists()


@given(st.text())
def test_no_text_breaks_a_run(text: str) -> None:
    """It is a request, or a RequestError."""
    try:
        requests._parsed(text, os.geteuid())
    except RequestError:
        return
    raise AssertionError(f"{text!r} is no request")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _link(path: Path) -> None:
    (path.parent / "target").write_text(json.dumps({"format": 1, "verb": "cancel", "all": True}))
    path.symlink_to(path.parent / "target")


@pytest.mark.parametrize("make", [_pipe, _folder, _link])
def test_only_files_are_read(make: Callable[[Path], None], inbox: Path) -> None:
    """A pipe to which nobody writes would stop the run, and a link may lead anywhere."""
    make(inbox / f"request-{KEY}.json")
    with pytest.raises(RequestError):
        requests.take(inbox, KEY)


def test_a_closed_inbox_has_no_requests_left(inbox: Path) -> None:
    """Those that came too late, and answers that nobody has read, do not keep the folder."""
    run = Inbox.new(inbox)
    run.open()
    key = requests.send(run.folder, Request(Verb.retry))
    requests.reply(run.folder, KEY, Reply())
    assert run.requests() == [key]
    run.close()
    assert os.listdir(inbox) == []


def test_requests_need_no_listing_of_their_own(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as somebody else lists the inbox, its markers and requests are in one listing."""
    now, listed = [0.0], list[str]()
    run = Inbox(inbox / "inbox-1", clock=lambda: now[0])
    run.open()
    listdir = os.listdir

    def counted(path: str) -> list[str]:
        listed.append(path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", counted)
    for _ in range(5):
        run.tokens()
        now[0] += 0.5
        run.requests()
    assert len(listed) == 5
    now[0] += 1.0
    run.requests()
    run.requests()
    assert len(listed) == 6
    run.leave()
