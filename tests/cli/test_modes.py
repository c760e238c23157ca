from __future__ import annotations

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
    """All outputs come by their name, in green those that are there, in red those that are not."""
    there = make(Leaf(number=1), "leaf.txt")
    show_outputs([Top()])
    assert capsys.readouterr().out.splitlines() == [
        "top.txt",
        f"    {Fore.RED}{script_folder}/top.txt{Style.RESET_ALL}",
        "leaf.txt",
        f"    {Fore.GREEN}{there}{Style.RESET_ALL}",
        f"    {Fore.RED}{script_folder}/number=2/leaf.txt{Style.RESET_ALL}",
    ]


def test_nothing_is_run_to_list_outputs(script_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Looking makes no folders."""
    show_outputs([Top(), Leaf(number=7)])
    assert "number=7/leaf.txt" in capsys.readouterr().out
    assert list(script_folder.iterdir()) == []


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


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """A graph that is complete says so, whatever is missing below it."""
    make(Top(), "top.txt")
    dry_run([Top()])
    assert capsys.readouterr().out == "All tasks are complete.\n"


def test_a_deep_graph(capsys: pytest.CaptureFixture[str]) -> None:
    """A chain that is longer than Python's stack is as good as any."""
    dry_run([Link(number=3000)])
    assert capsys.readouterr().out.endswith("3001 tasks to run.\n")
