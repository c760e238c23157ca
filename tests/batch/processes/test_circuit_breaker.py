"""The brake: ten thousand jobs that all die of one mistake are not submitted."""

from __future__ import annotations

from b2luigi.batch.processes.circuit_breaker import Brake


def pressed(*reasons: str) -> Brake:
    brake = Brake()
    for reason in reasons:
        brake.press("Work", reason)
    return brake


def test_it_holds_after_so_many_failures_for_one_reason() -> None:
    """Not before, not for other families, and not if it is switched off."""
    brake = pressed("no module", "no module", "no module")
    assert brake.holds("Work", 3) == "no module"
    assert (brake.holds("Work", 4), brake.holds("Other", 3), brake.holds("Work", 0)) == ("", "", "")


def test_it_lets_go_when_one_task_is_done() -> None:
    """Then it is not the family."""
    brake = pressed("no module", "no module", "no module")
    brake.release("Work")
    assert brake.holds("Work", 3) == ""


def test_it_does_not_hold_for_different_reasons() -> None:
    """Tasks that fail each in its own way are worth a try each."""
    assert pressed("one", "two", "one", "one", "one").holds("Work", 3) == ""
