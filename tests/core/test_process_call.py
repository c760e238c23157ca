"""What is known of the call of process that is running, and that it ends with the call."""

from __future__ import annotations

import pytest

from b2luigi.core.process_call import ProcessCall, running, running_call


def test_without_a_call_it_is_like_the_first() -> None:
    """A job script made by hand leads to the first call of its script."""
    assert running_call() == ProcessCall(number=1, in_process=False)


def test_calls_may_be_nested() -> None:
    """A task may call process itself: afterwards the outer call resumes."""
    outer, inner = ProcessCall(2), ProcessCall(3, in_process=True)
    with running(outer):
        with running(inner):
            assert running_call() == inner
        assert running_call() == outer


def test_a_call_ends_with_an_error() -> None:
    """Also with one that ends the script."""
    with pytest.raises(SystemExit), running(ProcessCall(2, in_process=True)):
        raise SystemExit(1)
    assert running_call() == ProcessCall()
