"""Whatever comes: text of any kind, evidence of any kind, values of any kind."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import b2luigi
from b2luigi.batch import systems
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.judge import Deliver, Evidence, Fail, Questions, Wait, judge
from b2luigi.batch.attempts.outcome import DONE, FAILED, INTERRUPTED, PENDING, Marker, Outcome
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.systems.model import Answer, AnswerError, Cause, JobInfo, JobStatus, Submitted
from b2luigi.core.job_script import JobScript, render
from b2luigi.core.paths import create_output_file_name
from b2luigi.core.settings import with_new_settings
from tests.batch.systems.recorded import a_job

EVERY = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
SOME = settings(EVERY, max_examples=25)
TEXT = st.text(max_size=60)
LINES = st.text(alphabet=st.sampled_from('0123456789|_[]{}:",.<> \nJobRECDSTAINQ'), max_size=200)
ANSWERS = st.builds(
    Answer,
    rc=st.sampled_from([0, 1, 8, 126, 127, 255, -9, -15]),
    stdout=TEXT | LINES,
    stderr=TEXT | LINES,
)
OUTCOMES = st.builds(
    Outcome,
    status=st.sampled_from([DONE, FAILED, PENDING, INTERRUPTED]),
    explanation=st.none() | TEXT | st.lists(TEXT, max_size=3),
    missing=st.lists(TEXT, max_size=2).map(tuple),
    traceback=TEXT,
    headline=TEXT,
)
SECONDS = st.sampled_from([0.0, 1.0, 59.0, 60.0, 1e6])
EVIDENCE = st.builds(
    Evidence,
    outcome=st.none() | OUTCOMES,
    marker=st.none() | st.builds(Marker, st.none() | st.integers(0, 255), st.booleans()),
    info=st.none()
    | st.builds(
        JobInfo,
        status=st.sampled_from(JobStatus),
        native=TEXT,
        exit_code=st.none() | st.integers(0, 255),
        cause=st.none() | st.sampled_from(Cause),
    ),
    gone=st.booleans(),
    started=st.booleans(),
    ended_for=SECONDS,
    outcome_for=SECONDS,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PATHS = st.text(
    alphabet=st.characters(blacklist_characters="\0/\n\r", blacklist_categories=["Cs"]), min_size=1, max_size=30
)


# -- answers of batch systems


@pytest.mark.parametrize("name", systems.OURS)
@EVERY
@given(answer=ANSWERS, number=st.integers(1, 3))
def test_no_answer_breaks_a_language(name: str, answer: Answer, number: int) -> None:
    """A query raises nothing but AnswerError, all else nothing; every job has a result; ids are words."""
    system = systems.load(name)
    jobs = [a_job(f"{n:016x}") for n in range(number)]
    stopped = system.parse_stopped_submit(replace(answer, timed_out=60.0), jobs)
    for results in (system.parse_submit(answer, jobs), stopped):
        assert len(results) == number
        assert all(isinstance(result, Submitted) for result in results)
    assert isinstance(system.parse_cancel(answer), str)
    for read in (system.parse_query, system.parse_history):
        with contextlib.suppress(AnswerError):
            known = read(answer)
            assert all(isinstance(job_id, str) and isinstance(info, JobInfo) for job_id, info in known.items())


@pytest.mark.parametrize("name", ["lsf", "slurm"])
@EVERY
@given(folders=st.lists(PATHS, min_size=1, max_size=3, unique=True))
def test_no_path_is_code_for_the_shell_of_a_batch_system(name: str, folders: list[str]) -> None:
    """Each job script is one word of the script that is submitted, whatever its folder is called."""
    system = systems.load(name)
    options = {"job_name": "", "argv": []}
    jobs = [a_job(f"{n:016x}", options, folder=f"/t/{folder}") for n, folder in enumerate(folders)]
    words = shlex.split(system.submit(jobs).stdin)
    for job in jobs:
        at = words.index(str(job.script))
        assert words[at - 1 : at + 2] == ["exec", str(job.script), job.token]
        assert str(job.report) in words


# -- the judge


@EVERY
@given(evidence=EVIDENCE, complete=st.booleans(), missing=st.lists(TEXT, max_size=2))
def test_every_verdict_rests_on_evidence(evidence: Evidence, complete: bool, missing: list[str]) -> None:
    """Nothing is called dead that may live, nothing done that is not, whatever comes together."""
    verdict = judge(evidence, Questions(lambda: complete, lambda outcome: missing))
    info, outcome, marker = evidence.info, evidence.outcome, evidence.marker
    has_result = outcome is not None and outcome.status != INTERRUPTED
    over = evidence.gone or marker is not None or (info is not None and info.status.is_final)
    if isinstance(verdict, Fail):
        assert over or (has_result and evidence.outcome_for >= evidence.grace)
        assert verdict.what
        assert verdict.advice
    if isinstance(verdict, Deliver) and verdict.outcome.status == DONE:
        ended_well = complete and not has_result
        assert (has_result and outcome is not None and outcome.status == DONE and not missing) or ended_well
    if not over and not has_result:
        assert verdict == Wait()


@EVERY
@given(evidence=EVIDENCE)
def test_in_the_end_there_is_a_verdict(evidence: Evidence) -> None:
    """A job that is surely over, for long, is not waited for any more."""
    late = Evidence(
        evidence.outcome, evidence.marker, evidence.info, True, evidence.started, ended_for=1e9, outcome_for=1e9
    )
    assert judge(late, Questions(lambda: False)) != Wait()


# -- files


@EVERY
@given(outcome=OUTCOMES)
def test_an_outcome_survives_its_file(outcome: Outcome) -> None:
    """What the node wrote is what is read."""
    assert Outcome.from_json(outcome.to_json()) == outcome


@EVERY
@given(text=TEXT | VALUES.map(json.dumps))
def test_no_text_breaks_the_reading_of_files(tmp_path: Path, text: str) -> None:
    """Outcomes, markers, records and claims may be cut short, or be something else altogether."""
    assert Outcome.from_json(text) is None or "status" in text
    assert isinstance(Marker.from_text(text), Marker)
    folder = tmp_path / "task"
    folder.mkdir(exist_ok=True)
    (folder / "attempt-1.json").write_bytes(text.encode(errors="surrogatepass"))
    assert Record.last(folder)[0] == 1
    (folder / "claims").write_bytes(text.encode(errors="surrogatepass"))
    assert isinstance(Inbox(folder).claims(), tuple)


@pytest.mark.parametrize("shell", ["bash", "dash"])
@SOME
@given(value=st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40))
def test_no_value_is_code_for_the_job_script(tmp_path: Path, shell: str, value: str) -> None:
    """Of an environment variable, of a word of the command, of a folder: it arrives as it is."""
    script = JobScript(
        "T_1", ["printf", "%s", value], shell=shell, env={"VALUE": value}, home=str(tmp_path), inbox=None
    )
    path = tmp_path / "job.sh"
    path.write_text(render(script).replace("printf %s", 'printf %s%s "$VALUE"'))
    path.chmod(0o700)
    done = subprocess.run([path], capture_output=True, cwd=tmp_path)
    assert done.stdout.decode() == value * 2


# -- settings and paths


@EVERY
@given(value=VALUES)
def test_a_setting_is_what_was_set(value: Any) -> None:
    """And changing what was handed out changes nothing."""
    with with_new_settings():
        b2luigi.set_setting("of_mine", value)
        found = b2luigi.get_setting("of_mine")
        assert found == value
        if isinstance(found, list | dict):
            found.clear()
            assert b2luigi.get_setting("of_mine") == value


class Named(b2luigi.Task):
    """A task whose folder is named after a text."""

    text = b2luigi.Parameter()
    hashed = b2luigi.Parameter(hashed=True)


@EVERY
@given(text=st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=60), hashed=TEXT)
def test_no_parameter_leads_out_of_its_folder(text: str, hashed: str) -> None:
    """A value is the name of one folder below the results, or is refused with the name of the parameter."""
    task = Named(text=text, hashed=hashed)
    if os.path.basename(text) != text or "\0" in text or len(os.fsencode(f"text={text}")) > 255:
        with pytest.raises(ValueError, match="the parameter 'text'"):
            create_output_file_name(task, "out.txt", result_dir="/results")
        return
    if text in (".", ".."):
        return
    path = create_output_file_name(task, "out.txt", result_dir="/results")
    folders = Path(path).relative_to("/results").parts
    assert len(folders) == 3
    assert folders[0] == f"text={text}"
    assert os.path.normpath(path) == path
