"""What "auto" stands for: batch systems that are installed, asked by a test that plays their programs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from b2luigi.batch.queue.detection import PATIENCE, Detected, detect
from b2luigi.batch.queue.poller import FirstAnswer
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Answer, Command
from tests.batch.fakes import Fake

SILENT = FirstAnswer(None, 7.0)
LISTING = Answer(0, json.dumps({"#a": ["running", "a"]}), "")
NOTHING = Answer(0, "{}", "")
DOWN = Answer(1, "", "the daemon\nis down")
HUNG = Answer(-9, "{}", "no such cluster", timed_out=20.0)
NOT_STARTED = Answer(126, "{}", "no such cluster", started=False)
ALONE = Answer(1, "", "no such cluster")


def a_language(name: str, knows_when_unconfigured: bool = True, broken: tuple[str, ...] = ()) -> Fake:
    """A language of its own name, whose query says `query`."""

    class Language(Fake):
        def query(self, job_ids: object) -> Command:
            command = super().query([])
            return Command((self.name, *command.argv))

        if knows_when_unconfigured:

            def unconfigured(self, answer: Answer) -> str:
                return f"{answer.stderr}\nat all" if "no such cluster" in answer.stderr else ""

    Language.name = name
    return Language(broken=broken)


def asking(answers: dict[str, Answer], calls: list[str]) -> Callable[[Command, float], Answer]:
    def ask(command: Command, timeout: float) -> Answer:
        calls.append(" ".join(command.argv))
        return answers[command.argv[0]]

    return ask


def found(*installed: BatchSystem, **answers: Answer) -> tuple[Detected, list[str]]:
    """What is detected where these languages are installed, and which commands ran."""
    calls: list[str] = []
    return detect(installed, 60, ask=asking(answers, calls), clock=lambda: 7.0), calls


def messages(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records]


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_a_machine_without_any_programs(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is installed: this machine, and nothing is asked."""
    assert found() == (Detected("local"), [])
    assert messages(caplog) == [(logging.INFO, "Tasks run as jobs of: this machine (no batch system found)")]


@pytest.mark.parametrize("answer", [LISTING, NOTHING])
def test_a_cluster_that_answers(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    """One ordinary query, whose answer is kept with its time: it is the first listing of the queue."""
    detected, calls = found(a_language("one"), one=answer)
    assert calls == ["one query"]
    assert detected == Detected("one", FirstAnswer(answer, 7.0))
    assert messages(caplog) == [(logging.INFO, "Tasks run as jobs of: one")]


@pytest.mark.parametrize(("limit", "patience"), [(60, PATIENCE), (5, 5)])
def test_nobody_is_waited_for_long(limit: float, patience: float) -> None:
    """Each has 20 seconds, or what any command may take if that is less."""
    given: list[float] = []

    def ask(command: Command, timeout: float) -> Answer:
        given.append(timeout)
        return DOWN

    detect([a_language("one"), a_language("two")], limit, ask=ask)
    assert given == [patience, patience]
    assert PATIENCE == 20


def test_the_first_that_answers(caplog: pytest.LogCaptureFixture) -> None:
    """Those behind it are not asked."""
    detected, calls = found(a_language("one"), a_language("two"), a_language("three"), one=ALONE, two=LISTING)
    assert (detected.name, calls) == ("two", ["one query", "two query"])
    expected = "Tasks run as jobs of: two (one is installed, but no cluster is configured: no such cluster at all)"
    assert messages(caplog) == [(logging.INFO, expected)]


def test_programs_without_a_cluster(caplog: pytest.LogCaptureFixture) -> None:
    """One line says why the run goes on here, and it is a warning: somebody has installed the programs."""
    detected, _ = found(a_language("one"), a_language("two"), one=ALONE, two=ALONE)
    assert detected == Detected("local")
    ((level, text),) = messages(caplog)
    assert level == logging.WARNING
    assert text == (
        "Tasks run as jobs of: this machine (one is installed, but no cluster is configured: no such cluster at all; "
        "two is installed, but no cluster is configured: no such cluster at all)"
    )


@pytest.mark.parametrize("answer", [DOWN, HUNG, NOT_STARTED, Answer(127, "", "command not found"), Answer(1, "", "")])
def test_a_cluster_that_does_not_answer(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    """An outage is never a reason to run jobs here: they wait for it, and the user reads that and what to do."""
    detected, _ = found(a_language("one"), one=answer)
    assert detected == Detected("one", SILENT)
    ((level, text),) = messages(caplog)
    assert level == logging.WARNING
    assert text == (
        "Tasks run as jobs of: one, which does not answer at the moment; they wait until it does. To run them on this "
        f'machine instead, set batch_system to "local". Output: {answer.words}'
    )


def test_an_outage_beside_a_cluster_that_answers() -> None:
    """What answers is used, and not waited for what does not."""
    detected, calls = found(a_language("one"), a_language("two"), one=DOWN, two=NOTHING)
    assert (detected.name, calls) == ("two", ["one query", "two query"])


def test_an_outage_beside_programs_without_a_cluster(caplog: pytest.LogCaptureFixture) -> None:
    """The one that is configured is waited for, the first of them if there are several."""
    answers = {"one": ALONE, "two": DOWN, "three": HUNG}
    detected, _ = found(*map(a_language, answers), **answers)
    assert detected == Detected("two", SILENT)
    assert [level for level, _ in messages(caplog)] == [logging.WARNING]


def test_a_language_that_cannot_say_whether_it_is_configured() -> None:
    """A language of somebody else without that method counts as configured, as it always did."""
    detected, _ = found(a_language("one", knows_when_unconfigured=False), one=ALONE)
    assert detected == Detected("one", SILENT)


@pytest.mark.parametrize("broken", ["query", "parse_query"])
def test_a_language_that_is_broken(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its error is reported, and it is passed over only for one that answers."""
    language = a_language("one", broken=(broken,))
    assert found(language, one=LISTING)[0] == Detected("one", SILENT)
    assert f"KeyError: '{broken} is broken'" in caplog.text
    assert found(language, a_language("two"), one=LISTING, two=LISTING)[0].name == "two"


@pytest.mark.parametrize("known", [None, {"7": "running"}, [], {7: 8}])
def test_a_language_that_reads_something_else(known: object) -> None:
    """What is no mapping of jobs is no answer."""
    language = a_language("one")
    language.parse_query = lambda answer: known  # type: ignore[assignment,method-assign,return-value]
    assert found(language, one=LISTING)[0] == Detected("one", SILENT)
