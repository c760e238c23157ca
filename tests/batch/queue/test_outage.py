"""Outage: two lines in the log, however often something fails in between."""

from __future__ import annotations

import pytest

from b2luigi.batch.queue.outage import Outage


class Clock:
    """Seconds that a test turns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock: Clock) -> Outage:
    return Outage("LSF accepts jobs", clock)


def test_an_outage_is_two_lines(outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """The first failure and the recovery are logged, with the time between them."""
    for number in range(5):
        outage.begin("%s is not accepting jobs (%d)", "LSF", number)
        clock.now += 10
    outage.end()
    assert caplog.messages == ["LSF is not accepting jobs (0)", "LSF accepts jobs again after 50 s."]


def test_what_works_is_not_logged(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    """There is no end without a beginning, and only one for each."""
    outage.end()
    assert caplog.messages == []
    outage.begin("down")
    outage.end()
    outage.end()
    assert len(caplog.messages) == 2


def test_the_next_outage_is_logged_anew(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    """Each has its own first line."""
    for text in ("down", "down for another reason"):
        outage.begin(text)
        outage.end()
    assert caplog.messages[::2] == ["down", "down for another reason"]


def test_how_long_it_lasts(outage: Outage, clock: Clock) -> None:
    """From its first failure to its end, and no longer."""
    assert (outage.lasts, outage.duration) == (False, 0.0)
    outage.begin("down")
    clock.now += 7
    outage.begin("still down")
    assert (outage.lasts, outage.duration) == (True, 7.0)
    outage.end()
    assert (outage.lasts, outage.duration) == (False, 0.0)
