"""The breaker: ten thousand jobs that all die of one mistake are not submitted."""

from __future__ import annotations

from b2luigi.batch.processes.circuit_breaker import CircuitBreaker


def pressed(*reasons: str) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for reason in reasons:
        breaker.failed("Work", reason)
    return breaker


def test_it_holds_after_so_many_failures_for_one_reason() -> None:
    """Not before, not for other families, and not if it is switched off."""
    breaker = pressed("no module", "no module", "no module")
    assert breaker.why_open("Work", 3) == "no module"
    assert (breaker.why_open("Work", 4), breaker.why_open("Other", 3), breaker.why_open("Work", 0)) == ("", "", "")


def test_it_lets_go_when_one_task_is_done() -> None:
    """Then it is not the family."""
    breaker = pressed("no module", "no module", "no module")
    breaker.succeeded("Work")
    assert breaker.why_open("Work", 3) == ""


def test_it_does_not_hold_for_different_reasons() -> None:
    """Tasks that fail each in its own way are worth a try each."""
    assert pressed("one", "two", "one", "one", "one").why_open("Work", 3) == ""
