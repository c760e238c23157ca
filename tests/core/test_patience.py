"""Steps that are repeated while a disk is full."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from b2luigi.core.patience import PASSING, patiently


class Step:
    """Fails with these error numbers, one after the other, and works then."""

    def __init__(self, *numbers: int) -> None:
        self.calls = 0
        self._errors: Iterator[OSError] = (OSError(number, "no") for number in numbers)

    def __call__(self) -> str:
        self.calls += 1
        for error in self._errors:
            raise error
        return "done"


def never() -> float:
    raise AssertionError("not to be asked")


def test_a_step_that_works_is_done_once() -> None:
    """Without any wait."""
    step = Step()
    assert (patiently(step, never), step.calls) == ("done", 1)


@pytest.mark.parametrize("passing", [None, PASSING])
def test_a_step_is_repeated_until_it_works(passing: frozenset[int] | None, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once what it waits for."""
    step = Step(errno.ENOSPC, errno.EROFS)
    assert (patiently(step, lambda: 100, passing), step.calls) == ("done", 3)
    assert caplog.text.count("retrying for 100 s: [Errno 28] no") == 1
    assert "Errno 30" not in caplog.text


def test_the_last_error_is_raised_when_the_time_is_up() -> None:
    """Not before the step was tried once more at the very end."""
    step = Step(errno.ENOSPC, *[errno.EDQUOT] * 1000)
    with pytest.raises(OSError, match="no") as caught:
        patiently(step, lambda: 0.3)
    assert (caught.value.errno, step.calls) == (errno.EDQUOT, 3)


@pytest.mark.parametrize(
    ("number", "passing"), [(errno.ENOTDIR, None), (errno.EACCES, PASSING)], ids=["for good", "not meant"]
)
def test_other_errors_are_raised_at_once(number: int, passing: frozenset[int] | None) -> None:
    """No waiting ends them."""
    step = Step(number)
    with pytest.raises(OSError, match="no"):
        patiently(step, lambda: 100, passing)
    assert step.calls == 1


@pytest.mark.parametrize("path", ["/proc/nowhere", "/sys/nowhere"])
def test_nobody_waits_for_a_file_system_of_the_kernel(path: str) -> None:
    """Nothing can ever be created there."""
    with pytest.raises(OSError, match="nowhere"):
        patiently(lambda: os.mkdir(path), never)
