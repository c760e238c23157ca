from __future__ import annotations

import pytest

from b2luigi.core.flags import FLAGS, others


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", ""),
        ("--batch", ""),
        ("--batch --mine --dry-run", "--mine"),
        ("--batch-runner --task-id T_1 --mine", "--mine"),
        ("--batch-runner --task-id=T_1 --mine", "--mine"),
        ("a --task-id", "a"),
        ("b --batc --batches --show-outputs -b", "b --batc --batches --show-outputs -b"),
        ("--mine=--batch x", "--mine=--batch x"),
        ("--batch -- --batch --task-id x", "-- --batch --task-id x"),
        ("two two two", "two two two"),
    ],
)
def test_the_arguments_of_the_script_itself(arguments: str, expected: str) -> None:
    """What is not b2luigi's stays, in its order; a flag is known by its whole name, and `--` ends them."""
    assert others(arguments.split()) == expected.split()


def test_a_name_is_given_once() -> None:
    """No two flags share a name, and each says what it does."""
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)
    assert all(flag.name.startswith("--") and flag.help for flag in FLAGS)
