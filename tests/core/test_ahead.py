"""Looking ahead: side by side where looks are slow, and nothing else changes. Counted, not timed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, ClassVar

import luigi
import pytest
from luigi.local_target import LocalFileSystem

import b2luigi
from b2luigi.core.ahead import FLYING, SLOW, WINDOW, LookAhead, each
from b2luigi.core.answers import FRESH, Answers
from b2luigi.core.graph import all_tasks, get_output_files, missing_requirements
from b2luigi.core.target import LOOKS
from tests.core.disks import Disk


class Leaf(b2luigi.Task):
    i = b2luigi.IntParameter()

    def output(self) -> Any:
        return b2luigi.LocalTarget(path(self.i))


class Pair(Leaf):
    """Two outputs."""

    def output(self) -> Iterator[Any]:
        yield {"one": b2luigi.LocalTarget(path(self.i)), "two": b2luigi.LocalTarget(path(self.i) + ".two")}


class Root(b2luigi.Task):
    n = b2luigi.IntParameter()

    def requires(self) -> Any:
        return [Leaf(i=i) for i in range(self.n)]

    def output(self) -> Any:
        return b2luigi.LocalTarget("/disk/root")


class All(b2luigi.WrapperTask):
    n = b2luigi.IntParameter()

    def requires(self) -> Any:
        return [Leaf(i=i) for i in range(self.n)]


def path(number: int) -> str:
    return f"/disk/{number}"


def paths(*numbers: int) -> list[str]:
    return [path(number) for number in range(*numbers)]


def are_complete(tasks: list[Any]) -> list[bool]:
    """Asked one after the other, as in a walk."""
    return [task.complete() for task in each(tasks, lambda: tasks)]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("b2luigi-look-ahead")]


def test_on_a_slow_disk_looks_go_side_by_side() -> None:
    """Each task is looked at once, several at the same time; the answers are those of the disk."""
    disk = Disk(there=paths(0, 300, 3))
    with disk.ahead():
        assert are_complete([Leaf(i=i) for i in range(300)]) == [i % 3 == 0 for i in range(300)]
        assert threads()
    assert disk.were_two_at_once
    assert sorted(disk.looks) == sorted(paths(300))
    assert len(disk.looks_ahead) > 290
    assert threads() == []


def test_on_a_fast_disk_nothing_changes() -> None:
    """One look after the other, in the order in which they are asked for, and no thread."""
    disk = Disk(there=paths(7), seconds=0.001)
    with disk.ahead():
        assert are_complete([Leaf(i=i) for i in range(300)]) == [i < 7 for i in range(300)]
        assert threads() == []
    assert disk.looks == paths(300)
    assert disk.looks_ahead == []


def test_a_single_long_look_proves_nothing() -> None:
    """A folder that is mounted at the first look, say."""
    disk = Disk(seconds=3.0)
    with disk.ahead():
        Leaf(i=0).complete()
        disk.seconds = 0.001
        are_complete([Leaf(i=i) for i in range(1, 50)])
    assert disk.looks == paths(50)
    assert disk.looks_ahead == []


def test_outside_of_a_walk_targets_look_for_themselves(tmp_path: Path) -> None:
    """Also after one, and whatever it found."""
    target = b2luigi.LocalTarget(str(tmp_path / "file"))
    disk = Disk(there=[target.path])
    with disk.ahead():
        assert target.exists()
    assert LOOKS.get() is None
    assert not target.exists()
    (tmp_path / "file").touch()
    assert target.exists()
    assert disk.looks == [target.path]


def test_an_answer_is_given_once() -> None:
    """Who asks again gets what is true then."""
    disk = Disk()
    with disk.ahead():
        are_complete([Leaf(i=i) for i in range(20)])
        assert path(19) in disk.looks_ahead
        disk.there.add(path(19))
        assert Leaf(i=19).complete()
    assert disk.looks.count(path(19)) == 2


def test_an_answer_is_given_once_whatever_else_the_task_has() -> None:
    """Also if the answers for its other outputs are still to be asked for."""
    disk = Disk(there=[path(number) + end for number in range(20) for end in ("", ".two")])
    with disk.ahead():
        pairs = [Pair(i=i) for i in range(20)]
        for pair in each(pairs, lambda: pairs):
            one, _ = luigi.task.flatten(pair.output())
            assert one.exists()
            disk.there.discard(one.path)
            assert not one.exists()
    assert path(19) in disk.looks_ahead


def test_an_old_answer_is_not_believed() -> None:
    """What was found some seconds ago may have changed."""
    disk, seen = Disk(), []
    with disk.ahead():
        tasks = [Leaf(i=i) for i in range(20)]
        for task in each(tasks, lambda: tasks):
            seen.append(task.complete())
            if task.i == 10:
                disk.there.update(paths(20))
                disk.now += 2 * FRESH
    assert path(15) in disk.looks_ahead
    assert seen == [i > 10 for i in range(20)]


def test_only_the_outputs_that_luigi_would_look_at() -> None:
    """Up to the first that is missing, in their order."""
    there = [path(number) + end for number in range(40) for end in ("", ".two") if number % 2 or not end]
    disk = Disk(there=there)
    with disk.ahead():
        assert are_complete([Pair(i=i) for i in range(40)]) == [i % 2 == 1 for i in range(40)]
    assert len(disk.looks) == 80
    disk = Disk()
    with disk.ahead():
        are_complete([Pair(i=i) for i in range(40)])
    assert sorted(disk.looks) == sorted(paths(40))


class Own(Leaf):
    """A user's own `complete`."""

    asked: ClassVar[list[tuple[int, bool]]] = []

    def complete(self) -> bool:
        here = threading.current_thread() is threading.main_thread()
        self.asked.append((self.i, here))
        return True


class OwnTarget(b2luigi.LocalTarget):
    asked: ClassVar[list[tuple[str, bool]]] = []

    def exists(self) -> bool:
        self.asked.append((self.path, threading.current_thread() is threading.main_thread()))
        return super().exists()


class OwnFileSystem(LocalFileSystem):
    asked: ClassVar[list[tuple[str, bool]]] = []

    def exists(self, path: str) -> bool:
        self.asked.append((path, threading.current_thread() is threading.main_thread()))
        return False


class OnOwnFileSystem(b2luigi.LocalTarget):
    fs = OwnFileSystem()


class Other(Leaf):
    """With a target of another kind."""

    kind: Any = None

    def output(self) -> Any:
        return self.kind(path(self.i))


class WithOwnTarget(Other):
    kind = OwnTarget


class WithOwnFileSystem(Other):
    kind = OnOwnFileSystem


@pytest.mark.parametrize(
    ("kind", "asked"),
    [(Own, Own.asked), (WithOwnTarget, OwnTarget.asked), (WithOwnFileSystem, OwnFileSystem.asked)],
)
def test_what_is_the_users_own_is_asked_as_ever(kind: type[Any], asked: list[Any]) -> None:
    """Once, in the main thread, in the order of the walk; the tasks around it are looked at ahead all the same."""
    asked.clear()
    disk = Disk()
    mixed: list[Any] = [kind(i=i) if i % 2 else Leaf(i=i) for i in range(60)]
    with disk.ahead():
        are_complete(mixed)
    expected = range(1, 60, 2)
    assert asked in ([(i, True) for i in expected], [(path(i), True) for i in expected])
    assert disk.looks_ahead
    assert sorted(disk.looks) == sorted(paths(0, 60, 2))


@pytest.mark.parametrize("name", ["relative/path", "/disk/*.txt", "/disk/{a}"])
def test_paths_that_are_more_than_a_place(name: str) -> None:
    """Relative ones depend on the current folder, and about wildcards luigi warns."""
    disk = Disk(there=[name])
    with disk.ahead():
        assert not b2luigi.LocalTarget(name).exists()
    assert disk.looks == []


def test_an_error_is_that_of_the_look_itself() -> None:
    """What a thread could not look at is looked at again when it is asked for, and told there."""
    disk = Disk(there=paths(0, 40))
    disk.broken.add(path(30))
    found: list[Any] = []
    with disk.ahead():
        tasks = [Leaf(i=i) for i in range(40)]
        for task in each(tasks, lambda: tasks):
            try:
                found.append(task.complete())
            except OSError as error:
                found.append(error.filename)
    assert found == [path(30) if i == 30 else True for i in range(40)]
    assert disk.looks.count(path(30)) == 2
    assert len(disk.looks) == 41


class Failing(Leaf):
    def output(self) -> Any:
        if self.i == 25:
            raise ValueError("no output")
        return super().output()


def test_an_output_that_fails_does_so_when_it_is_asked_for() -> None:
    """Not before, and what comes after it is looked at ahead all the same."""
    disk, failed = Disk(), []
    with disk.ahead():
        tasks = [Failing(i=i) for i in range(40)]
        for task in each(tasks, lambda: tasks):
            try:
                task.complete()
            except ValueError:
                failed.append(task.i)
    assert failed == [25]
    assert path(39) in disk.looks_ahead
    assert len(disk.looks) == 39


def test_all_of_many() -> None:
    """A wrapper task that is complete is looked at side by side, one whose first task is missing only there."""
    disk = Disk(there=paths(200))
    with disk.ahead():
        assert All(n=200).complete()
        assert disk.were_two_at_once
        assert sorted(disk.looks) == sorted(paths(200))
    disk = Disk(there=paths(1, 200))
    with disk.ahead():
        are_complete([Leaf(i=i) for i in range(1000, 1020)])
        looked = len(disk.looks)
        assert not All(n=200).complete()
        assert disk.looks[looked:] == [path(0)]


def test_what_missing_tasks_require_is_looked_at_ahead() -> None:
    """Both for the list of what would run and for the list of all outputs."""
    disk = Disk(there=paths(100, 200))
    root = Root(n=200)
    with disk.ahead(last_first=False):
        found = list(all_tasks([root], only_non_complete=True))
    assert found == [root, *(Leaf(i=i) for i in range(100))]
    assert disk.were_two_at_once
    assert sorted(disk.looks) == sorted(["/disk/root", *paths(200)])
    disk = Disk(there=paths(100, 200))
    with disk.ahead():
        files = get_output_files([root, Pair(i=7)])
    assert [file["exists"] for file in files["root"]] == [False]
    assert sum(file["exists"] for name in files for file in files[name]) == 100
    assert disk.were_two_at_once
    assert len(disk.looks) == 203


def test_the_inputs_of_a_task() -> None:
    """All are looked at, side by side, whatever is missing; what those require is of no interest."""
    disk = Disk(there=["/disk/root", *paths(100, 200)])
    assert missing_requirements(Root(n=200), lambda task: task.complete(), disk.ahead(goes_down=False)) == [
        Leaf(i=i) for i in range(100)
    ]
    assert disk.were_two_at_once
    assert sorted(disk.looks) == sorted(paths(200))


class Dear(Leaf):
    """To ask what it requires takes long."""

    asked: ClassVar[list[int]] = []
    disk = Disk()

    def requires(self) -> Any:
        self.asked.append(self.i)
        self.disk.now += 1
        return [Dear(i=2 * self.i + k) for k in (1, 2) if 2 * self.i + k < 127]


def test_to_ask_ahead_costs_no_more_than_it_saves() -> None:
    """Requirements that take longer than the looks they save are not asked for twice, but for the first."""
    Dear.disk = disk = Disk(alone=True)
    Dear.asked.clear()
    with disk.ahead(last_first=False):
        assert len(list(all_tasks([Dear(i=0)], only_non_complete=True))) == 127
    assert len(Dear.asked) <= 127 + 1


def test_no_more_answers_are_kept_than_can_be_used_soon() -> None:
    """Of thousands that might be asked for next, and are not, a bounded number is looked at."""
    disk = Disk(seconds=1.05 * SLOW)
    tasks, others = ([Leaf(i=i) for i in range(*numbers)] for numbers in ((2000,), (2000, 2000 + 2 * WINDOW)))
    left = 200
    with disk.ahead():
        for task in each(tasks, lambda: others):
            task.complete()
            time.sleep(0.001)  # the threads go on
            left -= len(disk.looks_ahead) >= WINDOW - FLYING
            if not left:
                break
    assert WINDOW - FLYING <= len(disk.looks_ahead) <= WINDOW


@pytest.mark.filterwarnings("ignore:This process")
def test_a_child_process_looks_for_itself() -> None:
    """It has none of the threads, and would wait for ever for an answer of theirs."""
    disk = Disk(there=paths(40))
    with disk.ahead():
        tasks = [Leaf(i=i) for i in range(40)]
        for task in each(tasks, lambda: tasks):
            task.complete()
            if task.i == 20:
                child = os.fork()
                if not child:
                    signal.alarm(20)  # it would wait for ever
                    os._exit(0 if all(Leaf(i=i).complete() for i in range(21, 40)) else 1)
                assert os.waitpid(child, 0)[1] == 0


class Full(Executor):
    """A machine where no thread can be started."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("can't start new thread")


def test_without_threads_nothing_is_known() -> None:
    """Then each look is made when it is asked for."""
    disk = Disk(there=paths(3))
    answers = Answers(disk.look, lambda: disk.now, Full)
    for number in range(3):
        answers.ask(number, [path(number)])
        assert answers.take(path(number)) is None
    assert (len(answers), answers.running) == (0, 0)
    answers.close()


def test_a_walk_within_a_walk(tmp_path: Path) -> None:
    """The outer one goes on where it was."""
    (tmp_path / "file").touch()
    disk = Disk()
    with disk.ahead() as outer:
        with LookAhead():
            assert b2luigi.LocalTarget(str(tmp_path / "file")).exists()
        assert LOOKS.get() is outer
        assert not luigi.LocalTarget(path(0)).exists()
        assert not b2luigi.LocalTarget(path(0)).exists()
    assert disk.looks == [path(0)]
