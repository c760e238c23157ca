"""Which tasks share a job by their settings, and what is refused before anything is submitted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import pytest

import b2luigi
from b2luigi.batch.packs.share import Share
from b2luigi.batch.processes.preparation import described
from b2luigi.batch.processes.sharing import check_sharing, most_tasks_per_job
from b2luigi.batch.workers.worker import SendJobWorkerSchedulerFactory
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.checks import GraphError
from b2luigi.core.job_script import PACK
from b2luigi.core.settings import with_new_settings
from tests.batch.processes.hands import Job, Work
from tests.present import present


class Other(Work):
    """Another class."""


class Runs(Work):
    """Would run, if it came to that."""

    def run(self) -> None:
        raise AssertionError("not to be run")


class Grouped(b2luigi.Task):
    """With the names of b2luigi 1.3.0."""

    max_grouping_size = 4
    n = b2luigi.IntParameter(grouping=True)


class Ungrouped(b2luigi.Task):
    """A number without a parameter for it."""

    max_grouping_size = 4


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """A run whose queue lets tasks share jobs, two in each."""
    with with_new_settings():
        for key in ("log_dir", "task_file_dir", "result_dir"):
            b2luigi.set_setting(key, str(tmp_path / key))
        b2luigi.set_setting("tasks_per_job", 2)
        made = Job(tmp_path)
        made.queue.shares_jobs = True
        yield made


def share(job: Job, task: luigi.Task) -> Share | None:
    """What a task brings along."""
    return described(task, job.queue, job.shared, 60.0, 1).share


def key(job: Job, task: luigi.Task) -> Any:
    """Those with equal keys may be in one job."""
    return present(share(job, task)).key


# -- who shares


def test_by_default_each_task_has_a_job(job: Job) -> None:
    """Whoever sets nothing notices nothing."""
    b2luigi.clear_setting("tasks_per_job")
    assert share(job, Work()) is None


def test_where_the_queue_cannot_share_jobs_each_task_has_one(job: Job) -> None:
    """Somebody's own, say."""
    job.queue.shares_jobs = False
    assert share(job, Work()) is None


def test_tasks_that_differ_in_parameters_share(job: Job) -> None:
    """Task id, folders and token do not matter; nor does the class, with a number that the user chose."""
    assert key(job, Work(n=1)) == key(job, Work(n=2)) == key(job, Other(n=1))


def test_with_auto_each_class_has_jobs_of_its_own(job: Job) -> None:
    """Their durations differ."""
    b2luigi.set_setting("tasks_per_job", "auto")
    assert key(job, Work(n=1)) == key(job, Work(n=2))
    assert key(job, Work(n=1)) != key(job, Other(n=1))
    assert present(share(job, Work())).most is None


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("env", {"A": "1"}),
        ("executable", ["/usr/bin/python3"]),
        ("working_dir", "/tmp"),
        ("shell", "sh"),
        ("queue", "long"),
        ("task_cmd_additional_args", ["--fast"]),
        ("tasks_per_job", 3),
        ("tasks_at_once", 2),
        ("tasks_per_job_seconds", 7),
        ("pack_mode", "process"),
    ],
)
def test_tasks_whose_jobs_differ_in_anything_else_do_not_share(job: Job, setting: str, value: Any) -> None:
    """One job has one environment, and asks for one thing."""
    before = key(job, Work(n=1))
    b2luigi.set_setting(setting, value)
    assert key(job, Work(n=2)) != before


def test_an_env_script_of_its_own_keeps_tasks_apart(job: Job, tmp_path: Path) -> None:
    """It may set up anything."""
    before = key(job, Work(n=1))
    (tmp_path / "env.sh").touch()
    b2luigi.set_setting("env_script", str(tmp_path / "env.sh"))
    assert key(job, Work(n=2)) != before


def test_tasks_whose_outcomes_may_be_late_by_other_times_do_not_share(job: Job) -> None:
    """The job of a pack waits for its marker as long as that."""
    short, long = (described(Work(), job.queue, job.shared, grace, 1) for grace in (60.0, 61.0))
    assert present(short.share).key != present(long.share).key


def test_the_tries_of_a_task_do_not_keep_it_from_sharing(job: Job) -> None:
    """A second try goes into one job with first ones, unless it asks for something else."""
    first = described(Work(n=1), job.queue, job.shared, 60.0, 1)
    second = described(Work(n=2), job.queue, job.shared, 60.0, 2)
    assert present(first.share).key == present(second.share).key
    assert present(second.share).member["description"]["worker"]["job_attempt"] == 2


def test_the_job_of_a_pack_is_started_like_that_of_a_task(job: Job) -> None:
    """The same script with the same arguments, but for the task."""
    new = described(Work(), job.queue, job.shared, 60.0, 1)
    own, common = new.script, present(new.share).script
    assert [PACK if word == Work().task_id else word for word in own.command] == list(common.command)
    assert common.grace == 60.0
    assert common.description["worker"] == {"call": own.description["worker"]["call"], "result_grace": 60.0}
    assert (common.folder, common.shell, common.own_env) == (own.folder, own.shell, own.own_env)


def test_what_a_task_brings_along_is_what_its_own_job_script_would_say(job: Job) -> None:
    """The node rebuilds it from that; its folder is found from wherever the project is."""
    new = described(Work(), job.queue, job.shared, 60.0, 1)
    member = present(new.share).member
    assert member["description"] == new.script.description
    assert (member["token"], member["home"], member["logs"]) == (new.spec.token, new.script.home, new.script.logs)
    assert new.spec.inbox.parent / member["below"] == new.spec.folder


def test_only_a_task_that_is_started_anew_needs_a_job_script(job: Job) -> None:
    """Files cost most where the disk is slow."""
    assert not described(Work(), job.queue, job.shared, 60.0, 1).has_script
    b2luigi.set_setting("pack_mode", "process")
    assert described(Work(), job.queue, job.shared, 60.0, 1).has_script
    b2luigi.set_setting("tasks_per_job", 1)
    assert described(Work(), job.queue, job.shared, 60.0, 1).has_script


# -- the names of b2luigi 1.3.0


def test_max_grouping_size_says_how_many_share(job: Job) -> None:
    """Of a class with a parameter that has `grouping`; the setting of this version wins, also with 1."""
    b2luigi.clear_setting("tasks_per_job")
    assert most_tasks_per_job(Grouped(n=1)) == 4
    assert most_tasks_per_job(Ungrouped()) == 1
    b2luigi.set_setting("tasks_per_job", 1)
    assert most_tasks_per_job(Grouped(n=1)) == 1


def test_max_grouping_size_asks_for_nothing_that_is_refused(job: Job) -> None:
    """Projects of b2luigi 1.3.0 go on working as they are."""
    b2luigi.clear_setting("tasks_per_job")
    b2luigi.set_setting("transfer_files", ["a.txt"])
    assert most_tasks_per_job(Grouped(n=1)) == 1
    check_sharing(Grouped(n=1))


# -- bad input


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", "many", None, True, False, [2]])
def test_a_number_of_tasks_that_cannot_be_meant_is_refused(job: Job, value: Any) -> None:
    """With the name of the setting, and with what it was."""
    with pytest.raises(BadInputError, match="tasks_per_job must be") as caught:
        refused("tasks_per_job", value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("tasks_at_once", value) for value in (0, -1, 1.5, "2", True, None)),
        *(("pack_mode", value) for value in ("spawn", "", None, 1)),
        *(("tasks_per_job_seconds", value) for value in (0, -5, "long")),
    ],
)
def test_any_other_bad_value_is_refused_by_its_name(job: Job, setting: str, value: Any) -> None:
    """Where tasks share jobs."""
    with pytest.raises(BadInputError, match=setting):
        refused(setting, value)


def test_a_value_of_a_class_is_checked_like_any_other(job: Job) -> None:
    """Also one that Python takes for a number."""
    with pytest.raises(BadInputError, match="tasks_at_once"):
        check_sharing(type("Odd", (Work,), {"tasks_at_once": True})())


def test_bad_values_of_a_settings_file_are_in_one_message(job: Job) -> None:
    """Whoever repairs one of them finds no other afterwards."""
    bad = {"tasks_per_job": "many", "tasks_at_once": 0, "pack_mode": "thread"}
    Path("settings.json").write_text(json.dumps(bad))
    with pytest.raises(ValueError, match=r"settings\.json") as caught:
        b2luigi.get_setting("pack_mode", task=Work())
    assert [name for name in bad if f"{name} must be" in str(caught.value)] == list(bad)


def refused(setting: str, value: Any) -> None:
    """Whoever sets a value hears of it at once, if that is of a wrong type, and else before anything is submitted."""
    b2luigi.set_setting(setting, value)
    check_sharing(Work())


@pytest.mark.parametrize(("setting", "value"), [("transfer_files", ["a.txt"]), ("apptainer_image", "/image.sif")])
@pytest.mark.parametrize("size", [2, "auto"])
def test_what_does_not_go_together_is_refused_by_both_names(job: Job, setting: str, value: Any, size: Any) -> None:
    """With the class, and with what to do."""
    b2luigi.set_setting("tasks_per_job", size)
    b2luigi.set_setting(setting, value)
    with pytest.raises(BadInputError, match=f"tasks_per_job and {setting} do not go together") as caught:
        check_sharing(Work())
    assert "Set tasks_per_job to 1 for Work" in str(caught.value)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"tasks_at_once": 0}, "tasks_at_once must be"),
        ({"apptainer_image": "/image.sif"}, "tasks_per_job and apptainer_image"),
        ({"pack_mode": "thread"}, "pack_mode must be"),
    ],
)
def test_a_run_with_bad_values_submits_nothing(job: Job, facts: dict[str, Any], words: str) -> None:
    """Once for all its tasks, however many there are."""
    odd = type("Odd", (Runs,), facts)
    b2luigi.set_setting("batch_system", "local")
    factory = SendJobWorkerSchedulerFactory()
    with pytest.raises(GraphError) as caught:
        luigi.build([odd(n=n) for n in range(5)], worker_scheduler_factory=factory, local_scheduler=True)
    assert str(caught.value).count(words) == 1
    assert not list(Path(str(b2luigi.get_setting("task_file_dir"))).glob("*/attempt-*"))
