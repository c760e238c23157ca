from __future__ import annotations

import os
import pickle
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import luigi
import luigi.mock
import pytest
from luigi.target import FileAlreadyExists

import b2luigi
from b2luigi.core.task import NotCompletedTask

TEMPORARY = re.compile(r"(.*)-luigi-tmp-\d{10}(\.\w+)?")


class Written(b2luigi.Task):
    number = b2luigi.IntParameter(default=0)

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("in.txt")

    @b2luigi.on_temporary_files
    def run(self) -> None:
        Path(self.get_output_file_name("in.txt")).write_text(f"input {self.number}")


class Two(b2luigi.Task):
    """Writes two files and then does what a test wants."""

    then: ClassVar[Callable[[Two], None]] = staticmethod(lambda task: None)
    seen: ClassVar[list[str]]

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("a.txt")
        yield self.add_to_output("b")

    @b2luigi.on_temporary_files
    def run(self) -> None:
        """Writes."""
        Two.seen = list(self.get_all_output_file_names())
        for path in Two.seen:
            Path(path).write_text("new")
        Two.then(self)


@pytest.fixture
def then(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    return lambda what: monkeypatch.setattr(Two, "then", staticmethod(what))


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def failing(task: Any) -> None:
    raise ValueError("three is unlucky")


def test_outputs_appear_when_run_ended_well(script_folder: Path, then: Any) -> None:
    """While it runs there are only temporary files beside the outputs, afterwards only the outputs."""
    while_it_ran: dict[str, str] = {}
    then(lambda task: while_it_ran.update(files(script_folder)))
    Two().run()
    assert [TEMPORARY.fullmatch(name)[1] for name in sorted(while_it_ran)] == ["a", "b"]  # type: ignore[index]
    assert sorted(Two.seen) == [f"{script_folder}/{name}" for name in sorted(while_it_ran)]
    assert Two.seen[0].endswith(".txt")
    assert files(script_folder) == {"a.txt": "new", "b": "new"}


def test_a_path_stays_the_same_while_it_runs(then: Any) -> None:
    """Asking twice gives the same path, by name and among all."""
    then(lambda task: Two.seen.append(task.get_output_file_name("a.txt")))
    Two().run()
    assert Two.seen[2] == Two.seen[0]


def test_afterwards_paths_are_those_of_the_outputs(script_folder: Path, then: Any) -> None:
    """Before and after run, also after one that failed, the task tells where its outputs belong."""
    then(failing)
    with pytest.raises(ValueError, match="unlucky"):
        Two().run()
    assert list(Two().get_all_output_file_names()) == [f"{script_folder}/a.txt", f"{script_folder}/b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_after_an_exception(script_folder: Path, then: Any, error: type[BaseException]) -> None:
    """Whatever ends run before its end, no output and no temporary file is there."""

    def stop(task: Any) -> None:
        raise error("stop")

    then(stop)
    with pytest.raises(error):
        Two().run()
    assert files(script_folder) == {}


def test_the_name_and_the_docstring_stay() -> None:
    """The decorated method looks like the one it was."""
    assert (Two.run.__name__, Two.run.__doc__) == ("run", "Writes.")


def test_luigi_runs_it(script_folder: Path) -> None:
    """Also in processes of luigi's own, and with inputs."""

    class Copies(b2luigi.Task):
        def requires(self) -> Any:
            return [Written(number=number) for number in range(2)]

        def output(self) -> Any:
            return self.add_to_output("copy")

        @b2luigi.on_temporary_files
        def run(self) -> None:
            texts = [Path(path).read_text() for path in self.get_input_file_names("in.txt")]
            Path(self.get_output_file_name("copy")).write_text(", ".join(texts))

    assert luigi.build([Copies()], local_scheduler=True, log_level="CRITICAL", workers=2)
    assert files(script_folder) == {
        "number=0/in.txt": "input 0",
        "number=1/in.txt": "input 1",
        "copy": "input 0, input 1",
    }


def test_folders_can_be_outputs(script_folder: Path) -> None:
    """A folder is written aside and put in place like a file; one of an earlier run is replaced."""

    class Makes(b2luigi.Task):
        def output(self) -> Iterator[Any]:
            yield self.add_to_output("folder")
            yield self.add_to_output("file")

        @b2luigi.on_temporary_files
        def run(self) -> None:
            os.mkdir(self.get_output_file_name("folder"))
            Path(self.get_output_file_name("folder"), "x").write_text("new")
            Path(self.get_output_file_name("file")).write_text("new")

    (script_folder / "folder").mkdir()
    (script_folder / "folder" / "old").write_text("old")
    Makes().run()
    assert files(script_folder) == {"folder/x": "new", "file": "new"}


def test_a_folder_is_removed_after_an_exception(script_folder: Path) -> None:
    """A temporary folder goes with all that is in it."""

    class Fails(b2luigi.Task):
        def output(self) -> Any:
            return self.add_to_output("folder")

        @b2luigi.on_temporary_files
        def run(self) -> None:
            os.mkdir(self.get_output_file_name("folder"))
            Path(self.get_output_file_name("folder"), "x").write_text("new")
            failing(self)

    with pytest.raises(ValueError, match="unlucky"):
        Fails().run()
    assert list(script_folder.iterdir()) == []


# -- outputs that are there


def test_an_output_of_an_incomplete_run_is_replaced(script_folder: Path) -> None:
    """Where some of several outputs are left from earlier, the task can still be run."""
    (script_folder / "b").write_text("old")
    Two().run()
    assert files(script_folder) == {"a.txt": "new", "b": "new"}


def test_an_old_output_stays_until_the_new_one_is_whole(script_folder: Path, then: Any) -> None:
    """A run that fails takes nothing away."""
    (script_folder / "b").write_text("old")
    then(failing)
    with pytest.raises(ValueError, match="unlucky"):
        Two().run()
    assert files(script_folder) == {"b": "old"}


def test_a_complete_task_is_not_run(script_folder: Path, then: Any) -> None:
    """With all outputs there run is refused before it wastes time."""
    for name in ("a.txt", "b"):
        (script_folder / name).write_text("old")
    then(failing)
    with pytest.raises(FileAlreadyExists, match=r"Two: all outputs are there already \(.*/a\.txt, .*/b\)"):
        Two().run()
    assert files(script_folder) == {"a.txt": "old", "b": "old"}


def test_an_output_made_by_somebody_else_meanwhile_is_kept(script_folder: Path, then: Any) -> None:
    """Of two runs the first one wins, and the other one changes nothing at all."""
    then(lambda task: (script_folder / "b").write_text("theirs"))
    with pytest.raises(FileAlreadyExists, match=r"/b is there already, made by somebody else"):
        Two().run()
    assert files(script_folder) == {"b": "theirs"}


def test_a_task_that_says_itself_when_it_is_complete_may_run_again(script_folder: Path) -> None:
    """A NotCompletedTask runs again because of what it requires, though its outputs are there."""

    class Again(NotCompletedTask):
        def output(self) -> Any:
            return self.add_to_output("f")

        @b2luigi.on_temporary_files
        def run(self) -> None:
            Path(self.get_output_file_name("f")).write_text("new")

    (script_folder / "f").write_text("old")
    Again().run()
    assert files(script_folder) == {"f": "new"}


def test_an_output_that_is_asked_for_has_to_be_written(script_folder: Path, then: Any) -> None:
    """If one of the outputs is missing at the end none is put in place."""
    then(lambda task: os.unlink(Two.seen[1]))
    with pytest.raises(FileNotFoundError, match=r"Two: run\(\) asked where to write .*: .*/b\. No output"):
        Two().run()
    assert files(script_folder) == {}


def test_outputs_written_in_another_way_are_left_alone(script_folder: Path) -> None:
    """An output that luigi's own open writes, and one that nobody writes, are none of its business."""

    class Mixed(b2luigi.Task):
        def output(self) -> Iterator[Any]:
            for name in ("asked", "opened", "never"):
                yield self.add_to_output(name)
            yield {"elsewhere": Elsewhere("x"), "bare": WithPathOnly()}

        @b2luigi.on_temporary_files
        def run(self) -> None:
            Path(self.get_output_file_name("asked")).write_text("new")
            assert self.get_output_file_name("bare") == "/bare"
            with self._get_output_target("opened").open("w") as file:
                file.write("new")

    class Elsewhere(luigi.mock.MockTarget):
        pass

    class WithPathOnly(luigi.Target):
        path = "/bare"

        def exists(self) -> bool:
            return False

    Mixed().run()
    assert files(script_folder) == {"asked": "new", "opened": "new"}


def test_long_names_that_differ_at_their_end(script_folder: Path) -> None:
    """Their temporary names are cut, and still differ."""

    class Long(b2luigi.Task):
        def output(self) -> Iterator[Any]:
            for letter in "ab":
                yield self.add_to_output("x" * 250 + letter)

        @b2luigi.on_temporary_files
        def run(self) -> None:
            for path in self.get_all_output_file_names():
                with open(path, "x") as file:
                    file.write("new")

    Long().run()
    assert sorted(name[-1] for name in files(script_folder)) == ["a", "b"]


def test_targets_of_luigi_itself(tmp_path: Path) -> None:
    """Plain luigi targets are written aside, too, and their folder is made."""

    class Plain(b2luigi.Task):
        def output(self) -> Any:
            return {"f": luigi.LocalTarget(f"{tmp_path}/new/f.txt")}

        @b2luigi.on_temporary_files
        def run(self) -> None:
            assert TEMPORARY.fullmatch(self.get_output_file_name("f"))
            Path(self.get_output_file_name("f")).write_text("new")

    Plain().run()
    assert files(tmp_path / "new") == {"f.txt": "new"}


def test_a_plain_luigi_task_is_refused() -> None:
    """A task without get_output_file_name would never know of its temporary files."""

    class Plain(luigi.Task):
        @b2luigi.on_temporary_files
        def run(self) -> None: ...

    with pytest.raises(TypeError, match=r"for runs of b2luigi\.Task, which Plain is not"):
        Plain().run()


def test_a_derived_run_may_call_the_one_it_derives_from(script_folder: Path, then: Any) -> None:
    """All outputs of both are put in place at the end of the outer one, or none."""

    class Three(Two):
        fail = b2luigi.BoolParameter(hidden=True)

        def output(self) -> Iterator[Any]:
            yield from super().output()
            yield self.add_to_output("c")

        @b2luigi.on_temporary_files
        def run(self) -> None:
            super().run()
            Path(self.get_output_file_name("c")).write_text(Path(self.get_output_file_name("b")).read_text())
            if self.fail:
                failing(self)

    with pytest.raises((ValueError, FileNotFoundError)):
        Three(fail=True).run()
    assert files(script_folder) == {}
    Three().run()
    assert files(script_folder) == {"a.txt": "new", "b": "new", "c": "new"}


# -- inputs


class Reader(b2luigi.Task):
    """Hands its input paths to the test."""

    seen: ClassVar[list[str]]
    ask: ClassVar[Callable[[Reader], Any]] = staticmethod(lambda task: task.get_input_file_names("in.txt"))

    def requires(self) -> Any:
        return {"first": Written(number=1), "rest": [Written(number=2), Written(number=1)], "absent": Written(number=9)}

    def output(self) -> Any:
        return self.add_to_output("out")

    @b2luigi.on_temporary_files
    def run(self) -> None:
        asked = Reader.ask(self)
        Reader.seen = [asked] if isinstance(asked, str) else list(asked)
        Path(self.get_output_file_name("out")).write_text("\n".join(Path(p).read_text() for p in Reader.seen[:3]))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    for number in (1, 2):
        Written(number=number).run()
    b2luigi.set_setting("scratch_dir", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


@pytest.mark.parametrize("threads", [1, 2, None])
def test_inputs_are_copies_in_the_scratch_folder(script_folder: Path, scratch: Path, threads: int | None) -> None:
    """Inputs keep their name, an input that is there twice is one copy, and copies are gone at the end."""
    b2luigi.set_setting("n_download_threads", threads)
    Reader().run()
    first, second, again, absent = Reader.seen
    assert again == first != second
    assert {Path(path).name for path in Reader.seen} == {"in.txt"}
    assert first.startswith(f"{scratch}/")
    assert absent == f"{script_folder}/number=9/in.txt"
    assert (script_folder / "out").read_text() == "input 1\ninput 2\ninput 1"
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("ask", "count"),
    [
        (lambda task: task.get_all_input_file_names(), 4),
        (lambda task: task.get_input_file_names()["in.txt"], 4),
        (lambda task: task.get_input_file_names_from_dict("rest", "in.txt"), 2),
        (lambda task: task.get_input_file_names_from_dict("first")["in.txt"], 1),
    ],
)
def test_every_way_to_ask_for_inputs(scratch: Path, monkeypatch: pytest.MonkeyPatch, ask: Any, count: int) -> None:
    """Each method gives the paths of copies."""
    monkeypatch.setattr(Reader, "ask", staticmethod(ask))
    Reader().run()
    assert len(Reader.seen) == count
    assert all(path.startswith(str(scratch)) for path in Reader.seen[:3])


def test_the_one_input(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """get_input_file_name gives a copy as well."""
    monkeypatch.setattr(Reader, "requires", lambda self: Written(number=1))
    monkeypatch.setattr(Reader, "ask", staticmethod(lambda task: task.get_input_file_name("in.txt")))
    Reader().run()
    assert Reader.seen[0].startswith(str(scratch))


def test_inputs_are_copied_once(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again gets the copy that is there."""
    twice = staticmethod(lambda task: [task.get_input_file_names("in.txt")[0] for _ in range(2)])
    monkeypatch.setattr(Reader, "ask", twice)
    Reader().run()
    assert Reader.seen[0] == Reader.seen[1]


def test_copies_are_gone_after_an_exception(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays in the scratch folder when run fails."""
    monkeypatch.setattr(Reader, "ask", staticmethod(lambda task: failing(task.get_input_file_names())))
    with pytest.raises(ValueError, match="unlucky"):
        Reader().run()
    assert list(scratch.iterdir()) == []


def test_without_inputs_no_scratch_folder_is_needed(then: Any) -> None:
    """Who reads nothing need not care for the setting."""
    b2luigi.set_setting("scratch_dir", "/dev/null/scratch")
    Two().run()
    assert Two().complete()


def test_the_scratch_folder_is_by_default_that_of_the_system(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the setting copies lie where Python puts temporary files, on the machine on which the task runs."""
    b2luigi.clear_setting("scratch_dir")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    Reader().run()
    assert Reader.seen[0].startswith(f"{tmp_path}/tmp/")


def test_a_scratch_folder_that_can_not_be(scratch: Path) -> None:
    """The error names the folder and the setting, and the task has changed nothing."""
    scratch.write_text("no folder")
    with pytest.raises(OSError, match=r"the setting scratch_dir, .*/scratch'"):
        Reader().run()
    assert not Reader().complete()


@pytest.mark.parametrize("threads", [0, -1])
def test_a_number_of_threads_that_can_not_be(scratch: Path, threads: Any) -> None:
    """The error names the setting."""
    b2luigi.set_setting("n_download_threads", threads)
    with pytest.raises(ValueError, match="n_download_threads has to be a whole number above 0"):
        Reader().run()


# -- runs that yield requirements


class Dynamic(b2luigi.Task):
    tries = 0

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("before")
        yield self.add_to_output("after")

    @b2luigi.on_temporary_files
    def run(self) -> Any:
        Dynamic.tries += 1
        with open(self.get_output_file_name("before"), "a") as file:
            file.write("x")
        inputs = yield Written(number=5)
        Path(self.get_output_file_name("after")).write_text(Path(next(iter(inputs))["in.txt"].path).read_text())


def test_a_run_that_yields_requirements(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Luigi starts it twice; what the first start wrote is removed, and the task knows what it yielded for."""
    monkeypatch.setattr(Dynamic, "tries", 0)
    assert luigi.build([Dynamic()], local_scheduler=True, log_level="CRITICAL")
    assert Dynamic.tries == 2
    assert files(script_folder) == {"number=5/in.txt": "input 5", "before": "x", "after": "input 5"}


def test_a_run_that_is_left_at_a_yield(script_folder: Path) -> None:
    """What it wrote is removed as soon as luigi lets go of it."""
    run = Dynamic().run()
    next(run)
    assert len(files(script_folder)) == 1
    run.close()
    assert files(script_folder) == {}
    assert Dynamic()._elsewhere is None


def test_a_generator_in_disguise_is_refused(script_folder: Path) -> None:
    """A function that only hands on a generator would seem to end at once."""

    class Disguised(b2luigi.Task):
        def steps(self) -> Iterator[Any]:
            yield Written()

        @b2luigi.on_temporary_files
        def run(self) -> Any:
            return self.steps()

    with pytest.raises(TypeError, match=r"Disguised: run\(\) is not a function with yield"):
        Disguised().run()


# -- processes of its own, to which the task is pickled


class Parallel(b2luigi.Task):
    def output(self) -> Iterator[Any]:
        for name in "ab":
            yield self.add_to_output(name)

    def write(self, name: str) -> None:
        Path(self.get_output_file_name(name)).write_text(name)

    @b2luigi.on_temporary_files
    def run(self) -> None:
        for name in "ab":
            pickle.loads(pickle.dumps(self.write))(name)


def test_a_task_may_use_processes_of_its_own(script_folder: Path) -> None:
    """Paths that a pickled copy of the task asks for are put in place as well."""
    Parallel().run()
    assert files(script_folder) == {"a": "a", "b": "b"}
