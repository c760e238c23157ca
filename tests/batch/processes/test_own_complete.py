"""A task with a complete() of its own: what the submit host asks for once its node is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.outcome import Marker, Outcome
from tests.batch.processes.hands import Job, Work


class Either(Work):
    """One of two files is enough; the third output is only a name."""

    def output(self) -> Any:
        yield [self.add_to_output("out.txt"), self.add_to_output("other.txt"), "a name"]

    def complete(self) -> bool:
        return any(self.get_output_target(name).exists() for name in ("out.txt", "other.txt"))

    def get_output_target(self, name: str) -> Any:
        return self._get_output_target(name)


class Once(Either):
    """Remembers that it ran, which only its own process knows."""

    def complete(self) -> bool:
        return False


def ended(job: Job, outcome: Outcome, later: float = 0.0) -> Job:
    """A job that left this outcome, and is looked at, maybe again some time later."""
    job.start().spec.outcome.write_text(outcome.to_json())
    job.process.look(Marker(0, True))
    job.now += later
    job.process.look(Marker(0, True))
    return job


def test_its_own_word_counts(job: Job, tmp_path: Path) -> None:
    """complete() is true here, so that missing alternatives are no failure, whatever version ran on the node."""
    job = ended(Job(tmp_path, Either()), Outcome("DONE"))
    assert job.status == "DONE"
    assert job.output.exists()


def test_what_its_node_did_without_is_not_asked_for(job: Job, tmp_path: Path) -> None:
    """A complete() that is true only where the task ran was asked there."""
    assert ended(Job(tmp_path, Once()), Outcome("DONE", absent=(1, 2))).status == "DONE"


def test_what_its_node_has_seen_is_waited_for(job: Job, tmp_path: Path) -> None:
    """On a shared file system it may be late; if it never comes, the message names it."""
    job = ended(Job(tmp_path, Once()), Outcome("DONE", absent=(0, 2)))
    assert job.status is None
    job.now += 61
    job.process.look(Marker(0, True))
    assert job.status == "FAILED"
    assert "these outputs do not exist: " in job.process.story
    assert "other.txt" in job.process.story


def test_luigis_own_stays_strict(job: Job) -> None:
    """Without a complete() of its own, each output has to be there."""
    job.start().spec.outcome.write_text(Outcome("DONE").to_json())
    job.output.unlink()
    job.process.look(Marker(0, True))
    job.now += 61
    job.process.look(Marker(0, True))
    assert job.status == "FAILED"
    assert str(job.output) in job.process.story


def test_without_an_outcome_complete_decides(job: Job, tmp_path: Path) -> None:
    """A job script of the user's own may end with 0 and leave no outcome."""
    job = Job(tmp_path, Either())
    job.start()
    job.process.look(Marker(0, False))
    assert job.status == "DONE"
