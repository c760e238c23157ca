"""How many tasks go into the next job, row by row."""

from __future__ import annotations

import math

import pytest

from b2luigi.batch.packs.size import LEAST_WORK, Durations, tasks_per_job


@pytest.mark.parametrize(
    ("waiting", "slots", "mean", "seconds", "expected"),
    [
        pytest.param(0, 16, 0.1, 300, 1, id="never less than one"),
        pytest.param(1, 16, None, 300, 1, id="one task"),
        pytest.param(1000, 16, None, 300, 63, id="unknown: as many jobs as there are slots"),
        pytest.param(1000, 16, 0.1, 300, 63, id="short: the same, so that all end together"),
        pytest.param(100, 16, 0.1, 300, 20, id="short and few: worth the start of a job"),
        pytest.param(10, 16, 0.1, 300, 10, id="not more than there are"),
        pytest.param(10, 16, 1000, 300, 1, id="long: one task is more than fits"),
        pytest.param(1000, 1, 10, 300, 30, id="no more than the setting allows"),
        pytest.param(1000, 1, 10, 100, 10, id="no more than a smaller setting allows"),
        pytest.param(160, 16, 3.0, 300, 3, id="long enough for some rounds, which end together"),
        pytest.param(1000, 16, 0.0, 300, 1000, id="as good as no time at all"),
    ],
)
def test_a_job_gets_so_many_tasks(waiting: int, slots: int, mean: float | None, seconds: float, expected: int) -> None:
    """By tasks that wait, slots, the mean of the class and the most work in one job."""
    assert tasks_per_job(waiting, slots, mean, seconds) == expected


@pytest.mark.parametrize(
    ("waiting", "mean", "seconds", "expected"),
    [
        pytest.param(1000, None, 300, 62, id="unknown: a full job for each slot"),
        pytest.param(1000, 1.0, 300, 62, id="in one round: others will fill the slots afterwards"),
        pytest.param(32, 1.0, 300, 20, id="few: worth a job while others run"),
        pytest.param(32, 1.0, 10, 10, id="no more than the setting allows"),
        pytest.param(1000, 10.0, 300, 20, id="in as many rounds as the setting asks for"),
        pytest.param(3, None, 300, 1, id="never less than one"),
    ],
)
def test_while_more_tasks_are_to_come_jobs_are_longer(
    waiting: int, mean: float | None, seconds: float, expected: int
) -> None:
    """They need not end together."""
    assert tasks_per_job(waiting, 16, mean, seconds, more=True) == expected


@pytest.mark.parametrize("mean", [None, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("slots", [1, 16, 100, 250])
def test_a_thousand_short_tasks_never_have_a_job_each(mean: float | None, slots: int) -> None:
    """Each job costs more than such a task."""
    assert tasks_per_job(1000, slots, mean, 300.0) > 1


@pytest.mark.parametrize("mean", [0.1, 1.0, 7.0, 10.0, 60.0, 299.0])
@pytest.mark.parametrize("waiting", [17, 100, 1000, 10_000])
@pytest.mark.parametrize("seconds", [10.0, 300.0])
def test_no_job_holds_much_more_work_than_the_setting_allows(mean: float, waiting: int, seconds: float) -> None:
    """At most one task more; what is worth a job may be more than a tiny setting."""
    size = tasks_per_job(waiting, 16, mean, seconds)
    assert size * mean <= max(seconds, LEAST_WORK) + mean


@pytest.mark.parametrize("mean", [0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("waiting", [100, 1000, 10_000])
def test_all_slots_have_work_until_the_end(mean: float, waiting: int) -> None:
    """Where each job takes a free slot, all is done nearly as soon as it can be."""
    size = tasks_per_job(waiting, 16, mean, 300.0)
    jobs = math.ceil(waiting / size)
    ideal = waiting * mean / 16
    assert math.ceil(jobs / 16) * size * mean <= 1.3 * ideal + max(LEAST_WORK, mean)


def test_the_mean_is_that_of_this_run_as_soon_as_it_has_one() -> None:
    """Before that, the one of earlier runs: the code of a class may have changed since."""
    durations = Durations({"Old": 7.0})
    assert (durations.mean("Old"), durations.mean("New")) == (7.0, None)
    durations.note("Old", 1.0)
    durations.note("Old", 3.0)
    durations.note("New", 5.0)
    assert (durations.mean("Old"), durations.mean("New")) == (2.0, 5.0)
