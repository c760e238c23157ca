"""The language of LSF: what it says, and how it reads what its recorded answers do not show."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from b2luigi.batch.systems.listings import Listing
from b2luigi.batch.systems.lsf import LSF
from b2luigi.batch.systems.model import (
    Accepted,
    Answer,
    AnswerError,
    Cause,
    Command,
    JobSpec,
    JobStatus,
    Refused,
    Submitted,
    TryLater,
    Unsure,
)
from tests.batch.systems.recorded import a_job, recorded

BUSY = "LSF is processing your request. Please wait ...\n"
TAKEN = "Job <12> is submitted to queue <s>.\n"


def settings(**values: Any) -> Callable[[str], Any]:
    return lambda key: {"job_name": "", "queue": None, "job_slots": None, "lsf_settings": {}, **values}[key]


def submit(job: JobSpec | None = None, **values: Any) -> Command:
    job = job or a_job("abc", LSF().options(settings(**values)))
    return LSF().submit([job])


def result(stdout: str = "", stderr: str = "", rc: int = 255, **more: Any) -> Submitted:
    (found,) = LSF().parse_submit(Answer(rc, stdout, stderr, **more), [a_job()])
    return found


def records(*found: dict[str, str], rc: int = 0, before: str = "") -> Answer:
    return Answer(rc, before + json.dumps({"COMMAND": "bjobs", "JOBS": len(found), "RECORDS": found}), "")


def info(**record: str) -> Any:
    (found,) = LSF().parse_query(records({"JOBID": "7", **record})).values()
    return found


# -- what it says


@pytest.mark.parametrize("text", ["a\n#BSUB -P other\nb", "a\rb"])
def test_a_path_that_bsub_would_read_options_from_is_refused(text: str) -> None:
    """bsub takes its options from lines of the script, wherever quotes begin and end."""
    job = JobSpec("a1", "n", Path(f"/{text}/executable_wrapper.sh"), Path(f"/{text}"), Path("/l"), Path("/i"))
    with pytest.raises(ValueError, match="task_file_dir"):
        LSF().check(job)


def test_submission() -> None:
    """The job script goes in by stdin with its token, and its own output ends up in the report of the job."""
    command = submit(a_job("abc", LSF().options(settings(queue="s", job_slots=4)), folder="/t/a folder"))
    assert command.argv[:5] == ("bsub", "-env", "all", "-J", "job-abc")
    assert command.argv[-4:] == ("-q", "s", "-n", "4")
    assert command.stdin.startswith("#!/bin/sh\nexec '/t/a folder/executable_wrapper.sh' abc")
    assert "/t/a folder/batch.log" in command.stdin + " ".join(command.argv)


def test_variables() -> None:
    """Each command gives up when the daemon is down, and bsub writes the line with the job id to its stdout."""
    for command in (submit(), LSF().query(["1"]), LSF().cancel(["1"]), LSF().find([a_job()])):
        assert command.env["LSB_NTRIES"] == "1"
    assert submit().env["BSUB_*"] is None


def test_the_cluster_is_asked_for_its_name() -> None:
    """LSF's commands reach one cluster only: jobs of another one are waited for."""
    command = LSF().ask_server([])
    assert command is not None
    assert command.argv == ("lsid",)
    text = "IBM Spectrum LSF Standard 10.1.0.13\nCopyright\n\nMy cluster name is north\nMy master name is hostA\n"
    assert LSF().parse_server([Answer(0, text, "")]) == "north"
    with pytest.raises(AnswerError, match="LSF is down"):
        LSF().parse_server([Answer(255, "", "lsid: LSF is down")])
    assert LSF().at("south") is None


@pytest.mark.parametrize(
    ("name", "description"),
    [("job-abc", "-"), ("renamed", "abc"), ("*ut-short", "abc"), ("job-abc", "the user's own")],
)
def test_name_or_description_proves_the_job(name: str, description: str) -> None:
    """`bmod -J` and wrappers write names of their own."""
    record = {"JOBID": "7", "JOBINDEX": "2", "STAT": "RUN", "JOB_NAME": name, "JOB_DESCRIPTION": description}
    (info,) = LSF().parse_query(Answer(0, json.dumps({"RECORDS": [record]}), "")).values()
    assert info.is_called("abc[2]")


def test_query() -> None:
    """One bjobs asks for all jobs by id, finished ones too, whatever their queue, in JSON."""
    argv = LSF().query(["1", "2"]).argv
    assert argv[:4] == ("bjobs", "-a", "-json", "-o")
    assert argv[-2:] == ("1", "2")
    assert "-q" not in argv


def test_search() -> None:
    """A search asks for all jobs, with the names that hold the tokens."""
    argv = LSF().find([a_job()]).argv
    assert argv[:3] == ("bjobs", "-a", "-json")
    assert "job_name" in argv[-1]


def test_no_history() -> None:
    """bhist is slow and may hang: it is never asked."""
    assert LSF().history(["1"]) is None


def test_brackets_in_a_name() -> None:
    """A name with square brackets does not become an array of jobs."""
    job = a_job("abc", LSF().options(settings()))
    named = JobSpec(job.token, "x[1-3]-abc", job.script, job.folder, job.log_folder, job.inbox, job.options)
    assert submit(named).argv[4] == "x(1-3)-abc"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"queue": "s"}, ["-q", "s"]),
        ({"queue": "a b"}, ["-q", "a b"]),
        ({"queue": None}, []),
        ({"queue": False}, []),
        ({"queue": ""}, []),
        ({"job_slots": 4}, ["-n", "4"]),
        ({"job_slots": "2,4"}, ["-n", "2,4"]),
        ({"job_slots": False}, []),
        ({"lsf_settings": {"W": "1:00"}}, ["-W", "1:00"]),
        ({"lsf_settings": {"-W": 60}}, ["-W", "60"]),
        ({"lsf_settings": {"x": True}}, ["-x"]),
        ({"lsf_settings": {"x": False, "P": None}}, []),
        (
            {"lsf_settings": {"R": ["rusage[mem=1]", 'select[type=="any"]']}},
            ["-R", "rusage[mem=1]", "-R", 'select[type=="any"]'],
        ),
        ({"lsf_settings": None}, []),
    ],
)
def test_options(values: dict[str, Any], words: list[str]) -> None:
    """Settings become options of bsub, one by one; unset ones are omitted."""
    assert LSF().options(settings(**values))["argv"] == words


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"queue": True}, "queue"),
        ({"queue": ["s"]}, "queue"),
        ({"job_slots": 1.5}, "job_slots"),
        ({"lsf_settings": {"R": {"mem": 1}}}, "lsf_settings.*R"),
        ({"lsf_settings": {"W x": 1}}, "W x"),
        ({"lsf_settings": {"": 1}}, "lsf_settings"),
        *[
            ({"lsf_settings": {key: "x"}}, f"lsf_settings has the option '{key}'.*please remove it")
            for key in ("J", "oo", "o", "e", "eo", "-env", "I", "ISp", "K", "pack", "H", "h", "V", "json", "--env")
        ],
    ],
)
def test_options_that_cannot_work(values: dict[str, Any], named: str) -> None:
    """What bsub would misread, or b2luigi needs for itself, is refused with the name of the setting."""
    with pytest.raises(ValueError, match=named):
        LSF().options(settings(**values))


# -- submissions


@pytest.mark.parametrize(
    ("stdout", "stderr"),
    [
        (TAKEN, ""),
        ("", TAKEN),
        ("Job is submitted to <cpp> project.\nGeneric job.\n" + TAKEN, ""),
        ("Default of 4000 MB used, see <http://site/7>\n" + TAKEN, ""),
        (BUSY * 3 + TAKEN, ""),
        (TAKEN, BUSY * 3),
        ("  " + TAKEN, ""),
        ("Job <12> is submitted to default queue <normal>.", ""),
    ],
)
def test_the_id_is_read_from_its_line(stdout: str, stderr: str) -> None:
    """The id is in its own line, on either stream, whatever site hooks and busy notices say before it."""
    assert result(stdout, stderr, rc=0) == Accepted("12")


def test_the_id_counts_even_if_the_command_was_stopped() -> None:
    """A job whose id was read is submitted, whatever became of bsub."""
    stopped = Answer(-9, TAKEN, "", timed_out=60.0)
    assert LSF().parse_stopped_submit(stopped, [a_job()]) == [Accepted("12")]


REJECTED = "nosuch: No such queue. Job not submitted."
DOWN = "Connection refused by server. Job not submitted."


@pytest.mark.parametrize(
    ("stderr", "rc", "kind"),
    [
        (REJECTED, 255, Refused),
        (REJECTED, 0, Refused),
        ("A word of the esub\nRequest aborted by esub. Job not submitted.", 255, Refused),
        ("Service class does not exist. Job not submitted.", 255, Refused),
        ("12: No matching job found. Job not submitted.", 255, Refused),
        ("bsub: illegal option -- zzz\nUsage: bsub ...", 255, Refused),
        (BUSY + REJECTED, 255, Refused),
        ("LSF is down. Please wait ...\n" + REJECTED, 255, Refused),
        (DOWN, 255, TryLater),
        ("Cannot connect to LSF. Please wait ...", 255, TryLater),
        ("batch system daemon not responding ... still trying", 255, TryLater),
        ("LSF daemon (LIM) not responding ... still trying", 255, TryLater),
        ("Batch system concurrent query limit exceeded", 255, TryLater),
        ("User <u>: Pending job threshold reached. Job not submitted.", 255, TryLater),
        ("Failed in an LSF library call: Communication timeout", 255, Unsure),
        ("Contacting batch daemon: Communication timeout", 255, Unsure),
        ("LSF is down. Please wait ...\nFailed in sending/receiving a message: Connection reset by peer", 255, Unsure),
        ("", 255, Unsure),
        ("", 0, Unsure),
        ("", -15, Unsure),
    ],
)
def test_what_bsub_says_without_an_id(stderr: str, rc: int, kind: type) -> None:
    """bsub exits with 255 for everything; its output distinguishes a refusal, an outage and a lost answer."""
    found = result("", stderr, rc)
    assert type(found) is kind
    assert not isinstance(found, Accepted)
    assert stderr.strip() in found.text


def test_a_stopped_bsub_is_unsure_whatever_it_printed() -> None:
    """A bsub that was stopped while it waited for a daemon may have been heard."""
    stopped = Answer(-9, "", "LSF is down. Please wait ...", timed_out=60.0)
    assert LSF().parse_stopped_submit(stopped, [a_job()]) == [Unsure("no answer within 60 s")]


# -- queries


@pytest.mark.parametrize(
    ("stat", "status"),
    [
        ("PEND", JobStatus.idle),
        ("PSUSP", JobStatus.idle),
        ("WAIT", JobStatus.idle),
        ("PROV", JobStatus.idle),
        ("RUN", JobStatus.running),
        ("SSUSP", JobStatus.running),
        ("USUSP", JobStatus.running),
        ("UNKWN", JobStatus.running),
        ("ZOMBI", JobStatus.running),
        ("DONE", JobStatus.successful),
        ("EXIT", JobStatus.aborted),
    ],
)
def test_states(stat: str, status: JobStatus) -> None:
    """Only DONE and EXIT are the end: a lost host, a suspension or a word we do not know is none."""
    assert info(STAT=stat).status is status
    assert info(STAT=stat).native.partition(":")[0] == stat


@pytest.mark.parametrize("stat", ["PEND", "PSUSP", "WAIT", "PROV", "RUN", "SSUSP", "USUSP", "UNKWN", "DONE", "EXIT"])
def test_what_only_a_person_ends(stat: str) -> None:
    """A job stopped by a person (bstop, bsub -H) counts as held, with advice how to resume it; SSUSP ends by itself."""
    held = stat in ("PSUSP", "USUSP")
    assert info(STAT=stat).held is held
    assert ("bresume" in info(STAT=stat).native) is held


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        *[(word, Cause.cancelled) for word in ("OWNER", "ADMIN", "FORCE_OWNER", "FORCE_ADMIN", "BUCKET_KILL")],
        *[(word, Cause.memory) for word in ("MEMLIMIT", "SWAP")],
        *[(word, Cause.time) for word in ("RUNLIMIT", "CPULIMIT", "DEADLINE", "WINDOW")],
        *[(word, Cause.infrastructure) for word in ("PREEMPT", "LOAD", "ZOMBIE", "REQUEUE_OWNER", "REQUEUE_ADMIN")],
        ("REMOVE_HUNG_JOB", Cause.infrastructure),
        *[(word, None) for word in ("UNKNOWN", "OTHER", "EXTERNAL_SIGNAL", "CHKPNT", "PROCESSLIMIT", "NEW_IN_LSF_12")],
    ],
)
def test_causes(reason: str, cause: Cause | None) -> None:
    """The keyword of EXIT_REASON gives the cause, and its text is shown."""
    found = info(STAT="EXIT", EXIT_CODE="130", EXIT_REASON=f"TERM_{reason}: some words")
    assert found.cause is cause
    assert found.native == f"EXIT: TERM_{reason}: some words"


@pytest.mark.parametrize(
    ("stat", "code", "expected"),
    [
        ("DONE", "", 0),
        ("DONE", "-", 0),
        ("DONE", "0", 0),
        ("EXIT", "3", 3),
        ("EXIT", "137", 137),
        ("EXIT", "", None),
        ("EXIT", "-", None),
        ("EXIT", "9" * 5000, None),
        ("RUN", "", None),
        ("PEND", "17", None),
    ],
)
def test_exit_codes(stat: str, code: str, expected: int | None) -> None:
    """A successful job has exit code 0, although bjobs shows none then; a requeued job has not ended."""
    assert info(STAT=stat, EXIT_CODE=code).exit_code == expected


def test_a_requeued_job_has_no_cause() -> None:
    """Why its last run ended says nothing of a job that waits for the next."""
    assert info(STAT="PEND", EXIT_REASON="TERM_REQUEUE_ADMIN: requeued").cause is None


@pytest.mark.parametrize(
    ("host", "node"), [("", None), ("-", None), ("hostA", "hostA"), ("hostA:hostA", "hostA"), ("4*hostA", "4*hostA")]
)
def test_node(host: str, node: str | None) -> None:
    """The first host of a job is where it runs."""
    assert info(STAT="RUN", EXEC_HOST=host).node == node


@pytest.mark.parametrize(
    ("name", "token"),
    [("job-abc", "abc"), ("a-b-abc", "abc"), ("stranger", "stranger"), ("", None), ("*ob-abc", None), ("*c", None)],
)
def test_token(name: str, token: str | None) -> None:
    """The token ends the name of a job; a name that bjobs cut does not speak against a job."""
    assert info(STAT="RUN", JOB_NAME=name).token == token


@pytest.mark.parametrize(
    ("job_id", "index", "expected"),
    [("121", "0", "121"), ("121", "", "121"), ("121", "-", "121"), ("121", "2", "121[2]"), ("121[2]", "2", "121[2]")],
)
def test_elements_of_an_array(job_id: str, index: str, expected: str) -> None:
    """Elements of one array are jobs of their own, in both ways in which a site may show them."""
    assert list(LSF().parse_query(records({"JOBID": job_id, "JOBINDEX": index, "STAT": "RUN"}))) == [expected]


def test_the_known_are_read_beside_the_unknown() -> None:
    """bjobs exits with 255 if one id is unknown, but still lists the others."""
    answer = records({"JOBID": "7", "STAT": "RUN"}, {"JOBID": "8", "ERROR": "Job <8> is not found"}, rc=255)
    assert set(LSF().parse_query(answer)) == {"7"}


def test_notices_around_the_document() -> None:
    """Busy notices before the document do not hide it."""
    assert set(LSF().parse_query(records({"JOBID": "7", "STAT": "RUN"}, before=BUSY))) == {"7"}


def test_a_line_break_in_a_name() -> None:
    """A stranger's job with a line break in its name does not hide the others."""
    text = '{"RECORDS": [{"JOBID": "7", "STAT": "RUN", "JOB_NAME": "a\nb-abc"}]}'
    assert LSF().parse_query(Answer(0, text, ""))["7"].token == "abc"


def test_a_document_without_records() -> None:
    """An empty document says that no job is known."""
    assert LSF().parse_query(records()) == {}


@pytest.mark.parametrize(
    "text",
    [
        "Job <999> is not found",
        "Job <999> is not found\nJob <121[2]> is not found",
        "No job found",
        "No unfinished job found",
        "No DONE/EXIT job found",
        "No matching job found",
    ],
)
def test_words_for_unknown_jobs(text: str) -> None:
    """ "Not found" without other output means that none of the jobs is known any more."""
    assert LSF().parse_query(Answer(255, "", text)) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Failed in an LSF library call: Failed in sending/receiving a message: Connection reset by peer",
        "LSF is down. Please wait ...\nJob <999> is not found",
        "bjobs: illegal option -- j\nUsage: bjobs ...",
        "bjobs: command not found",
    ],
)
@pytest.mark.parametrize("rc", [0, 255])
def test_words_that_say_nothing(text: str, rc: int) -> None:
    """An empty answer is none, even if bjobs ends with 0; nor is trouble with the daemon."""
    with pytest.raises(AnswerError):
        LSF().parse_query(Answer(rc, "", text))


NOTICE = "*** Maintenance {on Monday} ***\n"
RECORD = '{"JOBID": "%s", "STAT": "RUN", "JOB_NAME": "x-abc"}'
ANSWER = '{\n"COMMAND": "bjobs",\n"RECORDS": [\n%s\n]\n}\n'


def test_notices_beside_an_answer_do_not_hide_it() -> None:
    """Before and behind the JSON, with braces of their own."""
    known = LSF().parse_query(Answer(0, f"{NOTICE}{ANSWER % (RECORD % 7)}{NOTICE}", ""))
    assert isinstance(known, Listing)
    assert (set(known), known.may_have("8")) == ({"7"}, False)


def test_notices_beside_unknown_jobs_are_no_jobs() -> None:
    """What bjobs says of jobs that it has forgotten."""
    assert LSF().parse_query(Answer(255, "", "Welcome to our site\nJob <7> is not found\n")) == {}


def test_an_answer_that_was_cut_proves_no_absence() -> None:
    """The records that are whole are there; the others may be in the rest."""
    cut = (ANSWER % f"{RECORD % 7},\n{RECORD % 8}")[:-25]
    known = LSF().parse_query(Answer(0, cut, ""))
    assert isinstance(known, Listing)
    assert (set(known), known.may_have("8")) == ({"7"}, True)


# -- cancellations


@pytest.mark.parametrize(
    ("stderr", "rc", "left"),
    [
        ("", 0, ""),
        ("LSF is down. Please wait ...", 0, ""),
        ("LSF is down. Please wait ...\nJob <2>: Job has already finished", 255, ""),
        (
            "Job <2>: Job has already finished\nJob <290>: User permission denied",
            255,
            "Job <290>: User permission denied",
        ),
        ("Connection reset by peer", 255, "Connection reset by peer"),
        ("bkill: command not found", 127, "bkill: command not found"),
        ("", -9, "exit code -9, no output"),
    ],
)
def test_cancellations(stderr: str, rc: int, left: str) -> None:
    """Only words about jobs that were not killed count, or a bkill that failed without saying of which."""
    assert LSF().parse_cancel(Answer(rc, "", stderr)) == left


def test_a_recording_is_cut_to_its_words() -> None:
    """A refusal is reported in LSF's own words."""
    assert LSF().parse_submit(recorded("lsf", "submit-rejected-no-queue"), [a_job()]) == [Refused(REJECTED)]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("Job's requirements for resource reservation not satisfied: 12 hosts", True),
        ("Dependency condition invalid or never satisfied", True),
        ("Job slot limit reached", False),
        ("New job is waiting for scheduling", False),
        ("", False),
    ],
)
def test_why_a_job_cannot_start(reason: str, shown: bool) -> None:
    """Reasons that pass by themselves are not worth a message."""
    record = json.dumps({"JOBID": "7", "STAT": "PEND", "PEND_REASON": reason})
    text = LSF().parse_analysis(Answer(0, ANSWER % record, ""))
    assert text == (f"Its pending reason: {reason}." if shown else "")


def test_all_that_a_person_may_want_to_know_of_a_job_that_waits() -> None:
    """Each reason is a line, also one that passes by itself."""
    reasons = "Job slot limit reached; Load information unavailable: 3 hosts;"
    record = json.dumps({"JOBID": "7", "STAT": "PEND", "PEND_REASON": reasons})
    words = LSF().words_of_analysis(Answer(0, ANSWER % record, ""))
    assert words == ["Job slot limit reached", "Load information unavailable: 3 hosts;"]


@pytest.mark.parametrize(
    ("record", "used"),
    [
        (
            {"RUN_TIME": "61 second(s)", "CPU_USED": "58.2 second(s)", "MAX_MEM": "522 Mbytes"},
            {"wall": 61.0, "cpu": 58.2, "memory": 522 * 1024**2, "memory_from": "batch system"},
        ),
        (
            {"RUN_TIME": "26:03:01", "CPU_USED": "00:00:01", "MAX_MEM": "5.2 Gbytes"},
            {"wall": 93781.0, "cpu": 1.0, "memory": round(5.2 * 1024**3), "memory_from": "batch system"},
        ),
        (
            {"RUN_TIME": "0 second(s)", "CPU_USED": "0.0 second(s)", "MAX_MEM": "5.2 G"},
            {"wall": 0.0, "cpu": 0.0, "memory": round(5.2 * 1024**3), "memory_from": "batch system"},
        ),
        ({"RUN_TIME": "0 second(s)", "CPU_USED": "", "MAX_MEM": "0 Mbytes"}, {"wall": 0.0}),
        ({"RUN_TIME": "-", "CPU_USED": "-", "MAX_MEM": "-"}, {}),
        ({}, {}),
    ],
)
def test_what_a_job_used(record: dict[str, str], used: dict[str, float]) -> None:
    """With the units of the site; a job that has not ended has used nothing yet."""
    for stat, expected in (("EXIT", used), ("RUN", {})):
        answer = Answer(0, ANSWER % json.dumps({"JOBID": "7", "STAT": stat, **record}), "")
        assert LSF().parse_query(answer)["7"].usage == expected
