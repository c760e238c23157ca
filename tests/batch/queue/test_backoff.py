"""Backoff: waits that grow, on a clock that the test turns."""

from __future__ import annotations

import pytest

from b2luigi.batch.queue.backoff import Backoff


class Clock:
    """Seconds that a test turns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tries(clock: Clock) -> Backoff:
    return Backoff(clock, first=5.0, most=30.0)


def wait(tries: Backoff, clock: Clock) -> float:
    """Seconds until the next try is due."""
    before, step = clock.now, 0.25
    while not tries.is_due:
        clock.now += step
    passed, clock.now = clock.now - before, before
    return passed


def test_the_first_try_is_due_at_once(tries: Backoff) -> None:
    """Nothing is put off that never failed."""
    assert tries.is_due


def test_waits_grow_to_the_longest(tries: Backoff, clock: Clock) -> None:
    """Each failure doubles the wait; what is returned is how long it is."""
    expected = [5.0, 10.0, 20.0, 30.0, 30.0]
    assert [(tries.put_off(), wait(tries, clock)) for _ in expected] == list(zip(expected, expected, strict=True))


def test_a_wait_may_grow_in_another_way_once(clock: Clock) -> None:
    """A query that failed is put off further than one that was answered."""
    queries = Backoff(clock, first=10.0, most=60.0, growth=1.5)
    assert [queries.put_off(), queries.put_off(), queries.put_off(2.0), queries.put_off()] == [10, 15, 30, 45]


def test_success_is_a_new_beginning(tries: Backoff, clock: Clock) -> None:
    """The next try is due at once, and the next wait is short again."""
    for _ in range(4):
        tries.put_off()
    tries.reset()
    assert tries.is_due
    assert tries.put_off() == 5.0


def test_no_wait_is_longer_than_the_longest(clock: Clock) -> None:
    """Also the first one."""
    assert Backoff(clock, first=10.0, most=2.0).put_off() == 2.0


def test_a_restart_brings_a_late_try_forward(tries: Backoff, clock: Clock) -> None:
    """After the first wait it is due, and the waits grow from there."""
    for _ in range(4):
        tries.put_off()
    tries.restart()
    assert wait(tries, clock) == 5.0
    assert tries.put_off() == 10.0


def test_a_restart_does_not_put_off_a_try_that_is_near(tries: Backoff, clock: Clock) -> None:
    """While jobs trickle in, a query that is due stays due."""
    tries.put_off()
    for _ in range(4):
        clock.now += 1
        tries.restart()
    assert wait(tries, clock) == 1.0


def test_a_single_try_may_come_sooner_or_later(tries: Backoff, clock: Clock) -> None:
    """`due_within` only ever hastens it, `due_in` sets it; neither changes the waits to come."""
    tries.put_off()
    tries.due_within(2.0)
    assert wait(tries, clock) == 2.0
    tries.due_within(4.0)
    assert wait(tries, clock) == 2.0
    tries.due_in(7.0)
    assert wait(tries, clock) == 7.0
    assert tries.put_off() == 10.0
