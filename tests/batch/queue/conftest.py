"""A JobQueue, with a batch system that the test plays and a clock that it turns."""

from __future__ import annotations

import pytest

from b2luigi.batch.queue.job_queue import JobQueue
from tests.batch.fakes import Site
from tests.batch.queue.helpers import a_queue


@pytest.fixture
def site() -> Site:
    return Site(now=1000.0)


@pytest.fixture
def queue(site: Site) -> JobQueue:
    return a_queue(site)
