from __future__ import annotations

import pytest

from b2luigi.core.flags import FLAGS, script_arguments


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
def test_the_script_s_own_arguments(arguments: str, expected: str) -> None:
    """Arguments that are not b2luigi's stay, in order; only full flag names match, and `--` ends the flags."""
    assert script_arguments(arguments.split()) == expected.split()


def test_flag_names_are_unique() -> None:
    """No two flags share a name, and each has a help text."""
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)
    assert all(flag.name.startswith("--") and flag.help for flag in FLAGS)
