"""Deadlines hold when somebody sets the clock."""

from __future__ import annotations

import pytest

from b2luigi.core.deadline import Deadline


@pytest.mark.parametrize("jump", [3600.0, 0.0, -3600.0])
def test_a_jump_of_the_clock_moves_nothing(jump: float) -> None:
    """luigi's question, whether the time of day is past the deadline, has the answer of a stopwatch."""
    stopwatch, time_of_day = 0.0, 1.8e9
    deadline = Deadline(10, lambda: stopwatch, lambda: time_of_day)
    time_of_day += jump
    past = []
    for stopwatch in (0.0, 9.0, 11.0):
        past.append(time_of_day > float(deadline))
        assert deadline.remaining == 10 - stopwatch
    assert past == [False, False, True]
