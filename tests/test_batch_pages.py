"""The pages of the batch systems: their settings are submitted, and their tables are what b2luigi does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.batch import systems
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.htcondor import HTCondor
from b2luigi.batch.systems.lsf import LSF
from b2luigi.batch.systems.model import (
    Answer,
    Cause,
    JobInfo,
    JobStatus,
    Refused,
    Requested,
    Submitted,
    TooMany,
    TryLater,
)
from b2luigi.batch.systems.slurm import Slurm
from b2luigi.core.known_settings import KNOWN
from b2luigi.core.setting_checks import SettingChecks
from b2luigi.core.settings import get_merged_setting
from b2luigi.core.settings_json import read_settings
from tests.batch.systems.recorded import a_job
from tests.snippets import ROOT, Snippet, of_page, prose
from tests.standins.lsf import FakeLSF

FOLDER = ROOT / "docs" / "batch-systems"
LANGUAGES: Mapping[str, BatchSystem] = {"htcondor": HTCondor(), "slurm": Slurm(environment={}), "lsf": LSF()}
"""By the name of the page."""
FILES = [
    pytest.param(snippet, id=str(snippet))
    for page in sorted(FOLDER.glob("*.md"))
    for snippet in of_page(page)
    if snippet.language == "json"
]
SPAN = re.compile(r"`([^`]+)`")


class Fit(b2luigi.Task):
    """A task without settings of its own."""


# -- each settings.json


@pytest.fixture
def at_home(script_folder: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """A settings.json of a page counts for a script, beside which are the files that it names; its content."""
    snippet: Snippet = request.param
    for name in ("env.sh", "limits.sh", "data.txt"):
        (script_folder / name).touch()
    (script_folder / "software").mkdir()
    text = snippet.text.replace("/home/me/project", str(script_folder))
    (script_folder / "settings.json").write_text(text)
    content: dict[str, Any] = json.loads(text)
    return content


@pytest.mark.parametrize("at_home", FILES, indirect=True)
def test_each_file_can_be_copied(at_home: dict[str, Any], script_folder: Path) -> None:
    """Its names are settings, its values pass the checks before the first job, and the batch systems take them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_settings(str(script_folder / "settings.json")) == at_home
    assert set(at_home) <= set(KNOWN)
    found: list[str] = []
    name = at_home.get("batch_system", "")
    is_carrier = name in LANGUAGES and LANGUAGES[name].carries_files
    SettingChecks(lambda task: is_carrier, lambda task: False, found.append, found.append).look(Fit())
    assert [text for text in found if "there is no container image" not in text] == []
    for system in systems.OURS:
        systems.load(system).options(partial(get_merged_setting, task=Fit()))


def options_of(page: str, **values: Any) -> Mapping[str, Any]:
    """The options of a job with these settings, and the default of all others."""

    def setting(name: str) -> Any:
        return values.get(name, KNOWN[name].default)

    return LANGUAGES[page].options(setting)


def first(page: str, language: str) -> str:
    return next(snippet.text for snippet in of_page(FOLDER / f"{page}.md") if snippet.language == language)


@pytest.mark.parametrize("page", LANGUAGES)
def test_what_becomes_of_the_complete_file(page: str) -> None:
    """The options on the page are those that are submitted, and b2luigi knows what the job asks for."""
    options = options_of(page, **json.loads(first(page, "json")))
    shown = first(page, "none").strip()
    command = LANGUAGES[page].submit([a_job("a0", options)])
    if page == "htcondor":
        assert shown == "\n".join(options["lines"])
        assert shown in command.stdin
    else:
        assert shown.split(" ") == options["argv"]
        assert shown in " ".join(command.argv)
    hours = 2 if page == "htcondor" else 12
    assert LANGUAGES[page].requested(options) == Requested(4 * 1024**3, hours * 3600.0)


def test_bsub_takes_the_settings(tmp_path: Path) -> None:
    """As far as the stand-in for LSF knows its options: each file on the page is submitted to its queue."""
    files = [json.loads(one.text) for one in of_page(FOLDER / "lsf.md") if one.language == "json"]
    with FakeLSF(tmp_path / "lsf") as cluster:
        for values in files:
            command = LSF().submit([a_job("a0", options_of("lsf", **values), folder=str(tmp_path))])
            env = {**os.environ, **cluster.env, "LSB_NTRIES": "1"}
            done = subprocess.run(command.argv, input=command.stdin, env=env, capture_output=True, text=True)
            assert f"is submitted to queue <{values.get('queue', 's')}>" in done.stdout, done.stderr


# -- tables


def rows_of(page: str, first_column: str) -> list[list[str]]:
    """The rows of the table whose first heading this is; the cells without the blanks around them."""
    lines = iter(prose(FOLDER / f"{page}.md").splitlines())
    for line in lines:
        if line.startswith(f"| {first_column} |"):
            return list(_rows(lines))
    raise LookupError(f"{page}: no table of {first_column}")


def _rows(lines: Iterator[str]) -> Iterator[list[str]]:
    next(lines)  # the line below the headings
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_what_do_i_set_for() -> None:
    """Each entry of the table is an option that its batch system takes; each name without a colon is a setting."""
    systems_of_columns = [*LANGUAGES, "this-machine"]
    entries = 0
    for what, *cells in rows_of("index", "for"):
        for page, cell in zip(systems_of_columns, cells, strict=True):
            for span in SPAN.findall(cell):
                if ":" not in span:
                    assert span in KNOWN, what
                    continue
                options = options_of(page, **{f"{page}_settings": json.loads(f"{{{span}}}")})
                assert options["lines" if page == "htcondor" else "argv"], what
                entries += 1
    assert entries > 30


def _is_open(result: Submitted) -> bool:
    return isinstance(result, TryLater) and result.tries is None


RESULTS: Mapping[str, Callable[[Submitted], bool]] = {
    "the task fails": lambda result: isinstance(result, Refused),
    "waits and tries again": _is_open,
    "tries again, five times": lambda result: isinstance(result, TryLater) and result.tries == 5,
    "submits fewer at once": lambda result: isinstance(result, TooMany),
}


@pytest.mark.parametrize("page", LANGUAGES)
def test_what_a_site_may_forbid(page: str) -> None:
    """b2luigi does with each message what its row says."""
    rows = rows_of(page, "message")
    assert len(rows) >= 5
    for message, does, _ in rows:
        text = "\n".join(SPAN.findall(message))
        rc = 127 if "command not found" in text else 1
        for result in LANGUAGES[page].parse_submit(Answer(rc, "", text), [a_job("a0"), a_job("a1")]):
            assert RESULTS[does](result), f"{text}: {result}"


REASONS: Mapping[str, Callable[[JobInfo], bool]] = {
    "waits": lambda info: info.status is JobStatus.idle and not info.held and not info.notice,
    "says `waits for you`": lambda info: info.held,
    "logs the reason once": lambda info: bool(info.notice) and not info.held,
    "resubmits the job": lambda info: info.cause is Cause.infrastructure,
}


def test_why_a_job_of_slurm_does_not_start() -> None:
    """b2luigi does with each reason of a pending job what its row says."""
    for reasons, does, _ in rows_of("slurm", "reason"):
        for reason in SPAN.findall(reasons):
            (info,) = Slurm().parse_query(Answer(0, f"7|PENDING|0||Fit-a0|a0|{reason}|\n", "")).values()
            assert REASONS[does](info), f"{reason}: {info}"


def _of_htcondor(words: str, reason: str = "no matter") -> JobInfo:
    code = re.fullmatch(r"held \(code (\d+)\)", words)
    state = {"JobStatus": 5, "HoldReasonCode": int(code[1]), "HoldReason": reason} if code else {}
    removed = {"JobStatus": 3, "RemoveReason": words.removeprefix("removed: ")}
    (info,) = (
        HTCondor()
        .parse_query(Answer(0, json.dumps([{"ClusterId": 7, "ProcId": 0, **(state or removed)}]), ""))
        .values()
    )
    return info


def _of_slurm(words: str) -> JobInfo:
    (info,) = Slurm().parse_query(Answer(0, f"7|{words}|0|n1|Fit-a0|a0|None|\n", "")).values()
    return info


def _of_lsf(words: str) -> JobInfo:
    record = {"JOBID": "7", "STAT": "EXIT", "EXIT_CODE": "130", "EXIT_REASON": f"{words}: job killed"}
    (info,) = LSF().parse_query(Answer(0, json.dumps({"RECORDS": [record]}), "")).values()
    return info


READ: Mapping[str, Callable[[str], JobInfo]] = {"htcondor": _of_htcondor, "slurm": _of_slurm, "lsf": _of_lsf}


@pytest.mark.parametrize("page", LANGUAGES)
def test_words_of_failure(page: str) -> None:
    """The cause that b2luigi sees in each word of the batch system is the one in its row."""
    causes = {cause.value: cause for cause in Cause}
    heading = {"htcondor": "HTCondor says", "slurm": "Slurm says", "lsf": "LSF says"}[page]
    rows = {tuple(SPAN.findall(words)): called for words, called, _ in rows_of(page, heading)}
    found = {word: called for words, called in rows.items() for word in words if called in causes}
    assert len(found) >= 5
    assert {word: READ[page](word).cause for word in found} == {word: causes[called] for word, called in found.items()}


def test_holds_of_htcondor_that_depend_on_their_reason() -> None:
    """A policy: what its reason is about; a person: the run waits."""
    rows = {words: called for words, called, _ in rows_of("htcondor", "HTCondor says")}
    by_policy = next(words for words, called in rows.items() if called.startswith("by what its reason is about"))
    for word in SPAN.findall(by_policy):
        reasons = ("memory above 4 GB", "runtime above an hour", "please use the other pool")
        causes = [_of_htcondor(word, reason).cause for reason in reasons]
        assert causes == [Cause.memory, Cause.time, Cause.policy]
        assert all(str(cause.value) in rows[by_policy] for cause in causes if cause)
    by_person = next(words for words, called in rows.items() if called == "nothing yet: the run waits")
    assert all(_of_htcondor(word).held for word in SPAN.findall(by_person))


# -- sentences of b2luigi


@pytest.mark.parametrize(
    ("page", "setting", "option"),
    [
        ("htcondor", "htcondor_settings", "executable"),
        ("slurm", "slurm_settings", "output"),
        ("lsf", "lsf_settings", "-o"),
    ],
)
def test_an_option_that_would_break_the_job(page: str, setting: str, option: str) -> None:
    """The sentence on the page is the one that the user gets."""
    with pytest.raises(ValueError, match=setting) as raised:
        options_of(page, **{setting: {option: "x"}})
    text = " ".join((FOLDER / f"{page}.md").read_text().split())
    assert f"`Nothing was started. Fit: {raised.value}`" in text


@pytest.mark.parametrize("page", [*LANGUAGES, "this-machine", "environment"])
def test_other_sentences_are_in_the_code(page: str) -> None:
    """What the pages quote of b2luigi is what it says."""
    code = "".join(path.read_text() for path in (ROOT / "b2luigi").rglob("*.py"))
    text = " ".join(prose(FOLDER / f"{page}.md").split())
    quoted = [one for one in QUOTED if one in text]
    assert [one for one in quoted if one not in code] == []


QUOTED = (
    "did not accept the job",
    "waits for you",
    "has not started, and cannot as things are.",
    "slots matches its requirements; none has:",
    "accepted jobs with this notice:",
    "the batch system reports:",
    "probably out of memory",
    "ended while",
    "running the env_script",
    "looking for the program",
    "cannot read the env_script",
    "and left no outcome",
)
"""Parts of messages that the pages show."""


def test_all_quotations_are_somewhere() -> None:
    """None of them is a remnant of a page that has changed."""
    text = " ".join(" ".join(prose(page) for page in FOLDER.glob("*.md")).split())
    assert [one for one in QUOTED if one not in text] == []
