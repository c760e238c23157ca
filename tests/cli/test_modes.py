from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import pytest
from colorama import Fore, Style

import b2luigi
from b2luigi.cli.modes import dry_run, show_outputs


class Leaf(b2luigi.Task):
    number = b2luigi.IntParameter()

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("leaf.txt")

    def dry_run(self) -> None:
        print("own words of", self.number)


class Top(b2luigi.Task):
    def requires(self) -> Any:
        return [Leaf(number=number) for number in (1, 2)]

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("top.txt")


class Given(b2luigi.ExternalTask):
    def output(self) -> Any:
        return luigi.LocalTarget("given")


class Link(luigi.Task):
    """A plain luigi task in a chain; its attribute `dry_run` is no method."""

    number = luigi.IntParameter()
    dry_run = True

    def requires(self) -> Any:
        return Link(number=self.number - 1) if self.number else []

    def complete(self) -> bool:
        return False


def make(task: b2luigi.Task, name: str) -> str:
    path = Path(task.get_output_file_name(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


def test_outputs_are_listed(capsys: pytest.CaptureFixture[str], script_folder: Path) -> None:
    """All outputs come by their name; where there is no terminal, words say whether they are there."""
    there = make(Leaf(number=1), "leaf.txt")
    show_outputs([Top()])
    assert capsys.readouterr().out.splitlines() == [
        "top.txt",
        f"    missing {script_folder}/top.txt",
        "leaf.txt",
        f"    exists  {there}",
        f"    missing {script_folder}/number=2/leaf.txt",
    ]


def at_a_terminal(roots: list[luigi.Task]) -> list[str]:
    """What `show_outputs` prints there."""
    screen, keyboard = os.openpty()
    with open(keyboard, "w") as terminal, contextlib.redirect_stdout(terminal):
        show_outputs(roots)
    with open(screen, "rb", buffering=0) as file:
        return b"".join(_pieces(file)).decode().splitlines()


def _pieces(screen: io.FileIO) -> Iterator[bytes]:
    """A terminal hands out what was printed bit by bit; that nobody can print any more is an error to Linux."""
    with contextlib.suppress(OSError):
        while piece := screen.read(65536):
            yield piece


def test_colours_at_a_terminal(script_folder: Path) -> None:
    """At a terminal outputs that are there are green, and red those that are not."""
    there = make(Leaf(number=1), "leaf.txt")
    assert at_a_terminal([Top()]) == [
        "top.txt",
        f"    {Fore.RED}{script_folder}/top.txt{Style.RESET_ALL}",
        "leaf.txt",
        f"    {Fore.GREEN}{there}{Style.RESET_ALL}",
        f"    {Fore.RED}{script_folder}/number=2/leaf.txt{Style.RESET_ALL}",
    ]


def test_no_colours_for_those_who_want_none(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable NO_COLOR, https://no-color.org, is heeded."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert at_a_terminal([Top()])[1] == f"    missing {script_folder}/top.txt"


def test_nothing_is_run_to_list_outputs(script_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Looking makes no folders."""
    show_outputs([Top(), Leaf(number=7)])
    assert "number=7/leaf.txt" in capsys.readouterr().out
    assert list(script_folder.iterdir()) == []


def test_shared_outputs_are_listed_once(script_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What several tasks of `process` require is one output, and all of a name stand together."""
    show_outputs([Leaf(number=3), Top(), Leaf(number=2)])
    assert capsys.readouterr().out.replace(f"    missing {script_folder}/", " ").splitlines() == [
        "leaf.txt",
        " number=3/leaf.txt",
        " number=1/leaf.txt",
        " number=2/leaf.txt",
        "top.txt",
        " top.txt",
    ]


def test_a_dry_run(capsys: pytest.CaptureFixture[str], script_folder: Path) -> None:
    """The tasks that would run are listed and counted, those of two roots once, and asked for their own words."""
    make(Leaf(number=1), "leaf.txt")
    dry_run([Top(), Leaf(number=2)])
    assert capsys.readouterr().out.splitlines() == [
        "Would run Top()",
        "Would run Leaf(number=2)",
        "own words of 2",
        "2 tasks to run.",
    ]


def test_one_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A single task is told in the singular, and an attribute that is no method is not called."""
    dry_run([Link(number=0)])
    assert capsys.readouterr().out.splitlines() == ["Would run Link(number=0)", "1 task to run."]


def test_what_no_task_makes(capsys: pytest.CaptureFixture[str]) -> None:
    """External tasks do not run: one that is missing is told as such, and not counted."""
    dry_run([Given()])
    assert capsys.readouterr().out.splitlines() == ["Missing, and made by no task: Given()", "0 tasks to run."]


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """A graph that is complete says so, whatever is missing below it."""
    make(Top(), "top.txt")
    dry_run([Top()])
    assert capsys.readouterr().out == "All tasks are complete.\n"


def test_a_deep_graph(capsys: pytest.CaptureFixture[str]) -> None:
    """A chain that is longer than Python's stack is as good as any."""
    dry_run([Link(number=3000)])
    assert capsys.readouterr().out.endswith("3001 tasks to run.\n")
