"""What a journal must not show of a command line."""

from __future__ import annotations

import pytest

from b2luigi.monitor.journal.masks import masked_arguments


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("--token=abc", "--token=***"),
        ("--token=a=b", "--token=***"),
        ("--param=api_token=abc", "--param=api_token=***"),
        ("--param=n=3", "--param=n=3"),
        ("--param=mode=a=b", "--param=mode=a=b"),
    ],
)
def test_secret_values(word: str, shown: str) -> None:
    """Options, and parameters of a task of a project, whose names say so."""
    assert masked_arguments(["-v", word]) == ["-v", shown]
