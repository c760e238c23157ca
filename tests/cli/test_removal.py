"""--remove: which outputs go, which stay, what is asked and what is refused."""

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

    def remove_output(self) -> None:
        self._remove_output()


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


class Stays(b2luigi.Task):
    """Has no method remove_output."""

    def requires(self) -> Any:
        return Top()

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("Stays.txt")


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


def nobody(question: str) -> str:
    raise AssertionError(f"nobody is to be asked, but: {question}")


def made(root: luigi.Task, *names: str) -> Callable[[], set[str]]:
    """Makes the outputs of these classes; what is returned tells which are there."""
    for name in names:
        Path(f"{name}.txt").touch()
    return lambda: {path.stem for path in Path().glob("*.txt")}


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        (Choice(["Bottom"]), set()),
        (Choice(["Left"]), {"Bottom", "Right"}),
        (Choice(["Left", "Right"]), {"Bottom"}),
        (Choice(["Bottom"], keep=["Right"]), {"Right"}),
        (Choice(["Bottom"], with_dependents=False), {"Left", "Right", "Top"}),
        (Choice(["Bottom", "Top"], with_dependents=False, keep=["Top"]), {"Left", "Right", "Top"}),
    ],
)
def test_what_goes(choice: Choice, left: set[str]) -> None:
    """The named classes and all that depends on them, or only they; what is to be kept stays."""
    there = made(Top(), *ALL)
    assert remove_outputs([Top()], choice, ask=lambda question: "y") == 0
    assert there() == left


@pytest.mark.parametrize(("answer", "left"), [("y", set()), ("YES ", set()), ("", ALL), ("n", ALL), ("yeah?", ALL)])
def test_the_question(answer: str, left: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Only a clear yes removes anything; what would go is counted before. To say no is no error."""
    there = made(Top(), *ALL)
    assert remove_outputs([Top()], Choice(["Bottom"]), ask=lambda question: answer) == 0
    assert there() == left
    assert "  Left: 1 task\n" in capsys.readouterr().out


def test_confirmed_before() -> None:
    """With -y nobody is asked."""
    there = made(Top(), *ALL)
    assert remove_outputs([Top()], Choice(["Bottom"], confirmed=True), ask=nobody) == 0
    assert there() == set()


def test_nobody_to_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """In a cron job, say, nothing is removed without -y, and the exit code tells."""

    def at_the_end_of_the_file(question: str) -> str:
        raise EOFError

    there = made(Top(), *ALL)
    assert remove_outputs([Top()], Choice(["Bottom"]), at_the_end_of_the_file) == 1
    assert there() == ALL
    assert "with -y" in capsys.readouterr().err


def test_tasks_without_the_method(capsys: pytest.CaptureFixture[str]) -> None:
    """Outputs go only by the method of the task; those of others stay, which is told with the way out."""
    there = made(Stays(), *ALL, "Stays")
    assert remove_outputs([Stays()], Choice(["Bottom"], confirmed=True), nobody) == 0
    assert there() == {"Stays"}
    told = capsys.readouterr().out
    assert "their outputs stay: Stays." in told
    assert "def remove_output(self):" in told


def test_nothing_to_remove(capsys: pytest.CaptureFixture[str]) -> None:
    """Without any task that can do it there is nothing to ask."""
    assert remove_outputs([Stays()], Choice(["Stays"]), nobody) == 0
    assert capsys.readouterr().out.endswith("No outputs are to be removed.\n")


@pytest.mark.parametrize("choice", [Choice(["Botom"]), Choice(["Bottom"], keep=["Botom"])])
def test_a_name_nobody_has(choice: Choice) -> None:
    """A slip in a name, also in one to be kept, removes nothing, and the nearest name is told."""
    there = made(Top(), *ALL)
    with pytest.raises(ValueError, match=r"called Botom; nothing was removed\. Did you mean Bottom"):
        remove_outputs([Top()], choice, nobody)
    assert there() == ALL


@pytest.mark.parametrize("name", ["Spaced", "deep.space.Spaced"])
def test_a_namespace(name: str) -> None:
    """Classes are known with and without their namespace."""
    there = made(Spaced(), "Spaced")
    assert remove_outputs([Spaced()], Choice([name], confirmed=True), nobody) == 0
    assert there() == set()


def test_one_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """A method that raises is told with its traceback; the others go on, and the exit code is 1."""
    there = made(Stubborn(), "Bottom", "Stubborn")
    assert remove_outputs([Stubborn()], Choice(["Bottom"], confirmed=True), nobody) == 1
    assert there() == {"Stubborn"}
    told = capsys.readouterr()
    assert "it is nailed down" in told.err
    assert "called for 2 tasks; for 1 of them it failed." in told.out


@pytest.mark.parametrize("busy", [Bottom, Top])
def test_jobs_that_may_run(busy: type[luigi.Task], capsys: pytest.CaptureFixture[str]) -> None:
    """No output goes that a job may be writing, or reading, even if only those of other tasks are to go."""
    there = made(Top(), *ALL)
    attempt = Record.claim(Path(get_task_file_dir(busy())), {}, 0)
    choice = Choice(["Bottom"], with_dependents=False, confirmed=True)
    assert remove_outputs([Top()], choice, nobody) == 1
    assert there() == ALL
    assert f"may still run and write their outputs:\n  {busy()}" in capsys.readouterr().err
    attempt.note(ended=1.0)
    assert remove_outputs([Top()], choice, nobody) == 0
    assert there() == ALL - {"Bottom"}


def test_a_deep_graph(capsys: pytest.CaptureFixture[str]) -> None:
    """A chain that is longer than Python's stack is as good as any."""
    assert remove_outputs([Link(number=3000)], Choice(["Bottom"], keep=["Bottom"], confirmed=True), nobody) == 0
    assert "called for 3001 tasks." in capsys.readouterr().out


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
    """A flag gives them with commas, an argument as a list of names or of classes."""
    assert class_names(given) == names
