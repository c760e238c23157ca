from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import pytest
from colorama import Fore, Style

import b2luigi
from b2luigi.cli.modes import dry_run, show_outputs
from b2luigi.core.checks import GraphError


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
    """A plain luigi task in a chain; its attribute `dry_run` is not a method."""

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
    """All outputs are listed by name; without a terminal, words say whether they exist."""
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
    """The output of `show_outputs` at a terminal."""
    screen, keyboard = os.openpty()
    with open(keyboard, "w") as terminal, contextlib.redirect_stdout(terminal):
        show_outputs(roots)
    with open(screen, "rb", buffering=0) as file:
        return b"".join(_pieces(file)).decode().splitlines()


def _pieces(screen: io.FileIO) -> Iterator[bytes]:
    """A terminal returns the output in pieces; on Linux, its end is an error."""
    with contextlib.suppress(OSError):
        while piece := screen.read(65536):
            yield piece


def test_colours_at_a_terminal(script_folder: Path) -> None:
    """At a terminal, existing outputs are green and missing ones red."""
    there = make(Leaf(number=1), "leaf.txt")
    assert at_a_terminal([Top()]) == [
        "top.txt",
        f"    {Fore.RED}{script_folder}/top.txt{Style.RESET_ALL}",
        "leaf.txt",
        f"    {Fore.GREEN}{there}{Style.RESET_ALL}",
        f"    {Fore.RED}{script_folder}/number=2/leaf.txt{Style.RESET_ALL}",
    ]


def test_no_colours_with_no_color(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable NO_COLOR, https://no-color.org, is respected."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert at_a_terminal([Top()])[1] == f"    missing {script_folder}/top.txt"


def test_nothing_is_run_to_list_outputs(script_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Listing outputs creates no folders."""
    show_outputs([Top(), Leaf(number=7)])
    assert "number=7/leaf.txt" in capsys.readouterr().out
    assert list(script_folder.iterdir()) == []


def test_shared_outputs_are_listed_once(script_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output of a shared requirement is listed once, and outputs with the same name are listed together."""
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
    """The tasks that would run are listed and counted once, even with two roots, and their dry_run is called."""
    make(Leaf(number=1), "leaf.txt")
    dry_run([Top(), Leaf(number=2)])
    assert capsys.readouterr().out.splitlines() == [
        "Would run Top()",
        "Would run Leaf(number=2)",
        "own words of 2",
        "2 tasks to run.",
    ]


class Forgot(Leaf):
    def output(self) -> Any:
        self.add_to_output("leaf.txt")


class Made(Leaf):
    def run(self) -> None:
        make(self, "leaf.txt")


class Twin(Made):
    """Its output is that of a Made."""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("tasks", "reason"),
    [
        ([Forgot(number=1)], "Forgot(number=1) can never be complete"),
        ([Made(number=1), Twin(number=1)], "would both run and write the same file"),
    ],
)
def test_a_dry_run_refuses_what_a_run_would_refuse(
    tasks: list[luigi.Task], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who looks before a run finds out then."""
    with pytest.raises(GraphError, match=re.escape(reason)):
        dry_run(tasks)
    assert capsys.readouterr().out == ""


def test_a_single_task(capsys: pytest.CaptureFixture[str]) -> None:
    """A single task is counted in the singular, and an attribute dry_run that is not a method is not called."""
    dry_run([Link(number=0)])
    assert capsys.readouterr().out.splitlines() == ["Would run Link(number=0)", "1 task to run."]


def test_external_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    """External tasks do not run: one with a missing output is listed as such, and not counted."""
    dry_run([Given()])
    assert capsys.readouterr().out.splitlines() == ["Missing, and not created by any task: Given()", "0 tasks to run."]


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """A complete graph is reported as such, whatever outputs are missing below the root."""
    make(Top(), "top.txt")
    dry_run([Top()])
    assert capsys.readouterr().out == "All tasks are complete.\n"


def test_a_deep_graph(capsys: pytest.CaptureFixture[str]) -> None:
    """A chain longer than Python's recursion limit works."""
    dry_run([Link(number=3000)])
    assert capsys.readouterr().out.endswith("3001 tasks to run.\n")


class Spans(b2luigi.Task):
    runs = b2luigi.ListParameter(default=[3, 5], hashed=True, hash_function=lambda runs: "-".join(map(str, runs)))

    def output(self) -> Any:
        yield self.add_to_output("o.txt")

    def run(self) -> None:
        """Not to be called."""


class Unsure(Spans):
    def output(self) -> Any:
        raise ValueError("not known yet")

    def complete(self) -> bool:
        return False


def test_a_dry_run_points_out_a_result_in_a_former_folder(
    capsys: pytest.CaptureFixture[str], script_folder: Path
) -> None:
    """One example says why the tasks would run again."""
    former = script_folder / "runs=hashed_3-5" / "o.txt"
    former.parent.mkdir()
    former.touch()
    dry_run([Unsure(), Spans()])
    printed = capsys.readouterr().out
    assert f"named: {former} is now expected as {script_folder}/runs=3-5/o.txt. Rename" in printed
    assert printed.endswith("2 tasks to run.\n")
