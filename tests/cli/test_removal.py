"""--remove: which outputs are removed or kept, the confirmation, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import luigi
import pytest

import b2luigi
from b2luigi.batch.attempts.record import Record
from b2luigi.cli.removal import Choice, class_names, remove_outputs
from b2luigi.core.paths import get_task_file_dir


class Removable(b2luigi.Task):
    def output(self) -> Iterator[Any]:
        yield self.add_to_output(f"{type(self).__name__}.txt")


class Bottom(Removable):
    pass


class Left(Removable):
    def requires(self) -> Any:
        return Bottom()


class Right(Removable):
    def requires(self) -> Any:
        return Bottom()


class Top(Removable):
    def requires(self) -> Any:
        return [Left(), Right()]


class Stays(luigi.Task):
    """Has no method remove_output."""

    def requires(self) -> Any:
        return Top()

    def output(self) -> Any:
        return luigi.LocalTarget("Stays.txt")


class Given(b2luigi.ExternalTask):
    """Nothing here can create it again."""

    def output(self) -> Any:
        return b2luigi.LocalTarget("Given.txt")


class GivenRemovable(Given):
    def remove_output(self) -> None:
        super().remove_output()


class Passes(b2luigi.Task):
    """Its outputs are those of others, and one of its own."""

    def requires(self) -> Any:
        return [Given(), Bottom()]

    def output(self) -> Iterator[Any]:
        yield self.input()
        yield self.add_to_output("Passes.txt")


class Spaced(Removable):
    task_namespace = "deep.space"


class Stubborn(Removable):
    def requires(self) -> Any:
        return Bottom()

    def remove_output(self) -> None:
        raise OSError("it is nailed down")


class Link(Removable):
    number = b2luigi.IntParameter()

    def requires(self) -> Any:
        return Link(number=self.number - 1) if self.number else Bottom()

    def remove_output(self) -> None:
        pass


ALL = {"Bottom", "Left", "Right", "Top"}


def never_ask(question: str) -> str:
    raise AssertionError(f"unexpected question: {question}")


def made(root: luigi.Task, *names: str) -> Callable[[], set[str]]:
    """Creates the outputs of these classes; returns a function that returns those that exist."""
    for name in names:
        Path(f"{name}.txt").touch()
    return lambda: {path.stem for path in Path().glob("*.txt")}


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        (Choice(["Bottom"]), set()),
        (Choice(["Left"]), {"Bottom", "Right"}),
        (Choice(["Left", "Right"]), {"Bottom"}),
        (Choice(["Bottom"], keep=["Right"]), {"Right"}),
        (Choice(["Bottom"], with_dependents=False), {"Left", "Right", "Top"}),
        (Choice(["Bottom", "Top"], with_dependents=False, keep=["Top"]), {"Left", "Right", "Top"}),
    ],
)
def test_which_outputs_are_removed(choice: Choice, kept: set[str]) -> None:
    """Those of the named classes, with or without their dependents, except the ones to keep."""
    there = made(Top(), *ALL)
    assert remove_outputs([Top()], choice, ask=lambda question: "y") == 0
    assert there() == kept


@pytest.mark.parametrize(("answer", "kept"), [("y", set()), ("YES ", set()), ("", ALL), ("n", ALL), ("yeah?", ALL)])
def test_confirmation(answer: str, kept: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Only a clear yes removes anything; the tasks are counted before. Saying no is not an error."""
    there = made(Top(), *ALL)
    assert remove_outputs([Top()], Choice(["Bottom"]), ask=lambda question: answer) == 0
    assert there() == kept
    assert "  Left: 1 task\n" in capsys.readouterr().out


def test_confirmed_in_advance() -> None:
    """With -y there is no question."""
    there = made(Top(), *ALL)
    assert remove_outputs([Top()], Choice(["Bottom"], confirmed=True), ask=never_ask) == 0
    assert there() == set()


def test_nobody_to_ask(capsys: pytest.CaptureFixture[str]) -> None:
    """In a cron job, for example, nothing is removed without -y, and the exit code is 1."""

    def end_of_file(question: str) -> str:
        raise EOFError

    there = made(Top(), *ALL)
    assert remove_outputs([Top()], Choice(["Bottom"]), end_of_file) == 1
    assert there() == ALL
    assert "pass -y" in capsys.readouterr().err


def test_tasks_without_the_method(capsys: pytest.CaptureFixture[str]) -> None:
    """Outputs of tasks without remove_output are kept; the message says so and how to define it."""
    there = made(Stays(), *ALL, "Stays")
    assert remove_outputs([Stays()], Choice(["Bottom"], confirmed=True), never_ask) == 0
    assert there() == {"Stays"}
    printed = capsys.readouterr().out
    assert "their outputs are kept: Stays." in printed
    assert "def remove_output(self):" in printed


def test_what_no_task_creates_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Data from outside stay, unless their class says how to remove them; so do those that others pass on."""
    there = made(Given(), "Given", "Passes", "Bottom")
    assert remove_outputs([Passes()], Choice(["Given"], confirmed=True), never_ask) == 0
    assert there() == {"Given"}
    assert "No task creates the outputs of these, so they are kept: Given." in capsys.readouterr().out
    assert remove_outputs([GivenRemovable()], Choice(["GivenRemovable"], confirmed=True), never_ask) == 0
    assert there() == set()


def test_outputs_to_keep_are_kept_where_others_pass_them_on() -> None:
    """`--keep` holds, whichever task names the file as its output, too."""
    there = made(Passes(), "Given", "Passes", "Bottom")
    assert remove_outputs([Passes()], Choice(["Bottom"], keep=["Bottom"], confirmed=True), never_ask) == 0
    assert there() == {"Given", "Bottom"}


def test_nothing_to_remove(capsys: pytest.CaptureFixture[str]) -> None:
    """If no task has remove_output, there is no question."""
    assert remove_outputs([Stays()], Choice(["Stays"]), never_ask) == 0
    assert capsys.readouterr().out.endswith("No outputs to remove.\n")


@pytest.mark.parametrize("choice", [Choice(["Botom"]), Choice(["Bottom"], keep=["Botom"])])
def test_an_unknown_name(choice: Choice) -> None:
    """With a typo in a name, even in one to keep, nothing is removed, and the error gives the closest name."""
    there = made(Top(), *ALL)
    with pytest.raises(ValueError, match=r"named Botom; nothing was removed\. Did you mean Bottom"):
        remove_outputs([Top()], choice, never_ask)
    assert there() == ALL


@pytest.mark.parametrize("name", ["Spaced", "deep.space.Spaced"])
def test_a_namespace(name: str) -> None:
    """Classes can be named with and without their namespace."""
    there = made(Spaced(), "Spaced")
    assert remove_outputs([Spaced()], Choice([name], confirmed=True), never_ask) == 0
    assert there() == set()


def test_one_removal_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """The traceback of a failed removal is printed; the others continue, and the exit code is 1."""
    there = made(Stubborn(), "Bottom", "Stubborn")
    assert remove_outputs([Stubborn()], Choice(["Bottom"], confirmed=True), never_ask) == 1
    assert there() == {"Stubborn"}
    printed = capsys.readouterr()
    assert "it is nailed down" in printed.err
    assert "Called remove_output of 2 tasks; it failed for 1 of them." in printed.out


@pytest.mark.parametrize("busy", [Bottom, Top])
def test_jobs_that_may_still_run(busy: type[luigi.Task], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is removed while a job may be writing these outputs or reading them as inputs."""
    there = made(Top(), *ALL)
    attempt = Record.claim(Path(get_task_file_dir(busy())), {}, 0)
    choice = Choice(["Bottom"], with_dependents=False, confirmed=True)
    assert remove_outputs([Top()], choice, never_ask) == 1
    assert there() == ALL
    assert f"may still run and write their outputs:\n  {busy()}" in capsys.readouterr().err
    attempt.note(ended=1.0)
    assert remove_outputs([Top()], choice, never_ask) == 0
    assert there() == ALL - {"Bottom"}


def test_a_deep_graph(capsys: pytest.CaptureFixture[str]) -> None:
    """A chain longer than Python's recursion limit works."""
    assert remove_outputs([Link(number=3000)], Choice(["Bottom"], keep=["Bottom"], confirmed=True), never_ask) == 0
    assert "Called remove_output of 3001 tasks." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (None, []),
        ("", []),
        ("A", ["A"]),
        ("A, B,", ["A", "B"]),
        (["A", " B"], ["A", "B"]),
        ([Top, "A"], ["Top", "A"]),
    ],
)
def test_names(given: Any, names: list[str]) -> None:
    """A flag separates them by commas; an argument is a list of names or classes."""
    assert class_names(given) == names
