"""What a person types, and what `b2luigi run` makes of it."""

from __future__ import annotations

import pytest

from b2luigi.core.project_words import typed, words_of_task


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (words_of_task("Fit", "/p/tasks.py", "", []), "b2luigi run Fit"),
        (words_of_task("Fit", "/p/tasks.py", "", ["a=1", "b=x=y"]), "b2luigi run Fit -P a=1 -P b=x=y"),
        (words_of_task("Fit", "/p/other.py", "/p/mc.py", []), "b2luigi run Fit -f other.py -p /p/mc.py"),
        (["--batch", "--failure-exit-code", "1", *words_of_task("Fit", "/p/tasks.py", "", [])], "b2luigi run Fit"),
        (
            ["--batch", "--failure-exit-code", "3", *words_of_task("Fit", "/p/tasks.py", "", []), "--workers", "5"],
            "b2luigi run Fit -- --failure-exit-code 3 --workers 5",
        ),
    ],
)
def test_the_arguments_of_a_run_show_what_a_person_types(arguments: list[str], expected: str) -> None:
    """All of it, and nothing that the command has added."""
    assert " ".join(typed(arguments)) == expected
