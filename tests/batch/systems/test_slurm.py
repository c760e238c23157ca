"""The language of Slurm: what it says, and how it reads what its recorded answers do not show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from b2luigi.batch.systems.listings import Listing
from b2luigi.batch.systems.model import (
    Accepted,
    Answer,
    AnswerError,
    Cause,
    Command,
    JobInfo,
    JobStatus,
    Refused,
    Submitted,
    TooMany,
    TryLater,
    Unsure,
)
from b2luigi.batch.systems.slurm import OPEN_TRIES, Slurm
from tests.batch.systems.recorded import a_job, recorded


def settings(**values: Any) -> Callable[[str], Any]:
    return lambda key: {"job_name": "", "slurm_settings": {}, **values}[key]


def submit(jobs: int = 1, **values: Any) -> Command:
    options = Slurm().options(settings(**values))
    return Slurm().submit([a_job(f"a{n}", options, folder=f"/t/my 'task' {n}") for n in range(jobs)])


def result(stderr: str, rc: int = 1, jobs: int = 1) -> Submitted:
    return Slurm().parse_submit(Answer(rc, "", stderr), [a_job()] * jobs)[0]


def listing(job_id: str, state: str, exit_code: str = "0", reason: str = "None") -> str:
    """One row as squeue prints it."""
    return f"{job_id}|{state}|{exit_code}|n1|job-abc|abc|{reason}|\n"


def row(state: str, exit_code: str = "0", reason: str = "None", job_id: str = "7") -> JobInfo:
    (info,) = Slurm().parse_query(Answer(0, listing(job_id, state, exit_code, reason), "")).values()
    return info


# -- what it says


def test_a_job_is_submitted_by_its_script() -> None:
    """The job script with its token, whatever signs its path has; the comment makes it found again."""
    command = submit()
    assert command.argv[:4] == ("sbatch", "--parsable", "--job-name=job-a0", "--comment=a0")
    assert command.stdin == (
        "#!/bin/sh\nexec '/t/my '\"'\"'task'\"'\"' 0/executable_wrapper.sh' a0"
        " > '/t/my '\"'\"'task'\"'\"' 0/batch.log' 2>&1\n"
    )


def test_equal_jobs_are_an_array() -> None:
    """Each element finds its own script by its index."""
    command = submit(jobs=3)
    assert "--array=0-2" in command.argv
    lines = command.stdin.splitlines()
    assert lines[1] == 'case "$SLURM_ARRAY_TASK_ID" in'
    assert [line.split()[0] for line in lines[2:5]] == ["0)", "1)", "2)"]
    assert all(f" a{n} > " in line for n, line in enumerate(lines[2:5]))


def test_options_are_sbatchs_own() -> None:
    """Long and short names, with and without leading dashes; None and False leave an option out."""
    given = {"partition": "long", "--mem": "4G", "-n": 2, "exclusive": True, "qos": None, "requeue": False, "H": True}
    argv = submit(slurm_settings=given).argv
    assert argv[5:] == ("--partition=long", "--mem=4G", "-n2", "--exclusive", "-H")


@pytest.mark.parametrize(
    ("key", "means"),
    [
        *[(name, "") for name in ("array", "--comment", "output", "wait", "wrap", "parsable", "help", "--version")],
        *[("-o", "output"), ("e", "error"), ("W", "wait"), ("a", "array"), ("h", "help"), ("V", "version")],
        *[("arra", "array"), ("--wra", "wrap"), ("outp", "output"), ("inp", "input"), ("usag", "usage")],
        *[("test-onl", "test-only"), ("test_only", "test-only"), ("WRAP", "wrap"), ("pars", "parsable")],
        ("com", "com"),  # comment, or a newer option: nobody knows
    ],
)
def test_options_that_would_break_the_job_are_refused_however_they_are_spelled(key: str, means: str) -> None:
    """sbatch accepts each unique beginning of an option; the message names the key and what it means."""
    with pytest.raises(ValueError, match=f"slurm_settings has the option '{key}'.*please remove it") as caught:
        submit(slurm_settings={key: "x"})
    assert not means or means == key or f"means --{means}" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("part", "--partition=x"),
        ("Time", "--time=x"),
        ("mail_type", "--mail-type=x"),
        ("constraint", "--constraint=x"),
        ("time", "--time=x"),  # and not --time-min
        ("container", "--container=x"),
        ("brand-new", "--brand-new=x"),
        ("N", "-Nx"),
    ],
)
def test_other_options_may_be_spelled_in_any_way(key: str, word: str) -> None:
    """They are resolved as sbatch does; an option of a newer release is handed on as it is."""
    assert submit(slurm_settings={key: "x"}).argv[-1] == word


@pytest.mark.parametrize("key", ["a b", "", "mem;rm", "x\ny"])
def test_a_key_that_is_no_option_is_refused(key: str) -> None:
    """Before anything is submitted, with the key."""
    with pytest.raises(ValueError, match="not an option of sbatch"):
        submit(slurm_settings={key: "x"})


def test_the_users_own_variables_change_nothing() -> None:
    """SQUEUE_FORMAT and its kin would change what the answers look like, SBATCH_WAIT how long they take."""
    taken_away = {name for name, value in Slurm().query(["1"]).env.items() if value is None}
    assert {"SQUEUE_*", "SBATCH_WAIT", "SBATCH_ARRAY_INX", "SBATCH_INPUT", "SCANCEL_*", "SLURM_CLUSTERS"} <= taken_away


# -- which cluster


def test_the_cluster_is_asked_for_its_name() -> None:
    """One command per run; a controller that does not answer is asked again."""
    command = Slurm().ask_server([])
    assert command is not None
    assert command.argv == ("scontrol", "show", "config")
    config = "Configuration data as of 2026-11-25T18:06:30\nClusterName             = north\nCompleteWait = 0 sec\n"
    assert Slurm().parse_server([Answer(0, config, "")]) == "north"
    with pytest.raises(AnswerError, match="Unable to contact"):
        Slurm().parse_server([Answer(1, "", "slurm_load_ctl_conf error: Unable to contact slurm controller")])


def test_another_cluster_is_named_in_each_command() -> None:
    """Jobs of an earlier run that belong to it: `-M` needs Slurm's accounting, and is used only then."""
    other = Slurm().at("south")
    assert isinstance(other, Slurm)
    commands = [
        other.query(["7"]),
        other.find([a_job()]),
        other.cancel(["7"]),
        other.history(["7"]),
        other.ask_server([]),
    ]
    assert [command.argv[:3] for command in commands if command] == [
        ("squeue", "-M", "south"),
        ("squeue", "-M", "south"),
        ("scancel", "-M", "south"),
        ("sacct", "-M", "south"),
        ("scontrol", "-M", "south"),
    ]


@pytest.mark.parametrize("key", ["clusters", "M", "cluster", "CLUSTERS", "--clusters"])
def test_the_users_cluster_is_where_the_job_goes(key: str) -> None:
    """`clusters` in slurm_settings, however it is spelled."""
    system = Slurm()
    job = a_job("a", system.options(settings(slurm_settings={key: "south"})))
    assert system.aim(job) == "south"
    assert system.submit([job]).argv[-1] in ("--clusters=south", "--cluster=south", "-Msouth")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_CLUSTERS": "south"}, "south"),
        ({"SBATCH_CLUSTERS": "west", "SLURM_CLUSTERS": "south"}, "west"),
        ({"SLURM_CLUSTERS": ""}, ""),
        ({}, ""),
    ],
)
def test_the_users_variable_is_where_the_job_goes(variables: dict[str, str], expected: str) -> None:
    """`module swap cluster/south` sets SLURM_CLUSTERS; the setting of a task wins."""
    system = Slurm(environment=variables)
    assert system.aim(a_job("a", system.options(settings()))) == expected
    own = a_job("a", system.options(settings(slurm_settings={"clusters": "north"})))
    assert system.aim(own) == "north"


def test_submissions_keep_the_users_choice() -> None:
    """Account, partition, cluster: what sbatch reads from the environment, it reads."""
    taken_away = {name for name, value in submit().env.items() if value is None}
    assert not taken_away & {"SLURM_CLUSTERS", "SBATCH_CLUSTERS", "SBATCH_ACCOUNT", "SBATCH_PARTITION", "SLURM_CONF"}
    assert {"SBATCH_INPUT", "SBATCH_OUTPUT", "SBATCH_ERROR", "SBATCH_WAIT"} <= taken_away


def test_a_search_in_several_clusters_tells_their_numbers_apart() -> None:
    """Number 7 of one is not number 7 of the other."""
    several = Slurm().at("north,south")
    assert isinstance(several, Slurm)
    assert "Cluster:|" in several.find([a_job()]).argv[-1]
    text = "7|north|RUNNING|0|n1|job-abc|abc|None|\n7|south|RUNNING|0|n1|job-def|def|None|\n"
    known = several.parse_query(Answer(0, text, ""))
    assert {job_id: info.token for job_id, info in known.items()} == {"7;north": "abc", "7;south": "def"}
    assert several.ask_server([]) is None


# -- labels


@pytest.mark.parametrize(
    ("name", "comment"),
    [("job-abc", "site: billed to alpha"), ("renamed", "abc"), ("job-abc", "(null)"), ("job-abc", "1234")],
)
def test_name_or_comment_proves_the_job(name: str, comment: str) -> None:
    """A site's job_submit.lua writes a comment of its own, `scontrol update` another name: either one is enough."""
    (info,) = Slurm().parse_query(Answer(0, f"7_2|RUNNING|0|n1|{name}|{comment}|None|\n", "")).values()
    assert info.is_called("abc_2")
    assert not info.is_called("abc")


def test_elements_are_cancelled_together() -> None:
    """One word for all elements of an array; ten times as fast as one by one."""
    argv = Slurm().cancel(["7_3", "9", "7_5", "8_1"]).argv
    assert argv == ("scancel", "7_[3,5]", "9", "8_[1]")


# -- how it reads submissions


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Unable to contact slurm controller (connect failure)", TryLater),
        ("Resource temporarily unavailable", TryLater),
        ("Socket timed out on send/recv operation", Unsure),
        ("Zero Bytes were transmitted or received", Unsure),
        ("Invalid account or account/partition combination specified", Refused),
        ("Requested node configuration is not available", Refused),
    ],
)
def test_what_is_wrong_is_in_the_words(words: str, kind: type[Submitted]) -> None:
    """Some of it passes, some of it leaves doubts, the rest is for the user to correct."""
    assert isinstance(result(f"sbatch: error: Batch job submission failed: {words}"), kind)


POLICY = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        *[(name, TryLater) for name in ("QOSMaxSubmitJobPerUserLimit", "AssocMaxSubmitJobLimit")],
        *[(name, TryLater) for name in ("AssocGrpSubmitJobsLimit", "QOSGrpSubmitJobsLimit")],
        *[(name, Refused) for name in ("QOSMaxWallDurationPerJobLimit", "AssocMaxNodePerJobLimit")],
        *[
            (name, Refused)
            for name in ("QOSMaxCpuPerUserLimit", "QOSMinCpuNotSatisfied", "AssocMaxWallDurationPerJobLimit")
        ],
    ],
)
def test_the_name_of_a_limit_decides_whether_waiting_helps(limit: str, expected: type[Submitted]) -> None:
    """The sentence after it is the same for all limits of accounts and QOS."""
    words = f"sbatch: error: {limit}\nsbatch: error: Batch job submission failed: {POLICY}"
    assert result(words) == expected(words)


@pytest.mark.parametrize("limit", ["sbatch: error: AssocGrpCpuLimit\n", "sbatch: error: QOSGrpMemLimit\n", ""])
def test_a_limit_that_may_or_may_not_pass_is_tried_a_few_times(limit: str) -> None:
    """A limit of a group depends on what others run; older releases do not name the limit."""
    words = f"{limit}sbatch: error: Batch job submission failed: {POLICY}"
    assert result(words) == TryLater(words, OPEN_TRIES)


def test_an_array_that_is_too_large_for_the_site_is_sent_again_in_parts() -> None:
    """A single job that is refused with the same words would be refused for ever."""
    words = recorded("slurm", "submit-array-too-large").stderr
    assert isinstance(result(words, jobs=40), TooMany)
    assert isinstance(result(words), Refused)


def test_the_name_of_a_cluster_may_follow_the_id() -> None:
    """On a federation; and plugins of a site may say something before."""
    answer = Answer(0, "Welcome to our site\n17;north\n", "")
    assert Slurm().parse_submit(answer, [a_job()]) == [Accepted("17", "north")]
    assert Slurm().parse_submit(answer, [a_job()] * 2) == [Accepted("17_0", "north"), Accepted("17_1", "north")]


# -- how it reads states


@pytest.mark.parametrize(
    ("state", "status", "cause"),
    [
        ("OUT_OF_MEMORY", JobStatus.aborted, Cause.memory),
        ("DEADLINE", JobStatus.aborted, Cause.time),
        ("PREEMPTED", JobStatus.aborted, Cause.infrastructure),
        ("BOOT_FAIL", JobStatus.aborted, Cause.infrastructure),
        ("COMPLETING", JobStatus.running, None),
        ("CONFIGURING", JobStatus.idle, None),
        ("SPECIAL_EXIT", JobStatus.idle, None),
        ("REVOKED", JobStatus.running, None),
    ],
)
def test_states_that_could_not_be_recorded(state: str, status: JobStatus, cause: Cause | None) -> None:
    """From the manual page of squeue; what is not known to be an end is none."""
    info = row(state)
    assert (info.status, info.cause) == (status, cause)


@pytest.mark.parametrize(
    ("reason", "held"),
    [
        ("JobHeldAdmin", True),
        ("BadConstraints", True),
        ("InvalidQOS", True),
        ("AccountNotAllowed", True),
        ("QOSMaxCpuPerJobLimit", True),
        ("QOSMaxJobsPerUserLimit", False),
        ("Priority", False),
        ("Resources", False),
        ("None", False),
    ],
)
def test_a_job_that_waits_for_ever_is_held(reason: str, held: bool) -> None:
    """Reasons that only a person can remove; a running job waits for nobody, whatever its reason says."""
    assert row("PENDING", reason=reason).held is held
    assert not row("RUNNING", reason=reason).held


@pytest.mark.parametrize("reason", ["launch failed requeued held", "JobHoldMaxRequeue"])
def test_a_job_that_slurm_itself_holds_is_lost(reason: str) -> None:
    """Its node failed, or could not start it: no person is asked to release it; it is cancelled and retried."""
    info = row("PENDING", reason=reason)
    assert (info.status, info.cause, info.lingers) == (JobStatus.aborted, Cause.infrastructure, True)
    assert not info.held


@pytest.mark.parametrize(
    ("reason", "shown"), [("AssocGrpCpuLimit", True), ("QOSGrpMemLimit", True), ("Priority", False)]
)
def test_a_limit_that_others_fill_is_shown(reason: str, shown: bool) -> None:
    """The job waits until others of the same account or QOS are done."""
    info = row("PENDING", reason=reason)
    assert (info.held, bool(info.notice)) == (False, shown)


NOTICE = "*** Maintenance | on Monday ***\n"


def test_notices_beside_a_listing_do_not_hide_it() -> None:
    """Before, between and behind the rows; a notice alone is an empty listing, a failure is none."""
    line = listing("7", "RUNNING")
    stdout = f"{NOTICE}{line}{NOTICE}{listing('8', 'RUNNING')}{NOTICE}"
    known = Slurm().parse_query(Answer(0, stdout, ""))
    assert set(known) == {"7", "8"}
    assert Slurm().parse_query(Answer(0, NOTICE, "")) == {}
    with pytest.raises(AnswerError):
        Slurm().parse_query(Answer(0, "slurm_load_jobs error: Unable to contact slurm controller\n", ""))


def test_a_torn_row_proves_that_its_job_is_there() -> None:
    """Its state is unknown; of all other jobs the listing says the truth."""
    known = Slurm().parse_query(Answer(0, listing("7", "RUNNING") + "8|RUNNI\n", ""))
    assert isinstance(known, Listing)
    assert (set(known), known.may_have("8"), known.may_have("9")) == ({"7"}, True, False)


def test_other_jobs_of_the_user_do_not_get_in_the_way() -> None:
    """Comments of their own may hold anything, even line breaks and bars."""
    text = "3|RUNNING|0|n1|x|my | comment|None|\n4|RUNNING|0|n1|x|two\nlines|None|\n7|COMPLETED|0|n1|x-abc|abc|None|\n"
    known = Slurm().parse_query(Answer(0, text, ""))
    assert known["7"] == JobInfo(JobStatus.successful, "COMPLETED", 0, token="abc", node="n1")
    assert "4" not in known


def test_an_array_that_waits_as_a_whole_is_no_job_of_ours() -> None:
    """sacct shows it in one row; of its elements nothing is known then."""
    assert Slurm().parse_history(Answer(0, "7_[0-9]|PENDING|0:0|None assigned|job-abc\n", "")) == {}


def test_newer_squeues_may_show_exit_codes_like_sacct() -> None:
    """3:0 and 0:9 as well as 768 and 9; anything else is no exit code."""
    assert [row("FAILED", code).exit_code for code in ("768", "9", "3:0", "0:9", "N/A")] == [3, 137, 3, 137, None]
