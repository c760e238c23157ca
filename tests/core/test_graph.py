from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import pytest

import b2luigi
from b2luigi.core.graph import (
    all_tasks,
    find_task,
    get_all_output_files_in_tree,
    similar_task_ids,
    task_iterator,
    with_dependents,
)

EDGES = {"top": "left right", "left": "bottom", "right": "bottom extra", "bottom": "", "extra": ""}


class Node(b2luigi.Task):
    name = b2luigi.Parameter()

    def requires(self) -> Iterator[Any]:
        return (Node(name=name) for name in EDGES[self.name].split())

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("node.txt")


class Link(luigi.Task):
    number = luigi.IntParameter()

    def requires(self) -> Any:
        return Link(number=self.number - 1) if self.number else []

    def complete(self) -> bool:
        return self.number == 4


class Root(b2luigi.Task):
    def requires(self) -> Any:
        return [Node(name="bottom"), Plain()]

    def output(self) -> Any:
        return self.add_to_output("root.txt")


class Plain(luigi.Task):
    def output(self) -> Any:
        return luigi.LocalTarget("/data/plain.txt")


def number_of(task: Any) -> int:
    number: int = task.number
    return number


def names(tasks: Iterator[Any]) -> list[str]:
    return [task.name for task in tasks]


def test_each_task_comes_once_depth_first() -> None:
    """A task comes before its requirements, and a shared requirement comes once, at its first position."""
    assert names(task_iterator(Node(name="top"))) == ["top", "left", "bottom", "right", "extra"]


def test_only_incomplete_tasks(script_folder: Path) -> None:
    """Complete tasks are skipped, together with the tasks that only they require."""
    done = Path(Node(name="right").get_output_file_name("node.txt"))
    done.parent.mkdir()
    done.touch()
    assert names(task_iterator(Node(name="top"), only_non_complete=True)) == ["top", "left", "bottom"]
    assert [number_of(link) for link in task_iterator(Link(number=7), only_non_complete=True)] == [7, 6, 5]


def test_a_chain_of_ten_thousand() -> None:
    """Deep graphs are walked without recursion."""
    root = Link(number=10_000)
    assert sum(1 for _ in task_iterator(root)) == 10_001
    assert find_task([root], Link(number=0).task_id) == Link(number=0)


def test_a_task_is_found_by_its_id() -> None:
    """The task is found in the graph of several roots; otherwise the result is None."""
    wanted = Node(name="extra")
    assert find_task([Link(number=1), Node(name="top")], wanted.task_id) is wanted
    assert find_task([Node(name="left")], wanted.task_id) is None
    assert find_task([], wanted.task_id) is None


def test_similar_ids_are_found_for_error_messages() -> None:
    """The most similar ids come first, at most as many as requested."""
    similar = similar_task_ids([Link(number=20)], Link(number=12).task_id + "x", n=2)
    assert similar[0] == Link(number=12).task_id
    assert len(similar) == 2
    assert similar_task_ids([Node(name="top")], "@@@") == []


def test_all_output_files(script_folder: Path) -> None:
    """Every output file of the graph, with the parameters of its task and whether it exists."""
    node = {
        "exists": False,
        "parameters": {"name": "bottom"},
        "file_name": f"{script_folder}/name=bottom/node.txt",
    }
    plain = {"exists": False, "parameters": {}, "file_name": "/data/plain.txt"}
    root = {"exists": True, "parameters": {}, "file_name": f"{script_folder}/root.txt"}
    (script_folder / "root.txt").touch()
    assert get_all_output_files_in_tree(Root()) == {
        "root.txt": [root],
        "node.txt": [node],
        "plain.txt": [plain],
    }
    assert get_all_output_files_in_tree(Root(), "node.txt") == [node]
    with pytest.raises(KeyError, match=r"named 'x'; available: root.txt, node.txt, plain.txt"):
        get_all_output_files_in_tree(Root(), "x")


def named(*names: str) -> list[Node]:
    return [Node(name=name) for name in names]


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ("bottom", ["top", "left", "bottom", "right"]),
        ("extra", ["top", "right", "extra"]),
        ("left extra", ["top", "left", "right", "extra"]),
        ("top", ["top"]),
        ("", []),
    ],
)
def test_dependents(chosen: str, found: list[str]) -> None:
    """A task and all its direct and indirect dependents, and nothing else, in the order of the walk."""
    wanted = set(named(*chosen.split()))
    assert with_dependents(named("top"), wanted.__contains__) == named(*found)


def test_dependents_in_a_deep_graph() -> None:
    """A chain longer than Python's recursion limit works."""
    assert len(with_dependents([Link(number=3000)], lambda task: number_of(task) == 1000)) == 2001


def test_several_roots() -> None:
    """A shared requirement comes once, and is checked for completeness once."""
    assert list(all_tasks(named("left", "top", "left"))) == named("left", "bottom", "top", "right", "extra")
    chain = [Link(number=number) for number in range(5, 2000)]
    assert len(list(all_tasks(chain, only_non_complete=True))) == 1995
