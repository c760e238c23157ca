"""Requests to a run that is under way: which tasks they mean, and that none of them can harm the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from b2luigi.batch.attempts import requests
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.requests import Reply, Request, Verb
from b2luigi.batch.workers.orders import Orders


class Known:
    """Tasks of two classes: one is done, one has failed, the others are to come."""

    def __init__(self) -> None:
        self.classes = {"done": "A", "failed": "A", "new": "A", "other": "B"}
        self.calls: list[tuple[str, str, str]] = []
        self.broken = ""

    def task_ids(self, family: str = "") -> list[str]:
        return [one for one, of in self.classes.items() if not family or of == family]

    def is_done(self, task_id: str) -> bool:
        return task_id == "done"

    def has_failed(self, task_id: str) -> bool:
        return task_id == "failed"

    def cancel_task(self, task_id: str, by: str) -> str:
        return self._called("cancel", task_id, by)

    def retry_task(self, task_id: str, by: str) -> str:
        return self._called("retry", task_id, by)

    def _called(self, *call: str) -> str:
        if self.broken:
            raise RuntimeError(self.broken)
        self.calls.append((call[0], call[1], call[2]))
        return ""


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    made = Inbox.new(tmp_path)
    made.open()
    yield made
    made.leave()


def answered(inbox: Inbox, tasks: Known, request: Request) -> Reply:
    key = requests.send(inbox.folder, request)
    inbox.tokens()
    Orders(tasks).look(inbox)
    found = requests.read_reply(inbox.folder, key)
    assert found is not None
    return found


def test_named_tasks(inbox: Inbox) -> None:
    """Each that cannot be cancelled has its reason in the answer."""
    tasks = Known()
    answer = answered(inbox, tasks, Request(Verb.cancel, ("new", "done", "failed", "nobody")))
    assert tasks.calls == [("cancel", "new", "you")]
    assert answer == Reply(
        1, {"done": "it is done", "failed": "it has failed already", "nobody": "this run does not know it"}
    )


@pytest.mark.parametrize(
    ("request_", "served"),
    [
        (Request(Verb.cancel, classes=("A",)), ["new"]),
        (Request(Verb.cancel, all=True), ["new", "other"]),
        (Request(Verb.cancel, ("new",), ("A",), all=True), ["new", "other"]),
        (Request(Verb.retry, all=True), ["failed"]),
        (Request(Verb.retry, ("failed",)), ["failed"]),
        (Request(Verb.retry, classes=("B",)), []),
    ],
)
def test_all_tasks_of_a_kind(request_: Request, served: list[str], inbox: Inbox) -> None:
    """Those for which there is something to do; that others are done is no refusal."""
    tasks = Known()
    assert answered(inbox, tasks, request_) == Reply(len(served))
    assert [task_id for _, task_id, _ in tasks.calls] == served


def test_a_request_is_served_once_and_once_a_second_at_most(inbox: Inbox) -> None:
    """However often the loop looks."""
    now, tasks = [0.0], Known()
    orders = Orders(tasks, lambda: now[0])
    orders.look(inbox)
    requests.send(inbox.folder, Request(Verb.cancel, ("new",)))
    inbox.tokens()
    orders.look(inbox)
    assert tasks.calls == []
    now[0] += 1.0
    for _ in range(3):
        orders.look(inbox)
        now[0] += 1.0
    assert len(tasks.calls) == 1


def test_a_run_survives_what_is_wrong_with_a_request(inbox: Inbox) -> None:
    """It is ignored, and answered; so is one that meets an error of ours."""
    (inbox.folder / f"request-{'a' * 16}.json").write_text("{")
    (inbox.folder / f"request-{'b' * 16}.json").mkdir()
    tasks = Known()
    orders = Orders(tasks)
    orders.look(inbox)
    for key in ("a" * 16, "b" * 16):
        found = requests.read_reply(inbox.folder, key)
        assert found is not None
        assert "ignored" in found.error
    tasks.broken = "no such luck"
    assert "no such luck" in answered(inbox, tasks, Request(Verb.cancel, all=True)).error


def test_requests_that_come_too_late_are_answered(inbox: Inbox) -> None:
    """The run is about to end, and does nothing of it any more; but it waits until the answer is read."""
    tasks, found = Known(), list[Reply | None]()
    key = requests.send(inbox.folder, Request(Verb.cancel, all=True))
    Orders(tasks, sleep=lambda seconds: found.append(requests.read_reply(inbox.folder, key))).close(inbox)
    assert ["about to end" in answer.error for answer in found if answer is not None] == [True]
    assert tasks.calls == []
