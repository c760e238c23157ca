"""luigi's retry_count in a run of jobs: how often, and when, a task that failed comes back."""

from __future__ import annotations

import luigi
import luigi.configuration
import pytest

from b2luigi.batch.workers.retries import DELAY, Retries


class Clock:
    """Seconds, as a test wants them."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Fragile(luigi.Task):
    retry_count = 3


class Usual(luigi.Task):
    """One that says nothing of retries."""


def test_a_task_comes_back_until_it_has_failed_so_often() -> None:
    """retry_count is the number of failures that are allowed, as in luigi."""
    clock, back = Clock(), []
    retries = Retries(clock)
    for _ in range(4):
        retries.failed(Fragile())
        clock.now += DELAY
        back.append(retries.due())
    assert back == [[Fragile().task_id]] * 2 + [[]] * 2


def test_it_comes_back_after_some_seconds_and_once() -> None:
    """Soon: luigi's own default, 15 minutes, is made for a scheduler that many runs share."""
    clock = Clock()
    retries = Retries(clock)
    retries.failed(Fragile())
    assert (retries.waiting, retries.due()) == (True, [])
    clock.now += 4.9
    assert retries.due() == []
    clock.now += 0.1
    assert retries.due() == [Fragile().task_id]
    assert (retries.waiting, retries.due()) == (False, [])


@pytest.mark.parametrize(("count", "tries"), [(None, 0), ("1", 0), ("2", 1)])
def test_the_configuration_of_luigi_holds_for_all_other_tasks(count: str | None, tries: int) -> None:
    """retry_count and retry_delay of its section [scheduler]; without them a failure is final."""
    clock = Clock()
    retries = Retries(clock)
    config = luigi.configuration.get_config()
    if count is not None:
        config.set("scheduler", "retry_count", count)
        config.set("scheduler", "retry_delay", "60")
    try:
        retries.failed(Usual())
        clock.now += 59
        early = retries.due()
        clock.now += 1
        assert (early, len(retries.due())) == ([], tries)
    finally:
        config.remove_section("scheduler")
