from __future__ import annotations

from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.parameter import ParameterVisibility

from b2luigi.batch.failure import LINE, TAIL_LINES, Failure, last_lines, summary, tail, tell


class Fails(luigi.Task):
    number = luigi.IntParameter(default=3)
    text = luigi.Parameter(default="short")
    secret = luigi.Parameter(visibility=ParameterVisibility.PRIVATE, default="hunter2")
    hidden = luigi.Parameter(visibility=ParameterVisibility.HIDDEN, default="hidden")


def story(**facts: Any) -> str:
    task = facts.pop("task", Fails())
    return tell(Failure(task=task, what="it broke", advice="Mend it.", batch_system="lsf", **facts))


def test_a_whole_story() -> None:
    """A failure is told with what, where, its last words and what to do."""
    told = story(job_id="7", node="n1", log_folder=Path("/logs/x"), last_words="one\ntwo")
    assert told.splitlines() == [
        "Task Fails failed: it broke",
        "    number = 3",
        "    text = short",
        f"  task id: {Fails().task_id}",
        "  job:     lsf job 7 on node n1",
        "  logs:    /logs/x/ (stdout, stderr)",
        "  last words:",
        "    | one",
        "    | two",
        "  Mend it.",
    ]


def test_a_story_of_which_little_is_known() -> None:
    """What is not known is left out."""
    told = story()
    assert "  job:     lsf, no job" in told.splitlines()
    assert not any(word in told for word in ("None", "logs", "last words", "on node"))


def test_private_parameters_are_not_told() -> None:
    """Secrets stay out of consoles and web pages."""
    assert "hunter2" not in story()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 97 + "..."),
        ("two\nlines", "two?lines"),
        ("\x1b[31mred", "?[31mred"),
        ("\ud800", "?"),
        ("grün", "grün"),
    ],
    ids=lambda text: ascii(text)[:12],
)
def test_a_parameter_is_one_line(text: str, shown: str) -> None:
    """Values are cut, and can not paint on the terminal."""
    assert f"    text = {shown}" in story(task=Fails(text=text)).split("\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("\n \n\t\n", ""),
        ("one\n\n", "one"),
        ("  indented", "  indented"),
        ("a\tb", "a       b"),
        ("10 %\r20 %\r", "10 % 20 %"),
        ("\x1b[2J\x07bell\x9b1m", "?[2J?bell?1m"),
        ("a\x0bb\x0cc\x85d\u2028e", "a b c d e"),
        ("half \udcfc", "half ?"),
        ("naïve 日本 🙂", "naïve 日本 🙂"),
    ],
    ids=ascii,
)
def test_last_lines_are_fit_for_a_terminal(text: str, shown: str) -> None:
    """Control characters are shown as `?`, whatever counts as white space as a blank."""
    assert last_lines(text) == shown


def test_last_lines_are_few_and_short() -> None:
    """Of a long text the end is told, of a line without end as well."""
    assert last_lines("\n".join(map(str, range(1000)))) == "\n".join(map(str, range(1000 - TAIL_LINES, 1000)))
    assert last_lines("x" * 10_000_000 + "end") == "x" * (LINE - 3) + "..."


def test_the_tail_of_files(tmp_path: Path) -> None:
    """What the task wrote, then what the batch system wrote; files that are empty, gone or folders are passed over."""
    (tmp_path / "empty").write_text("")
    (tmp_path / "blank").write_text(" \n")
    (tmp_path / "some").write_text("words\n")
    (tmp_path / "more").write_text("others\n")
    names = ("missing", ".", "empty", "blank", "some", "more")
    assert tail(tmp_path / name for name in names) == "words\nothers"
    assert tail(tmp_path / name for name in names[:4]) == ""


def test_the_tail_of_a_large_file(tmp_path: Path) -> None:
    """Only the end of a file is read, also when that is within a character."""
    (tmp_path / "log").write_bytes("ü".encode() * 50_000 + b"\xff\nlast\n")
    first, last = tail([tmp_path / "log"]).splitlines()
    assert last == "last"
    assert set(first.removesuffix("...")) <= {"ü", "\ufffd"}
    assert len(first) == LINE


@pytest.mark.parametrize(
    ("count", "begin", "end"),
    [
        (1, "===== 1 task failed =====", "story 0"),
        (2, "===== 2 tasks failed =====", "story 1"),
        (10, "===== 10 tasks failed =====", "story 9"),
        (11, "===== 11 tasks failed =====", "... and 1 more, told above."),
        (10_000, "===== 10000 tasks failed =====", "... and 9990 more, told above."),
    ],
)
def test_a_summary(count: int, begin: str, end: str) -> None:
    """At the end all failures are counted, and the first ones told again."""
    told = summary(f"story {number}" for number in range(count)).split("\n\n")
    assert (told[0], told[-1]) == (begin, end)
    assert len(told) == 1 + min(count, 10) + (count > 10)


def test_no_failure_no_words() -> None:
    """A run without failures ends without a summary."""
    assert summary([]) == ""
