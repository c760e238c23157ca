from __future__ import annotations

from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.parameter import ParameterVisibility

from b2luigi.batch.messages.failure import KINDS, LINE, TAIL_LINES, Failure, brief, last_lines, render, summary, tail


class Fails(luigi.Task):
    number = luigi.IntParameter(default=3)
    text = luigi.Parameter(default="short")
    secret = luigi.Parameter(visibility=ParameterVisibility.PRIVATE, default="hunter2")
    hidden = luigi.Parameter(visibility=ParameterVisibility.HIDDEN, default="hidden")


def story(**facts: Any) -> str:
    known = {"task": Fails(), "what": "it broke", "advice": "Mend it.", "batch_system": "lsf"}
    return render(Failure(**{**known, **facts}))


def test_a_complete_story() -> None:
    """The text says what happened, where, the last words and what to do."""
    text = story(job_id="7", node="n1", log_folder=Path("/logs/x"), last_words="one\ntwo")
    assert text.splitlines() == [
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


def test_a_story_with_few_facts() -> None:
    """Unknown facts are omitted."""
    text = story()
    assert "  job:     lsf, no job" in text.splitlines()
    assert not any(word in text for word in ("None", "logs", "last words", "on node"))


def test_private_parameters_are_not_shown() -> None:
    """Secrets do not appear on consoles and web pages."""
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
    """Values are truncated, and their control characters are replaced."""
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
def test_last_lines_are_safe_for_a_terminal(text: str, shown: str) -> None:
    """Control characters are shown as `?`, and any white space as a blank."""
    assert last_lines(text) == shown


def test_last_lines_are_few_and_short() -> None:
    """Only the end of a long text is shown, and long lines are truncated."""
    assert last_lines("\n".join(map(str, range(1000)))) == "\n".join(map(str, range(1000 - TAIL_LINES, 1000)))
    assert last_lines("x" * 10_000_000 + "end") == "x" * (LINE - 3) + "..."


def test_of_the_stack_of_a_crash_the_users_part_is_shown() -> None:
    """And where a library crashed; not the calls that led to the user's code: they may be more than all lines shown."""
    ours = [f'  File "{luigi.__file__}", line {n} in run' for n in range(2 * TAIL_LINES)]
    crash = ["Stack (most recent call first):", ours[0], '  File "/me/analysis.py", line 38 in run', *ours, "the end"]
    assert last_lines("\n".join(crash)).splitlines() == [*crash[:3], "the end"]


def test_the_tail_of_files(tmp_path: Path) -> None:
    """The ends of all files in order; empty or missing files and folders are skipped."""
    (tmp_path / "empty").write_text("")
    (tmp_path / "blank").write_text(" \n")
    (tmp_path / "some").write_text("words\n")
    (tmp_path / "more").write_text("others\n")
    names = ("missing", ".", "empty", "blank", "some", "more")
    assert tail(tmp_path / name for name in names) == "words\nothers"
    assert tail(tmp_path / name for name in names[:4]) == ""


def test_the_tail_of_a_large_file(tmp_path: Path) -> None:
    """Only the end of a file is read, even if it starts within a character."""
    (tmp_path / "log").write_bytes("ü".encode() * 50_000 + b"\xff\nlast\n")
    first, last = tail([tmp_path / "log"]).splitlines()
    assert last == "last"
    assert set(first.removesuffix("...")) <= {"ü", "\ufffd"}
    assert len(first) == LINE


def failed(number: int, what: str = "it broke") -> tuple[str, str]:
    """Task id and story of one of many."""
    task, folder = Fails(number=number), Path(f"/logs/number={number}/Fails")
    return task.task_id, story(task=task, what=what, job_id=str(number), log_folder=folder)


def test_few_failures_are_repeated_in_full() -> None:
    """The end of a run shows everything about one or two failures of a kind."""
    for count, begin in ((1, "===== 1 task failed ====="), (2, "===== 2 tasks failed =====")):
        failures = dict(failed(number) for number in range(count))
        assert summary(failures).split("\n\n") == [begin, *failures.values()]


def test_many_failures_of_one_kind() -> None:
    """One is repeated in full, some others are named with their parameters: less than a screen."""
    failures = dict(failed(number, f"{number} is unlucky: x{number:02}/y") for number in range(1, 1501))
    text = summary(failures)
    head, full, listed = text.split("\n\n")
    assert head == "===== 1,500 tasks failed ====="
    assert full == next(iter(failures.values()))
    first, *lines = listed.splitlines()
    assert first == "1,499 more failed in the same way:"
    assert lines[0].startswith("    Fails(number=2, text=short), Fails(number=3,")
    assert lines[-1].endswith(" ...")
    assert len(text.splitlines()) < 20
    assert max(map(len, lines)) < 80


def test_a_story_in_two_lines() -> None:
    """What happened to which task, and where; for a story of another form, its first line."""
    text = story(what="KeyError: 'pt'", job_id="7", node="n1", log_folder=Path("/logs/x"))
    assert brief(text).splitlines() == [
        "Fails(number=3, text=short) failed: KeyError: 'pt'",
        "    lsf job 7 on node n1; logs in /logs/x/",
    ]
    assert brief("Task Fails() was not submitted: the first 20 failed\nmore") == (
        "Task Fails() was not submitted: the first 20 failed"
    )


def test_what_happened_is_safe_for_a_terminal() -> None:
    """An exception may have control characters in its message."""
    assert story(what="ValueError: \x1b[31mred").splitlines()[0] == "Task Fails failed: ValueError: ?[31mred"


def test_failures_of_several_kinds() -> None:
    """Each kind has a complete story, even one that happened once among hundreds."""
    failures = dict(failed(number, "ValueError: no") for number in range(5))
    failures |= dict(failed(number, "KeyError: no") for number in range(5, 6))
    text = summary(failures)
    assert text.count("failed: ValueError: no") == text.count("failed: KeyError: no") == 1
    assert "4 more failed in the same way:" in text
    assert "see above" not in text


def test_failures_without_a_job_are_listed_without_logs() -> None:
    """A task that was not submitted has no log folder."""
    text = summary({f"T_{n}": f"Task T(n={n}) was not submitted: the first 20 jobs failed" for n in range(5)})
    assert text.split("\n\n")[1:] == [
        "Task T(n=0) was not submitted: the first 20 jobs failed",
        "4 more failed in the same way:\n    T(n=1), T(n=2), T(n=3), T(n=4)",
    ]


def test_failures_of_very_many_kinds() -> None:
    """Only the first kinds are repeated, so that the summary stays short even if all failures differ."""
    failures = {f"T_{n}": f"Task T failed: {chr(97 + n)}" for n in range(KINDS + 3)}
    assert summary(failures).split("\n\n")[1:] == [
        *(f"Task T failed: {chr(97 + n)}" for n in range(KINDS)),
        "... and 3 more of other kinds; the log file has them.",
    ]


def test_no_failures() -> None:
    """A run without failures ends without a summary."""
    assert summary({}) == ""


def test_our_own_sentences_fit_on_a_terminal() -> None:
    """Advice is wrapped between words; paths and the command to copy are not split, however long."""
    advice = f"Correct the error in {'/long' * 20} and run the script again. Tasks that are complete are not repeated."
    command = f"'/some folder/{'x' * 90}'"
    *_, one, two, three, invitation, last = story(advice=advice, here=command).splitlines()
    assert "".join((one, two, three)).replace("  ", " ").strip() == advice
    assert two == f"  {'/long' * 20}"
    assert max(map(len, (one, three, invitation))) < 80
    assert (invitation, last) == ("  To run this one task here and now:", f"    {command}")
