"""Look-ahead: slow checks run in parallel, and nothing else changes. These tests count, they do not measure time."""

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
from b2luigi.core.ahead import IN_FLIGHT, SLOW, WINDOW, LookAhead, each
from b2luigi.core.answers import MAX_AGE, Answers
from b2luigi.core.graph import all_tasks, get_output_files, missing_requirements
from b2luigi.core.target import PATH_LOOKUP
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
    """Checks tasks one after the other, as in a walk."""
    return [task.complete() for task in each(tasks, lambda: tasks)]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("b2luigi-look-ahead")]


def test_on_a_slow_disk_checks_run_in_parallel() -> None:
    """Each task is checked once, several at the same time, and the answers are correct."""
    disk = Disk(there=paths(0, 300, 3))
    with disk.ahead():
        assert are_complete([Leaf(i=i) for i in range(300)]) == [i % 3 == 0 for i in range(300)]
        assert threads()
    assert disk.had_two_at_once
    assert sorted(disk.checked) == sorted(paths(300))
    assert len(disk.checked_ahead) > 290
    assert threads() == []


def test_on_a_fast_disk_nothing_changes() -> None:
    """Checks run one after the other, in the order of the walk, without threads."""
    disk = Disk(there=paths(7), seconds=0.001)
    with disk.ahead():
        assert are_complete([Leaf(i=i) for i in range(300)]) == [i < 7 for i in range(300)]
        assert threads() == []
    assert disk.checked == paths(300)
    assert disk.checked_ahead == []


def test_a_single_slow_check_does_not_start_look_ahead() -> None:
    """For example, the first check may mount a folder."""
    disk = Disk(seconds=3.0)
    with disk.ahead():
        Leaf(i=0).complete()
        disk.seconds = 0.001
        are_complete([Leaf(i=i) for i in range(1, 50)])
    assert disk.checked == paths(50)
    assert disk.checked_ahead == []


def test_outside_a_walk_targets_check_for_themselves(tmp_path: Path) -> None:
    """After a walk, its answers are not used any more."""
    target = b2luigi.LocalTarget(str(tmp_path / "file"))
    disk = Disk(there=[target.path])
    with disk.ahead():
        assert target.exists()
    assert PATH_LOOKUP.get() is None
    assert not target.exists()
    (tmp_path / "file").touch()
    assert target.exists()
    assert disk.checked == [target.path]


def test_an_answer_is_used_once() -> None:
    """A second check returns the state at that time."""
    disk = Disk()
    with disk.ahead():
        are_complete([Leaf(i=i) for i in range(20)])
        assert path(19) in disk.checked_ahead
        disk.there.add(path(19))
        assert Leaf(i=19).complete()
    assert disk.checked.count(path(19)) == 2


def test_an_answer_is_used_once_even_if_the_task_has_further_outputs() -> None:
    """This holds even while the answers for its other outputs are still unused."""
    disk = Disk(there=[path(number) + end for number in range(20) for end in ("", ".two")])
    with disk.ahead():
        pairs = [Pair(i=i) for i in range(20)]
        for pair in each(pairs, lambda: pairs):
            one, _ = luigi.task.flatten(pair.output())
            assert one.exists()
            disk.there.discard(one.path)
            assert not one.exists()
    assert path(19) in disk.checked_ahead


def test_an_old_answer_is_not_used() -> None:
    """After a few seconds, the state may have changed."""
    disk, seen = Disk(), []
    with disk.ahead():
        tasks = [Leaf(i=i) for i in range(20)]
        for task in each(tasks, lambda: tasks):
            seen.append(task.complete())
            if task.i == 10:
                disk.there.update(paths(20))
                disk.now += 2 * MAX_AGE
    assert path(15) in disk.checked_ahead
    assert seen == [i > 10 for i in range(20)]


def test_only_outputs_that_luigi_would_check() -> None:
    """In order, up to the first missing one."""
    there = [path(number) + end for number in range(40) for end in ("", ".two") if number % 2 or not end]
    disk = Disk(there=there)
    with disk.ahead():
        assert are_complete([Pair(i=i) for i in range(40)]) == [i % 2 == 1 for i in range(40)]
    assert len(disk.checked) == 80
    disk = Disk()
    with disk.ahead():
        are_complete([Pair(i=i) for i in range(40)])
    assert sorted(disk.checked) == sorted(paths(40))


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
def test_users_own_code_is_called_as_usual(kind: type[Any], asked: list[Any]) -> None:
    """Once, in the main thread, in the order of the walk; look-ahead still covers the tasks around it."""
    asked.clear()
    disk = Disk()
    mixed: list[Any] = [kind(i=i) if i % 2 else Leaf(i=i) for i in range(60)]
    with disk.ahead():
        are_complete(mixed)
    expected = range(1, 60, 2)
    assert asked in ([(i, True) for i in expected], [(path(i), True) for i in expected])
    assert disk.checked_ahead
    assert sorted(disk.checked) == sorted(paths(0, 60, 2))


@pytest.mark.parametrize("name", ["relative/path", "/disk/*.txt", "/disk/{a}"])
def test_relative_paths_and_wildcards_are_not_covered(name: str) -> None:
    """Relative paths depend on the current folder, and luigi warns about wildcards."""
    disk = Disk(there=[name])
    with disk.ahead():
        assert not b2luigi.LocalTarget(name).exists()
    assert disk.checked == []


def test_an_error_is_raised_by_the_check_itself() -> None:
    """A path that a thread could not check is checked again when its turn comes, and the error is raised there."""
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
    assert disk.checked.count(path(30)) == 2
    assert len(disk.checked) == 41


class Failing(Leaf):
    def output(self) -> Any:
        if self.i == 25:
            raise ValueError("no output")
        return super().output()


def test_an_error_in_output_is_raised_when_its_turn_comes() -> None:
    """It is not raised earlier, and look-ahead still covers the tasks after it."""
    disk, failed = Disk(), []
    with disk.ahead():
        tasks = [Failing(i=i) for i in range(40)]
        for task in each(tasks, lambda: tasks):
            try:
                task.complete()
            except ValueError:
                failed.append(task.i)
    assert failed == [25]
    assert path(39) in disk.checked_ahead
    assert len(disk.checked) == 39


def test_wrapper_tasks() -> None:
    """The requirements of a complete wrapper task are checked in parallel; if the first is missing, only that one."""
    disk = Disk(there=paths(200))
    with disk.ahead():
        assert All(n=200).complete()
        assert disk.had_two_at_once
        assert sorted(disk.checked) == sorted(paths(200))
    disk = Disk(there=paths(1, 200))
    with disk.ahead():
        are_complete([Leaf(i=i) for i in range(1000, 1020)])
        before = len(disk.checked)
        assert not All(n=200).complete()
        assert disk.checked[before:] == [path(0)]


def test_requirements_of_incomplete_tasks_are_covered() -> None:
    """Both for the list of tasks that would run and for the list of all outputs."""
    disk = Disk(there=paths(100, 200))
    root = Root(n=200)
    with disk.ahead(last_first=False):
        found = list(all_tasks([root], only_non_complete=True))
    assert found == [root, *(Leaf(i=i) for i in range(100))]
    assert disk.had_two_at_once
    assert sorted(disk.checked) == sorted(["/disk/root", *paths(200)])
    disk = Disk(there=paths(100, 200))
    with disk.ahead():
        files = get_output_files([root, Pair(i=7)])
    assert [file["exists"] for file in files["root"]] == [False]
    assert sum(file["exists"] for name in files for file in files[name]) == 100
    assert disk.had_two_at_once
    assert len(disk.checked) == 203


def test_the_inputs_of_a_task() -> None:
    """All of them are checked in parallel, even if some are missing, but not their own requirements."""
    disk = Disk(there=["/disk/root", *paths(100, 200)])
    assert missing_requirements(Root(n=200), lambda task: task.complete(), disk.ahead(follow=False)) == [
        Leaf(i=i) for i in range(100)
    ]
    assert disk.had_two_at_once
    assert sorted(disk.checked) == sorted(paths(200))


class Expensive(Leaf):
    """Its `requires` is slow."""

    asked: ClassVar[list[int]] = []
    disk = Disk()

    def requires(self) -> Any:
        self.asked.append(self.i)
        self.disk.now += 1
        return [Expensive(i=2 * self.i + k) for k in (1, 2) if 2 * self.i + k < 127]


def test_look_ahead_costs_no_more_than_it_saves() -> None:
    """If `requires` takes longer than the checks it saves, it is not called twice, except the first."""
    Expensive.disk = disk = Disk(alone=True)
    Expensive.asked.clear()
    with disk.ahead(last_first=False):
        assert len(list(all_tasks([Expensive(i=0)], only_non_complete=True))) == 127
    assert len(Expensive.asked) <= 127 + 1


def test_the_number_of_unused_answers_is_bounded() -> None:
    """If thousands of tasks could come next, only a limited number is checked in advance."""
    disk = Disk(seconds=1.05 * SLOW)
    tasks, others = ([Leaf(i=i) for i in range(*numbers)] for numbers in ((2000,), (2000, 2000 + 2 * WINDOW)))
    remaining = 200
    with disk.ahead():
        for task in each(tasks, lambda: others):
            task.complete()
            time.sleep(0.001)  # lets the threads work
            remaining -= len(disk.checked_ahead) >= WINDOW - IN_FLIGHT
            if not remaining:
                break
    assert WINDOW - IN_FLIGHT <= len(disk.checked_ahead) <= WINDOW


@pytest.mark.filterwarnings("ignore:This process")
def test_a_child_process_checks_for_itself() -> None:
    """It has none of the threads, and would wait forever for their answers."""
    disk = Disk(there=paths(40))
    with disk.ahead():
        tasks = [Leaf(i=i) for i in range(40)]
        for task in each(tasks, lambda: tasks):
            task.complete()
            if task.i == 20:
                child = os.fork()
                if not child:
                    signal.alarm(20)  # in case it waits forever
                    os._exit(0 if all(Leaf(i=i).complete() for i in range(21, 40)) else 1)
                assert os.waitpid(child, 0)[1] == 0


class Full(Executor):
    """A machine that cannot start another thread."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("can't start new thread")


def test_without_threads_there_are_no_answers() -> None:
    """Then each check runs when its turn comes."""
    disk = Disk(there=paths(3))
    answers = Answers(disk.check, lambda: disk.now, Full)
    for number in range(3):
        answers.request(number, [path(number)])
        assert answers.take(path(number)) is None
    assert (len(answers), answers.running) == (0, 0)
    answers.close()


def test_a_walk_within_a_walk(tmp_path: Path) -> None:
    """The outer one continues afterwards."""
    (tmp_path / "file").touch()
    disk = Disk()
    with disk.ahead() as outer:
        with LookAhead():
            assert b2luigi.LocalTarget(str(tmp_path / "file")).exists()
        assert PATH_LOOKUP.get() is outer
        assert not luigi.LocalTarget(path(0)).exists()
        assert not b2luigi.LocalTarget(path(0)).exists()
    assert disk.checked == [path(0)]
