"""Programs without a cluster, and clusters that do not answer: only the former may send tasks elsewhere."""

from __future__ import annotations

import pytest

from b2luigi.batch import systems
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Answer
from tests.batch.fakes import Fake
from tests.batch.systems.recorded import names, recorded

REASONS = {
    "lsf": "Failed in an LSF library call: Unable to open file lsf.conf",
    "htcondor": "Neither the environment variable CONDOR_CONFIG, /etc/condor/, /usr/local/etc/, nor ~condor/ contain a "
    "condor_config source.",
    "slurm": "Could not establish a configuration source",
}
OTHERS = [(name, text) for name in REASONS for text in names(name, "query") if text != "query-no-configuration"]


@pytest.mark.parametrize("name", REASONS)
def test_programs_without_any_configuration(name: str) -> None:
    """The language says in one line why there is no cluster, in the words of the program."""
    reason = systems.load(name).unconfigured(recorded(name, "query-no-configuration"))
    assert reason.endswith(REASONS[name])
    assert "\n" not in reason


@pytest.mark.parametrize(("name", "text"), OTHERS)
def test_every_other_answer_comes_from_a_cluster(name: str, text: str) -> None:
    """An outage, an unknown job, a garbled table: none of it says that this machine belongs to no cluster."""
    assert systems.load(name).unconfigured(recorded(name, text)) == ""


@pytest.mark.parametrize(
    ("text", "is_unconfigured"),
    [
        ("Cannot open lsf.conf file", True),
        ("lsb_init: Failed in an LSF library call: Unable to open file lsf.conf", True),
        ("bjobs: initenv_:fopen(/share/lsf/conf/lsf.conf) failed, No such file or directory.\n{}", False),
        ("bjobs: initenv_:fopen(/etc/lsf.conf) failed, Permission denied.\n{}", False),
        ("bjobs: initenv_:fopen(/etc/lsf.conf) failed, Stale file handle.\n{}", False),
        ("Bad configuration environment, something missing in lsf.conf?", False),
    ],
)
def test_a_configuration_of_lsf_that_is_out_of_reach(text: str, is_unconfigured: bool) -> None:
    """Where LSF_ENVDIR names a folder, or the file is there, a site meant this machine for its cluster."""
    words = text.format("lsb_init: Failed in an LSF library call: Unable to open file lsf.conf")
    assert bool(systems.load("lsf").unconfigured(Answer(255, "", words))) is is_unconfigured


@pytest.mark.parametrize(
    ("reason", "is_unconfigured"),
    [
        ("Unknown host", True),
        ("No address associated with name", True),
        ("Host name lookup failure", False),
        ("Unknown server error", False),
    ],
)
def test_only_a_name_server_that_answers_knows_no_cluster(reason: str, is_unconfigured: bool) -> None:
    """Sites may name the controller of Slurm in DNS: while that is down, their login nodes look unconfigured."""
    answer = recorded("slurm", "query-no-configuration")
    changed = Answer(answer.rc, "", answer.stderr.replace("Unknown host", reason))
    assert bool(systems.load("slurm").unconfigured(changed)) is is_unconfigured


def test_a_language_of_somebody_else_need_not_know() -> None:
    """Without the method its programs count as configured."""
    assert "unconfigured" not in vars(Fake)
    assert BatchSystem.unconfigured(Fake(), Answer(1, "", "no configuration")) == ""
