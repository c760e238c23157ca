"""A script as users write it, checked by `mypy --strict` like all tests; here, that it runs.

A line that must be an error for type checkers has a `type: ignore`, which is one itself where it is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from luigi.execution_summary import LuigiRunResult
from typing_extensions import assert_type

import b2luigi


class Simulate(b2luigi.Task):
    """Has settings with and without annotations."""

    seed = b2luigi.IntParameter()
    energy = b2luigi.FloatParameter(default=10.58)
    name = b2luigi.Parameter(default="x")
    wrong: str = b2luigi.Parameter(default="x")  # type: ignore[assignment]
    env: dict[str, str] = {}
    job_name = "simulation"

    def output(self) -> Iterator[dict[str, Any]]:
        yield self.add_to_output("events.txt")

    @b2luigi.on_temporary_files
    def run(self) -> None:
        """Writes."""
        assert_type(self.seed, int)
        assert_type(self.energy, float)
        assert_type(self.name, str)
        with open(self.get_output_file_name("events.txt"), "w") as file:
            file.write(str(self.seed + 1))

    def remove_output(self) -> None:
        super().remove_output()
        self.remove_log_files()


@b2luigi.requires(Simulate, name="y")
class Reco(b2luigi.Task):
    cut = b2luigi.FloatParameter()
    seed: int
    """Copied from Simulate; the annotation gives it a type here, too."""

    def output(self) -> b2luigi.LocalTarget:
        return b2luigi.LocalTarget(f"reco-{self.seed}-{self.energy:.0f}.txt")

    @b2luigi.on_temporary_files(inputs=False)
    def run(self) -> None:
        """Copies."""
        assert_type(self.get_input_file_names("events.txt"), list[str])
        assert_type(self.get_input_file_names(), dict[str, list[str]])
        assert_type(self.get_input_file_name("events.txt"), str)
        assert_type(self.seed, int)
        with self.output().open("w") as file, open(self.get_input_file_name()) as events:
            file.write(events.read())


@b2luigi.inherits(Simulate, Reco, without="seed")
class Merge(b2luigi.WrapperTask):
    def requires(self) -> Iterator[b2luigi.Task]:
        assert_type(self.clone_parent(seed=0), b2luigi.Task)
        for seed in range(3):
            yield from self.clone_parents(seed=seed)


def main() -> bool:
    """Runs everything."""
    b2luigi.set_setting("result_dir", "results")
    reco = Reco(seed=1, cut=0.5)
    assert_type(reco, Reco)
    result = b2luigi.process([reco, Merge(cut=0.5)], detailed_summary=True)
    assert_type(result, LuigiRunResult)
    return b2luigi.process(reco, workers=1)


@b2luigi.copies(Simulate)
class Copy(b2luigi.Task):
    htcondor_settings: dict[str, Any] = {}

    @b2luigi.dispatch
    def run(self) -> None:
        """Uses what luigi leaves without types."""
        self.set_status_message("at work")
        self.set_progress_percentage(50)
        print(self.clone(Simulate).seed, self.deps(), self.to_str_params(), self.input())


@Copy.event_handler(b2luigi.Event.BROKEN_TASK)
def report(task: b2luigi.Task, error: Exception) -> None:
    """Called by luigi."""
    print(task.task_id, b2luigi.build([Copy(seed=3, htcondor_settings={"a": 1})]), error)


def refused() -> None:
    """What checkers object to; never called."""
    b2luigi.process("Reco")  # type: ignore[arg-type]
    Reco(seed=1).get_input_file_names(1)  # type: ignore[call-overload]
    Simulate(seed=1).get_output_file_name(1)  # type: ignore[arg-type]


def test_it_runs(script_folder: Path) -> None:
    """What checkers are made to believe about copied parameters, clones and results is true."""
    assert main() is True
    assert {type(one) for one in Merge(cut=0.5).requires()} == {Simulate, Reco}
    assert (script_folder / "reco-1-11.txt").read_text() == "2"
    Simulate(seed=1, name="y").remove_output()
    assert not Simulate(seed=1, name="y").complete()
