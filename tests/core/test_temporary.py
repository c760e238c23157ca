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
from b2luigi.core.temporary_wrapper import EnsuredTemporaryScratchDirectory, TemporaryFileContextManager

TEMPORARY = re.compile(r"(.*)-luigi-tmp-\d{10}(\.\w+)?")


class Written(b2luigi.Task):
    number = b2luigi.IntParameter(default=0)

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("in.txt")

    @b2luigi.on_temporary_files
    def run(self) -> None:
        Path(self.get_output_file_name("in.txt")).write_text(f"input {self.number}")


class Two(b2luigi.Task):
    """Writes two files and then calls the hook of a test."""

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


def test_outputs_appear_when_run_succeeds(script_folder: Path, then: Any) -> None:
    """While it runs, only temporary files exist; afterwards, only the outputs."""
    during_run: dict[str, str] = {}
    then(lambda task: during_run.update(files(script_folder)))
    Two().run()
    assert [TEMPORARY.fullmatch(name)[1] for name in sorted(during_run)] == ["a", "b"]  # type: ignore[index]
    assert sorted(Two.seen) == [f"{script_folder}/{name}" for name in sorted(during_run)]
    assert Two.seen[0].endswith(".txt")
    assert files(script_folder) == {"a.txt": "new", "b": "new"}


def test_a_path_stays_the_same_while_it_runs(then: Any) -> None:
    """A second request returns the same path, by name and in the list of all."""
    then(lambda task: Two.seen.append(task.get_output_file_name("a.txt")))
    Two().run()
    assert Two.seen[2] == Two.seen[0]


def test_after_run_paths_are_those_of_the_outputs(script_folder: Path, then: Any) -> None:
    """Before and after run, even a failed one, the task returns the final paths of its outputs."""
    then(failing)
    with pytest.raises(ValueError, match="unlucky"):
        Two().run()
    assert list(Two().get_all_output_file_names()) == [f"{script_folder}/a.txt", f"{script_folder}/b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_no_files(script_folder: Path, then: Any, error: type[BaseException]) -> None:
    """Whatever ends run early, neither outputs nor temporary files exist afterwards."""

    def stop(task: Any) -> None:
        raise error("stop")

    then(stop)
    with pytest.raises(error):
        Two().run()
    assert files(script_folder) == {}


def test_name_and_docstring_are_kept() -> None:
    """The decorated method has the name and docstring of the original."""
    assert (Two.run.__name__, Two.run.__doc__) == ("run", "Writes.")


def test_luigi_runs_it(script_folder: Path) -> None:
    """It works with inputs, and in luigi's worker processes."""

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
    """A folder is written to a temporary path and renamed like a file; one from an earlier run is replaced."""

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
    """A temporary folder is removed with its contents."""

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


# -- outputs that exist


def test_an_output_of_an_incomplete_run_is_replaced(script_folder: Path) -> None:
    """The task can still run if some of its outputs are left over from an earlier run."""
    (script_folder / "b").write_text("old")
    Two().run()
    assert files(script_folder) == {"a.txt": "new", "b": "new"}


def test_an_old_output_stays_until_the_new_one_is_complete(script_folder: Path, then: Any) -> None:
    """A run that fails removes no output."""
    (script_folder / "b").write_text("old")
    then(failing)
    with pytest.raises(ValueError, match="unlucky"):
        Two().run()
    assert files(script_folder) == {"b": "old"}


def test_a_complete_task_is_not_run(script_folder: Path, then: Any) -> None:
    """If all outputs exist, run is refused before it wastes time."""
    for name in ("a.txt", "b"):
        (script_folder / name).write_text("old")
    then(failing)
    with pytest.raises(FileAlreadyExists, match=r"Two: all outputs already exist \(.*/a\.txt, .*/b\)"):
        Two().run()
    assert files(script_folder) == {"a.txt": "old", "b": "old"}


def test_an_output_created_by_somebody_else_meanwhile_is_kept(script_folder: Path, then: Any) -> None:
    """Of two concurrent runs, the first one wins and the other changes no file."""
    then(lambda task: (script_folder / "b").write_text("theirs"))
    with pytest.raises(FileAlreadyExists, match=r"/b already exists; somebody else created it"):
        Two().run()
    assert files(script_folder) == {"b": "theirs"}


def test_a_task_with_its_own_complete_may_run_again(script_folder: Path) -> None:
    """A NotCompletedTask runs again because of its requirements, although its outputs exist."""

    class Again(NotCompletedTask):
        def output(self) -> Any:
            return self.add_to_output("f")

        @b2luigi.on_temporary_files
        def run(self) -> None:
            Path(self.get_output_file_name("f")).write_text("new")

    (script_folder / "f").write_text("old")
    Again().run()
    assert files(script_folder) == {"f": "new"}


def test_an_output_whose_path_was_requested_must_be_written(script_folder: Path, then: Any) -> None:
    """If one of the outputs is missing at the end, none is put in place."""
    then(lambda task: os.unlink(Two.seen[1]))
    with pytest.raises(FileNotFoundError, match=r"Two: run\(\) requested the paths .*: .*/b\. No output"):
        Two().run()
    assert files(script_folder) == {}


class Optional(Written):
    """Its second output is optional, and its complete() says so."""

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("in.txt")
        yield self.add_to_output("remarks.txt")

    def complete(self) -> bool:
        return Path(next(self.get_all_output_file_names())).exists()

    @b2luigi.on_temporary_files
    def run(self) -> None:
        path, _ = self.get_all_output_file_names()
        Path(path).write_text("written")


def test_a_task_with_its_own_complete_may_leave_one_out(script_folder: Path) -> None:
    """What was written is put in place; whether that is enough is for complete() to say."""
    Optional().run()
    assert files(script_folder) == {"number=0/in.txt": "written"}


def test_outputs_written_in_another_way_are_ignored(script_folder: Path) -> None:
    """An output written with luigi's open, or one that nobody writes, is left alone."""

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
    """Their temporary names are truncated, but still differ."""

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
    """Plain luigi targets also get temporary paths, and their folder is created."""

    class Plain(b2luigi.Task):
        def output(self) -> Any:
            return {"f": luigi.LocalTarget(f"{tmp_path}/new/f.txt")}

        @b2luigi.on_temporary_files
        def run(self) -> None:
            assert TEMPORARY.fullmatch(self.get_output_file_name("f"))
            Path(self.get_output_file_name("f")).write_text("new")

    Plain().run()
    assert files(tmp_path / "new") == {"f.txt": "new"}


def test_a_plain_luigi_task_is_rejected() -> None:
    """A task without get_output_file_name could not find its temporary files."""

    class Plain(luigi.Task):
        @b2luigi.on_temporary_files
        def run(self) -> None: ...

    with pytest.raises(TypeError, match=r"needs a b2luigi\.Task, which Plain is not"):
        Plain().run()


def test_a_run_may_call_the_run_of_its_base_class(script_folder: Path, then: Any) -> None:
    """The outputs of both are put in place at the end of the outer run, all or none."""

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
    """Records its input paths for the test."""

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
    """Inputs keep their names, an input used twice is copied once, and copies are removed at the end."""
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
def test_every_method_for_inputs_returns_copies(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, ask: Any, count: int
) -> None:
    """Each method returns the paths of copies."""
    monkeypatch.setattr(Reader, "ask", staticmethod(ask))
    Reader().run()
    assert len(Reader.seen) == count
    assert all(path.startswith(str(scratch)) for path in Reader.seen[:3])


def test_the_one_input(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """get_input_file_name also returns a copy."""
    monkeypatch.setattr(Reader, "requires", lambda self: Written(number=1))
    monkeypatch.setattr(Reader, "ask", staticmethod(lambda task: task.get_input_file_name("in.txt")))
    Reader().run()
    assert Reader.seen[0].startswith(str(scratch))


def test_inputs_are_copied_once(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second request returns the existing copy."""
    twice = staticmethod(lambda task: [task.get_input_file_names("in.txt")[0] for _ in range(2)])
    monkeypatch.setattr(Reader, "ask", twice)
    Reader().run()
    assert Reader.seen[0] == Reader.seen[1]


def test_copies_are_removed_after_an_exception(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scratch folder is empty after run fails."""
    monkeypatch.setattr(Reader, "ask", staticmethod(lambda task: failing(task.get_input_file_names())))
    with pytest.raises(ValueError, match="unlucky"):
        Reader().run()
    assert list(scratch.iterdir()) == []


def test_without_inputs_no_scratch_folder_is_needed(then: Any) -> None:
    """A task without inputs works with an invalid setting."""
    b2luigi.set_setting("scratch_dir", "/dev/null/scratch")
    Two().run()
    assert Two().complete()


def test_the_default_scratch_folder_is_the_temporary_folder(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the setting, copies go to Python's folder for temporary files."""
    b2luigi.clear_setting("scratch_dir")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    Reader().run()
    assert Reader.seen[0].startswith(f"{tmp_path}/tmp/")


def test_an_invalid_scratch_folder(scratch: Path) -> None:
    """The error names the folder and the setting, and the task has no outputs."""
    scratch.write_text("no folder")
    with pytest.raises(OSError, match=r"the setting scratch_dir .*/scratch'"):
        Reader().run()
    assert not Reader().complete()


@pytest.mark.parametrize("threads", [0, -1])
def test_an_invalid_number_of_threads(scratch: Path, monkeypatch: pytest.MonkeyPatch, threads: Any) -> None:
    """The error names the setting."""
    reader = Reader()
    monkeypatch.setattr(reader, "n_download_threads", threads, raising=False)
    with pytest.raises(ValueError, match="n_download_threads must be a positive integer"):
        reader.run()


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
    """luigi starts it twice; what the first start wrote is removed, and the yield returns the inputs."""
    monkeypatch.setattr(Dynamic, "tries", 0)
    assert luigi.build([Dynamic()], local_scheduler=True, log_level="CRITICAL")
    assert Dynamic.tries == 2
    assert files(script_folder) == {"number=5/in.txt": "input 5", "before": "x", "after": "input 5"}


def test_a_run_that_is_closed_at_a_yield(script_folder: Path) -> None:
    """What it wrote is removed as soon as luigi closes the generator."""
    run = Dynamic().run()
    next(run)
    assert len(files(script_folder)) == 1
    run.close()
    assert files(script_folder) == {}
    assert Dynamic()._redirection is None


def test_a_function_that_returns_a_generator_is_rejected(script_folder: Path) -> None:
    """A function that only passes on a generator would seem to end at once."""

    class Disguised(b2luigi.Task):
        def steps(self) -> Iterator[Any]:
            yield Written()

        @b2luigi.on_temporary_files
        def run(self) -> Any:
            return self.steps()

    with pytest.raises(TypeError, match=r"Disguised: run\(\) returns a generator but contains no yield"):
        Disguised().run()


# -- processes of its own, for which the task is pickled


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
    """Files written by a pickled copy of the task are put in place, too."""
    Parallel().run()
    assert files(script_folder) == {"a": "a", "b": "b"}


# -- only inputs, or only outputs


class Copier(b2luigi.Task):
    """Notes where it reads and writes."""

    paths: ClassVar[tuple[str, str]]

    def requires(self) -> Any:
        return Written()

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("out.txt")

    def copy(self) -> None:
        """Copies its input."""
        Copier.paths = self.get_input_file_name(), self.get_output_file_name("out.txt")
        Path(Copier.paths[1]).write_text(Path(Copier.paths[0]).read_text())


@pytest.mark.parametrize("inputs", [True, False, None])
@pytest.mark.parametrize("outputs", [True, False, None])
def test_inputs_and_outputs_can_be_left_where_they_are(
    script_folder: Path, scratch: Path, inputs: bool | None, outputs: bool | None
) -> None:
    """Each is temporary unless it is switched off, also with empty parentheses; the output is there in any case."""
    Written().run()
    given: dict[str, Any] = {"inputs": inputs, "outputs": outputs}
    given = {name: value for name, value in given.items() if value is not None}
    task = type("Given", (Copier,), {"run": b2luigi.on_temporary_files(**given)(Copier.copy)})()
    task.run()
    read, written = Copier.paths
    assert (read == f"{script_folder}/number=0/in.txt") is (inputs is False)
    assert (written == f"{script_folder}/out.txt") is (outputs is False)
    assert (script_folder / "out.txt").read_text() == "input 0"
    assert [path for path in scratch.rglob("*")] == []


def test_outputs_in_place_may_exist(script_folder: Path) -> None:
    """With outputs=False, nothing is moved, so nothing is in the way."""
    Written().run()
    (script_folder / "out.txt").write_text("old")
    type("InPlace", (Copier,), {"run": b2luigi.on_temporary_files(outputs=False)(Copier.copy)})().run()
    assert (script_folder / "out.txt").read_text() == "input 0"


def test_temporary_files_as_a_context(script_folder: Path, scratch: Path) -> None:
    """The context manager of b2luigi 1.x does for a part of `run` what the decorator does for all of it."""
    Written().run()
    with TemporaryFileContextManager(Copier(), inputs=False) as files:
        files.callback((script_folder / "called").touch)
        Copier().copy()
        assert not (script_folder / "out.txt").exists()
    assert Copier.paths[0] == f"{script_folder}/number=0/in.txt"
    assert files_of(script_folder) == {"out.txt", "called"}


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_a_scratch_folder_is_created_with_its_parents(tmp_path: Path) -> None:
    """As `tempfile.TemporaryDirectory`, below a folder that need not exist."""
    with EnsuredTemporaryScratchDirectory(tmp_path / "a" / "b", prefix="mine-") as folder:
        assert Path(folder).parent == tmp_path / "a" / "b"
        assert Path(folder).name.startswith("mine-")
    assert not Path(folder).exists()
