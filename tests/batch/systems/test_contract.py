"""What every registered batch system promises. A new one is tested here the day it is registered."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from b2luigi.batch import systems
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import (
    Accepted,
    Answer,
    AnswerError,
    Command,
    JobInfo,
    JobSpec,
    JobStatus,
    Submitted,
    TryLater,
    Unsure,
)
from b2luigi.core.known_settings import KNOWN
from tests.batch.systems.recorded import a_job, names, recorded

SUBMISSIONS = [(system, name) for system in systems.names() for name in names(system, "submit")]
REPLIES = [(system, name) for system in systems.names() for name in names(system, "")]
ODD = [
    "",
    "\n\n \t",
    "garbage",
    "{",
    "[",
    "}{",
    "[{}]",
    "[null]",
    '{"RECORDS": null}',
    '{"RECORDS": [null]}',
    '{"RECORDS": [{"STAT": null, "JOBID": []}]}',
    '[{"ClusterId": 1, "ProcId": 0, "JobStatus": [], "HoldReason": {}, "B2luigiToken": [1], "RemoteHost": 5}]',
    '[{"ClusterId": "1", "ProcId": null}]',
    "[" * 100_000,
    '{"RECORDS":' * 100_000,
    "Job <> is submitted to queue <>.",
    f"Job <{'9' * 5000}> is submitted to queue <s>.",
    f"{'9' * 5000}.0 - 1.0",
    "1.5 - 1.2",
    "1.-3 - 1.2",
    "0x1.0 - 0x1.0",
    "\x00\x1b[31m\u2028\ud800",
    "ü" * 1000,
]


@pytest.fixture(params=systems.names())
def system(request: pytest.FixtureRequest) -> BatchSystem:
    """Each registered batch system."""
    return systems.load(request.param)


def a_setting(**values: Any) -> Callable[[str], Any]:
    """Settings of a task: the defaults of b2luigi but for some."""
    return lambda key: values[key] if key in values else KNOWN[key].default


def a_spec(system: BatchSystem, token: str = "abc", **values: Any) -> JobSpec:
    return a_job(token, system.options(a_setting(**values)))


def commands(system: BatchSystem) -> list[Command]:
    spec = a_spec(system)
    found = [
        system.submit([spec]),
        system.query(["1.0", "2"]),
        system.cancel(["1.0", "2"]),
        system.find([spec]),
        system.history(["1.0"]),
    ]
    return [command for command in found if command is not None]


def test_commands_are_words(system: BatchSystem) -> None:
    """Every command is a program and its words, never a line for a shell."""
    for command in commands(system):
        assert isinstance(command.argv, tuple)
        assert all(isinstance(word, str) and word for word in command.argv)
        assert command.argv[0] not in ("sh", "bash", "/bin/sh")
        assert " " not in command.argv[0]


def test_ids_are_words_of_their_own(system: BatchSystem) -> None:
    """A cancellation names each job in a word of its own, in one command."""
    assert {"1.0", "2"} <= set(system.cancel(["1.0", "2"]).argv)


def test_a_submission_carries_the_token(system: BatchSystem) -> None:
    """The token is in the submission, so that a job whose id was lost can be found."""
    command = system.submit([a_spec(system, token="f00dfeed")])
    assert "f00dfeed" in command.stdin or "f00dfeed" in command.argv


@pytest.mark.parametrize("number", [1, 2, 40])
def test_jobs_submitted_together_stay_apart(system: BatchSystem, number: int) -> None:
    """Each job of a submission has its own script in it, its own mark, and its own id."""
    specs = [a_spec(system, token=f"f00{n:013x}") for n in range(min(number, system.bulk))]
    command = system.submit(specs)
    assert all(spec.token in command.stdin or spec.token in command.argv for spec in specs)
    labels = system.labels(specs)
    assert len(set(labels)) == len(labels) == len(specs)


def test_bulk_is_a_number(system: BatchSystem) -> None:
    """A submission holds at least one job."""
    assert system.bulk >= 1


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize(("name", "text"), SUBMISSIONS)
def test_each_job_has_a_result(name: str, text: str, number: int) -> None:
    """n jobs have n results, whatever the answer, and no two the same id."""
    system = systems.load(name)
    specs = [a_spec(system, token) for token in ("a", "b", "c")[:number]]
    results = system.parse_submit(recorded(name, text), specs)
    assert len(results) == number
    assert all(isinstance(result, Submitted) for result in results)
    job_ids = [result.job_id for result in results if isinstance(result, Accepted)]
    assert len(set(job_ids)) == len(job_ids)


@pytest.mark.parametrize("text", ODD, ids=lambda text: repr(text[:12]))
def test_no_text_breaks_a_parser(system: BatchSystem, text: str) -> None:
    """Whatever a program says, a query raises nothing but AnswerError, all else nothing, and ids are words."""
    for rc, stream in itertools.product([0, 1, 255, -9], ["stdout", "stderr"]):
        answer = Answer(rc, text, "") if stream == "stdout" else Answer(rc, "", text)
        (result,) = system.parse_submit(answer, [a_spec(system)])
        assert not isinstance(result, Accepted) or len(result.job_id.split()) == 1
        assert isinstance(system.parse_cancel(answer), str)
        assert isinstance(system.unconfigured(answer), str)
        for parse in (system.parse_query, system.parse_history):
            with contextlib.suppress(AnswerError):
                known = parse(answer)
                assert all(isinstance(key, str) and isinstance(info, JobInfo) for key, info in known.items())


@pytest.mark.parametrize(("name", "text"), REPLIES)
def test_no_cut_breaks_a_parser(name: str, text: str) -> None:
    """An answer that was cut anywhere raises nothing but AnswerError, and never makes up a job that ended."""
    system, answer = systems.load(name), recorded(name, text)
    try:
        whole = system.parse_query(answer)
    except AnswerError:
        whole = {}
    for end in range(0, len(answer.stdout), 7):
        cut = Answer(answer.rc, answer.stdout[:end], answer.stderr)
        system.parse_submit(cut, [a_spec(system)])
        system.parse_cancel(cut)
        try:
            known = system.parse_query(cut)
        except AnswerError:
            continue
        assert all(whole.get(job_id) == info for job_id, info in known.items())


@pytest.mark.parametrize("rc", [0, 1, 255])
def test_a_garbled_answer_is_none(system: BatchSystem, rc: int) -> None:
    """Text that cannot be read says nothing about any job."""
    with pytest.raises(AnswerError):
        system.parse_query(Answer(rc, "garbage {", ""))


def test_a_submission_that_was_stopped_is_unsure(system: BatchSystem) -> None:
    """It may have been taken."""
    (result,) = system.parse_stopped_submit(Answer(-9, "", "", timed_out=60.0), [a_spec(system)])
    assert isinstance(result, Unsure)


@pytest.mark.parametrize(("name", "text"), SUBMISSIONS)
def test_a_submission_that_was_stopped_is_never_refused(name: str, text: str) -> None:
    """Whatever a command printed before it was stopped, its jobs are accepted, not sent for sure, or unsure."""
    system, answer = systems.load(name), recorded(name, text)
    specs = [a_spec(system, token) for token in "abc"]
    results = system.parse_stopped_submit(replace(answer, rc=-9, timed_out=60.0), specs)
    assert len(results) == len(specs)
    assert all(isinstance(result, Accepted | TryLater | Unsure) for result in results)


def test_a_failure_without_words_is_reported(system: BatchSystem) -> None:
    """A program that fails silently did not cancel anything."""
    assert system.parse_cancel(Answer(255, "", ""))


@pytest.mark.parametrize("rc", [126, 127])
def test_a_missing_program_refuses(system: BatchSystem, rc: int) -> None:
    """Where the program is missing no job is looked for, or waited for."""
    (result,) = system.parse_submit(Answer(rc, "", "not found"), [a_spec(system)])
    assert type(result).__name__ == "Refused"


@pytest.mark.parametrize("rc", [0, 1, 127, 255])
@pytest.mark.parametrize("text", ["", "garbage", "command not found", "Connection refused", "Permission denied"])
def test_an_outage_is_no_missing_configuration(system: BatchSystem, rc: int, text: str) -> None:
    """Tasks run elsewhere only where the programs themselves say that they belong to no cluster."""
    assert system.unconfigured(Answer(rc, "", text)) == ""


UNKNOWN_STATES = {
    "htcondor": json.dumps([{"ClusterId": 7, "ProcId": 0, "JobStatus": 99}]),
    "lsf": json.dumps({"RECORDS": [{"JOBID": "7", "STAT": "BORED"}]}),
    "slurm": "7|BORED|0||job-abc|abc|None|\n",
}


@pytest.mark.parametrize("name", UNKNOWN_STATES)
def test_an_unknown_state_is_running(name: str) -> None:
    """An unknown state never fails a job, and is shown in messages."""
    (info,) = systems.load(name).parse_query(Answer(0, UNKNOWN_STATES[name], "")).values()
    assert info.status is JobStatus.running
    assert "99" in info.native or "BORED" in info.native


TEXT_SETTINGS = {
    "htcondor": {"job_name": lambda text: text, "htcondor_settings": lambda text: {"+Attr": text}},
    "lsf": {"queue": lambda text: text, "job_slots": lambda text: text, "lsf_settings": lambda text: {"R": text}},
    "slurm": {"slurm_settings": lambda text: {"constraint": text}},
}


@pytest.mark.parametrize("text", ["a b", 'a"b', "a'b", "a\nb", "a\rb", "a$b", "$HOME", "$(x)", "$$(x)", "a\\", "a\0b"])
@pytest.mark.parametrize(
    ("name", "key", "make"),
    [(name, key, make) for name in TEXT_SETTINGS for key, make in TEXT_SETTINGS[name].items()],
)
def test_a_value_survives_or_is_refused(name: str, key: str, make: Callable[[str], Any], text: str) -> None:
    """A value arrives as it was written, or is refused with the name of its setting."""
    system = systems.load(name)
    if set("\n\r\0") & set(text):
        with pytest.raises(ValueError, match=key):
            system.options(a_setting(**{key: make(text)}))
        return
    words = _words_of(system, {key: make(text)})
    assert text in words or key in words


def _words_of(system: BatchSystem, settings: dict[str, Any]) -> list[str]:
    """What a submission hands over: words, and values of a description; or the words of its refusal."""
    try:
        command = system.submit([a_spec(system, **settings)])
    except ValueError as error:
        return re.split(r"\W+", str(error))
    lines = command.stdin.replace("$(DOLLAR)", "$").split("\n")
    options = (word.partition("=")[2] for word in command.argv if word.startswith("--"))
    return [*command.argv, *options, *(line.partition(" = ")[2] for line in lines)]


@pytest.mark.parametrize(
    ("name", "key"), [(name, key) for name in systems.names() for key in KNOWN if key.startswith(name)]
)
def test_options_are_a_dictionary(name: str, key: str) -> None:
    """A dictionary of options that is none is refused with its name."""
    with pytest.raises(ValueError, match=key):
        systems.load(name).options(a_setting(**{key: ["-q"]}))


def test_options_can_be_kept(system: BatchSystem) -> None:
    """Options are plain values that JSON can hold."""
    options = system.options(a_setting())
    assert json.loads(json.dumps(options)) == options


def test_defaults_are_fine(system: BatchSystem) -> None:
    """A task with no settings of its own can be submitted."""
    spec = a_spec(system)
    system.check(spec)
    assert system.submit([spec]).argv


@pytest.mark.parametrize("difference", ["options", "inputs", "inbox"])
def test_unlike_jobs_go_apart(system: BatchSystem, difference: str) -> None:
    """Jobs with other options, files or inbox are not of one kind; the same is true of equal ones."""
    options = system.options(a_setting())
    others: dict[str, dict[str, Any]] = {
        "options": {"options": {**options, "job_name": "another"}},
        "inputs": {"options": options, "inputs": (Path("/x"),)},
        "inbox": {"options": options, "inbox": Path("/elsewhere")},
    }
    assert system.kind(a_job("a", dict(options))) == system.kind(a_job("b", options, folder="/other"))
    assert system.kind(a_job("a", options)) != system.kind(a_job("b", **others[difference]))
