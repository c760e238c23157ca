"""The language of HTCondor: what it says, and how it reads what its recorded answers do not show."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from b2luigi.batch.systems.htcondor import RELEASE_WAIT, HTCondor
from b2luigi.batch.systems.listings import Listing
from b2luigi.batch.systems.model import (
    Accepted,
    Answer,
    AnswerError,
    Cause,
    JobSpec,
    JobStatus,
    Refused,
    Submitted,
    TooMany,
    TryLater,
    Unsure,
)
from tests.batch.systems.recorded import a_job, recorded

PLAIN = {
    "job_name": "",
    "htcondor_settings": {},
    "transfer_files": [],
    "result_dir": "/results",
    "working_dir": ".",
}
FILES = ["/data/a b.txt", "/data/code"]


def settings(**values: Any) -> Callable[[str], Any]:
    return lambda key: {**PLAIN, **values}[key]


def job(token: str = "abc", folder: str = "/t/f", inputs: tuple[Path, ...] = (), **values: Any) -> JobSpec:
    return a_job(token, HTCondor().options(settings(**values)), folder, inputs=inputs)


def description(*jobs: JobSpec) -> list[str]:
    return HTCondor().submit(jobs or [job()]).stdin.split("\n")


def value(lines: list[str], command: str) -> str:
    """The value that holds: that of the last line for a command."""
    return [line for line in lines if line.startswith(f"{command} = ")][-1].partition(" = ")[2]


def result(stderr: str = "", rc: int = 1, stdout: str = "", jobs: int = 1, **more: Any) -> list[Submitted]:
    return list(HTCondor().parse_submit(Answer(rc, stdout, stderr, **more), [job(str(n)) for n in range(jobs)]))


def info(**ad: Any) -> Any:
    answer = Answer(0, json.dumps([{"ClusterId": 7, "ProcId": 0, **ad}]), "")
    return HTCondor().parse_query(answer)["7.0"]


# -- what it says


def test_submission() -> None:
    """Any number of jobs is one description by stdin, whose items are token and folder of each."""
    command = HTCondor().submit([job("a1", "/t/x"), job("b2", "/t/y z")])
    lines = command.stdin.split("\n")
    assert command.argv == ("condor_submit", "-terse", "-")
    assert lines[lines.index("queue tok,dir from (") :] == ["queue tok,dir from (", "a1 /t/x", "b2 /t/y z", ")", ""]
    assert value(lines, "executable") == "$(dir)/executable_wrapper.sh"
    assert value(lines, "arguments") == "$(tok)"
    assert value(lines, "+B2luigiToken") == '"$(tok)"'
    assert value(lines, "output") == value(lines, "error") == "$(dir)/batch.log"


def test_query() -> None:
    """One condor_q asks for all jobs of b2luigi, however many there are; a search asks the same."""
    command = HTCondor().query([f"{n}.0" for n in range(10_000)])
    assert command.argv[:2] == ("condor_q", "-json")
    assert command.argv[-2] == "-constraint"
    assert command.argv[-1].startswith("B2luigiToken isnt undefined || ")
    assert HTCondor().find([job()]) == command


def test_history_is_bounded() -> None:
    """condor_history looks for these jobs only, and does not read the whole past of the pool."""
    command = HTCondor().history(["1.0", "2.0"])
    assert command is not None
    assert command.argv[-2:] == ("1.0", "2.0")
    words = list(command.argv)
    assert words[words.index("-limit") + 1] == "2"
    assert int(words[words.index("-scanlimit") + 1]) >= 1000


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"request_memory": "2 GB"}, "request_memory = 2 GB"),
        ({"request_cpus": 2}, "request_cpus = 2"),
        ({"getenv": True}, "getenv = True"),
        ({"+Project": '"a b"'}, '+Project = "a b"'),
        ({"MY.Project": '"a"'}, 'MY.Project = "a"'),
        ({"requirements": 'Arch == "X86_64" && $(x)'}, 'requirements = Arch == "X86_64" && $(x)'),
        ({"JobBatchName": "mine"}, "JobBatchName = mine"),
    ],
)
def test_settings(entry: dict[str, Any], line: str) -> None:
    """An entry of htcondor_settings is a line of the description as it stands, after ours, so that it wins."""
    lines = description(job(htcondor_settings=entry, job_name="ours"))
    assert lines[lines.index("queue tok,dir from (") - 1] == line


@pytest.mark.parametrize(
    "key",
    [
        *("executable", "Executable", "arguments", "arguments2", "queue", "initialdir", "initial_dir"),
        *("transfer_input_files", "transfer_output_remaps", "+B2luigiToken", "MY.b2luigitoken"),
        *("+Cmd", "MY.Cmd", "my.cmd", "Cmd", "+Args", "MY.Arguments", "Args", "+Iwd", "Iwd", "job_iwd", "Arguments"),
        *("noop_job", "NOOP_JOB", "+IsNoopJob", "MY.isNoopJob", "interactive", "+TransferInput"),
        *("max_materialize", "Max_Idle", "+JobMaterializeLimit", "MY.JobMaterializeMaxIdle"),
        *("", "a b", "a=b", "queue 5\nx", "-x", "1x", 7),
    ],
)
def test_keys_that_cannot_work(key: Any) -> None:
    """A command that is ours, or that is none, is refused with its name."""
    with pytest.raises(ValueError, match="htcondor_settings") as refusal:
        HTCondor().options(settings(htcondor_settings={key: "x"}))
    assert repr(key) in str(refusal.value)


@pytest.mark.parametrize("wrong", [None, ["a"], {"a": 1}, "two\nlines", "two\rlines", "goes on\\", "goes on\\ "])
def test_values_that_cannot_work(wrong: Any) -> None:
    """A value that is no line of text is refused with its key."""
    with pytest.raises(ValueError, match=r"htcondor_settings\['request_memory'\]"):
        HTCondor().options(settings(htcondor_settings={"request_memory": wrong}))


def test_settings_have_to_be_a_dictionary() -> None:
    """A list of lines is refused with the name of the setting."""
    with pytest.raises(ValueError, match="htcondor_settings"):
        HTCondor().options(settings(htcondor_settings=["request_cpus = 1"]))


@pytest.mark.parametrize(
    ("name", "line"),
    [("my jobs", "my jobs"), ("a  b", "a  b"), ("100$", "100$(DOLLAR)"), ("$(x)", "$(DOLLAR)(x)"), ('q"u', 'q"u')],
)
def test_job_name(name: str, line: str) -> None:
    """The name of the batch is what the user wrote: nothing in it is expanded."""
    assert value(description(job(job_name=name)), "JobBatchName") == line


def test_no_job_name() -> None:
    """Without a name, and without knowing the task, the batch has none of ours."""
    assert not [line for line in description() if line.startswith("JobBatchName")]


def test_a_batch_has_the_class_of_its_tasks_and_a_job_the_task() -> None:
    """Tasks of several classes share one command all the same; job_name wins, for the batch only."""
    titled = [
        replace(job("a1"), name="Make-a1", title="Make(n=1;mode=fast)"),
        replace(job("b2"), name="Plot-b2", title="Plot()"),
    ]
    lines = description(*titled)
    assert (value(lines, "JobBatchName"), value(lines, "description")) == ("$(family)", "$(title)")
    assert lines[lines.index("queue tok,family,title,dir from (") + 1 :] == [
        "a1 Make Make(n=1;mode=fast) /t/f",
        "b2 Plot Plot() /t/f",
        ")",
        "",
    ]
    named = description(replace(job(job_name="mine"), title="Make(n=1)"))
    assert (value(named, "JobBatchName"), value(named, "description")) == ("mine", "$(title)")


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\\", "a\\ ", "$$(x)"])
def test_job_names_that_cannot_work(name: str) -> None:
    """A name that would swallow the next line, or be changed, is refused."""
    with pytest.raises(ValueError, match="job_name"):
        HTCondor().options(settings(job_name=name))


@pytest.mark.parametrize("carried", [[], FILES])
@pytest.mark.parametrize(
    ("folder", "item"),
    [
        ("/t/a b,c", "/t/a b,c"),
        ("/t/a)", "/t/a)"),
        ("/t/$(x)", "/t/$(DOLLAR)(x)"),
        ("/t/$ENV(HOME)", "/t/$(DOLLAR)ENV(HOME)"),
        ("/t/a\\b", "/t/a\\b"),
        ("/t/ü=\"';#", "/t/ü=\"';#"),
    ],
)
def test_folders(folder: str, item: str, carried: list[str]) -> None:
    """A folder arrives as it is called: blanks, commas and what looks like a macro are not read as such."""
    spec = job(folder=folder, transfer_files=carried)
    HTCondor().check(spec)
    assert f"abc {item}" in description(spec)


@pytest.mark.parametrize("carried", [[], FILES])
@pytest.mark.parametrize("folder", ["/t/a\nb", "/t/a\rb", "/t/a\\", "/t/a ", "/t/$$(x)"])
def test_folders_that_cannot_work(folder: str, carried: list[str]) -> None:
    """A folder that HTCondor would read otherwise is refused with the setting that gives it another place."""
    with pytest.raises(ValueError, match="task_file_dir"):
        HTCondor().check(job(folder=folder, transfer_files=carried))


# -- files that are carried


def test_transfer() -> None:
    """The user's files and ours travel there; home come outcome and marker, each to its place."""
    lines = description(job(transfer_files=FILES, inputs=(Path("/home/run.py"), Path("/home/settings.json"))))
    assert value(lines, "should_transfer_files") == "YES"
    assert value(lines, "initialdir") == "$(dir)"
    assert value(lines, "transfer_input_files") == "/data/a b.txt, /data/code, /home/run.py, /home/settings.json"
    assert value(lines, "transfer_output_remaps") == '"$(tok).marker = /t/inbox/$(tok)"'
    assert value(lines, "output") == "$(tok).stdout"


def test_nothing_is_carried_unasked() -> None:
    """Without transfer_files, the description does not mention transfers, so that the site's default applies."""
    assert not [line for line in description(job(inputs=(Path("/home/run.py"),))) if "transfer" in line]


def test_a_file_of_the_user_replaces_ours() -> None:
    """Of two files with one name only the user's travels."""
    lines = description(job(transfer_files=["/data/settings.json"], inputs=(Path("/home/settings.json"),)))
    assert value(lines, "transfer_input_files") == "/data/settings.json"


def test_named_outputs() -> None:
    """Who names files to come home gets them, and ours with them."""
    lines = description(job(transfer_files=FILES, htcondor_settings={"transfer_output_files": "a, b"}))
    assert value(lines, "transfer_output_files") == "a, b, $(tok).outcome, $(tok).marker"


def test_what_looks_like_a_macro_in_a_file_name() -> None:
    """A file travels as it is called."""
    lines = description(job(transfer_files=["/data/$(x)"], inputs=(Path("/home/$(y).py"),)))
    assert value(lines, "transfer_input_files") == "/data/$(DOLLAR)(x), /home/$(DOLLAR)(y).py"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"transfer_files": "/a"}, "list of paths"),
        ({"transfer_files": {"/a": "/b"}}, "list of paths"),
        ({"transfer_files": [Path("/a")]}, "list of paths"),
        ({"transfer_files": ["a.txt"]}, "relative"),
        ({"transfer_files": ["/a,b"]}, "comma"),
        ({"transfer_files": ["/a\nb"]}, "line break"),
        ({"transfer_files": ["/a "]}, "blank"),
        ({"transfer_files": ["/a/x", "/b/x/"]}, "same name"),
        ({"transfer_files": ["/a"], "working_dir": "/w"}, "working_dir"),
        ({"transfer_files": ["/a"], "result_dir": "results"}, "result_dir"),
        ({"transfer_files": ["/results"]}, "result folder"),
        ({"transfer_files": ["/results/x"]}, "result folder"),
        ({"transfer_files": ["/x/../results/y"]}, "result folder"),
    ],
)
def test_files_that_cannot_be_transferred(values: dict[str, Any], words: str) -> None:
    """Each rule of file transfer is checked before submission, and the error names the setting."""
    with pytest.raises(ValueError, match=words) as refusal:
        HTCondor().options(settings(**values))
    assert "transfer_files" in str(refusal.value)


def test_files_beside_the_result_folder() -> None:
    """A folder whose name only begins like the result folder is none of it."""
    assert HTCondor().options(settings(transfer_files=["/results2/x"]))["transfer_files"] == ["/results2/x"]


@pytest.mark.parametrize("path", ["/home/me,you/run.py", "/home/a\nb.py", "/home/$$(x).py"])
def test_our_own_files_that_cannot_be_transferred(path: str) -> None:
    """A script that HTCondor cannot transfer is refused with its path, where files are carried at all."""
    with pytest.raises(ValueError, match="cannot transfer") as refusal:
        HTCondor().check(job(transfer_files=FILES, inputs=(Path(path),)))
    assert repr(path) in str(refusal.value)
    HTCondor().check(job(inputs=(Path(path),)))


# -- submissions


def test_ids_in_the_order_of_the_items() -> None:
    """The n-th item is the n-th job, whatever a site says before."""
    found = result(stdout="Welcome to 7.0\n12.0 - 12.2\n", rc=0, jobs=3)
    assert found == [Accepted("12.0"), Accepted("12.1"), Accepted("12.2")]


@pytest.mark.parametrize(
    "line",
    [
        *("12.0 - 12.1", "12.0 - 12.3", "12.0 - 13.2", "12.2 - 12.0", "", "12", "12.0", "12.0 - ", " - ", "- -"),
        *("12.a - 12.b", "x.0 - x.2", "12.0 - 12.2 - 12.4", "12.0 - 12.2 and more", "12.-1 - 12.1", "-1.0 - -1.2"),
        *("12.0.0 - 12.0.2", "12.0-12.2", "1e1.0 - 1e1.2", "\u0667.\u0660 - \u0667.\u0662", f"12.0 - 12.{'9' * 30}"),
    ],
)
def test_ids_that_do_not_fit(line: str) -> None:
    """Another number of ids than of jobs makes nobody sure of any."""
    assert {type(found) for found in result(stdout=line, rc=0, jobs=3)} == {Unsure}


def test_no_more_ids_than_a_submission_can_have() -> None:
    """However long the range is that a garbled line names."""
    most = HTCondor.bulk
    assert set(map(type, result(stdout=f"12.0 - 12.{most - 1}", rc=0, jobs=most))) == {Accepted}
    assert set(map(type, result(stdout=f"12.0 - 12.{most}", rc=0, jobs=most + 1))) == {Unsure}


@pytest.mark.parametrize(
    ("stderr", "rc", "kind"),
    [
        ("ERROR: Executable file /x does not exist", 1, Refused),
        ("ERROR: I don't know about the 'nosuch' universe.", 1, Refused),
        ("condor_submit: command not found", 127, Refused),
        ("ERROR: Failed to connect to local queue manager", 1, TryLater),
        ("ERROR: Failed to create proc\nNumber of submitted jobs would exceed MAX_JOBS_PER_OWNER", 1, TryLater),
        ("ERROR: Failed to commit job submission into the queue.", 1, Unsure),
        ("", 0, Unsure),
        ("", -15, Unsure),
    ],
)
def test_what_condor_submit_says_without_ids(stderr: str, rc: int, kind: type) -> None:
    """The output distinguishes a refusal, an outage and an unclear submission, for all jobs of the command."""
    assert [type(found) for found in result(stderr, rc, jobs=2)] == [kind, kind]


def test_a_refusal_keeps_the_words_of_the_system() -> None:
    """The result contains the complete text of HTCondor."""
    answer = recorded("htcondor", "submit-bad-requirements")
    (refused,) = HTCondor().parse_submit(answer, [job()])
    assert refused == Refused(answer.stderr.strip())


# -- queries


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (1, JobStatus.idle),
        (2, JobStatus.running),
        (3, JobStatus.aborted),
        (4, JobStatus.aborted),
        (5, JobStatus.aborted),
        (6, JobStatus.running),
        (7, JobStatus.running),
        (8, JobStatus.running),
        (None, JobStatus.running),
        ("2", JobStatus.running),
    ],
)
def test_states(state: Any, status: JobStatus) -> None:
    """Transferring and suspended jobs live, and so do those in a state nobody knows."""
    assert info(JobStatus=state).status is status


@pytest.mark.parametrize(
    ("ad", "status", "code"),
    [
        ({"ExitCode": 0}, JobStatus.successful, 0),
        ({"ExitCode": 3}, JobStatus.aborted, 3),
        ({"ExitBySignal": True, "ExitSignal": 9}, JobStatus.aborted, 137),
        ({"ExitBySignal": True, "ExitSignal": 15, "ExitCode": 0}, JobStatus.aborted, 143),
        ({"ExitBySignal": False, "ExitStatus": 0}, JobStatus.aborted, None),
    ],
)
def test_exit_codes(ad: dict[str, Any], status: JobStatus, code: int | None) -> None:
    """ExitCode and ExitSignal show how a job ended; ExitStatus is always 0 and is ignored."""
    found = info(JobStatus=4, **ad)
    assert (found.status, found.exit_code) == (status, code)


@pytest.mark.parametrize("state", [1, 2])
def test_an_evicted_job_has_not_ended(state: int) -> None:
    """How the last run of an evicted job ended says nothing of a job that waits or runs again."""
    assert info(JobStatus=state, ExitBySignal=True, ExitSignal=15).exit_code is None


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        *[(code, Cause.refused) for code in (6, 12, 13)],
        (34, Cause.memory),
        (46, Cause.time),
        (47, Cause.time),
        *[(code, Cause.policy) for code in (3, 21, 26)],
        *[(code, Cause.infrastructure) for code in (999, None, "13")],
    ],
)
def test_held_for_good(code: Any, cause: Cause) -> None:
    """A job held by the system will not run again: it ends with cause and reason, and has to be taken away."""
    found = info(JobStatus=5, HoldReasonCode=code, HoldReason="some words")
    assert (found.status, found.cause, found.lingers) == (JobStatus.aborted, cause, True)
    assert "some words" in found.native
    assert str(code) in found.native


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("Job used 5000 MB, more than its request_memory of 2000 MB (site policy)", Cause.memory),
        ("The job attribute PeriodicHold expression 'ResidentSetSize > 2000000' evaluated to TRUE", Cause.memory),
        ("The job attribute PeriodicHold expression '(time() - JobStartDate) > 3600' evaluated to TRUE", Cause.time),
        ("Your job was running for more than 12 hours", Cause.time),
        ("You are not welcome here", Cause.policy),
    ],
)
def test_what_a_policy_is_about_is_in_its_reason(reason: str, cause: Cause) -> None:
    """The same request would end in the same way: whether set by the user, the site or a node, held or removed."""
    for code in (3, 21, 26):
        assert info(JobStatus=5, HoldReasonCode=code, HoldReason=reason).cause is cause
    assert info(JobStatus=3, RemoveReason=reason).cause is cause


RELEASE = "LastHoldReasonCode == 34 && NumJobStarts < 3"


@pytest.mark.parametrize(
    ("release", "held_for", "waits"),
    [(RELEASE, 5, True), (True, 5, True), (RELEASE, RELEASE_WAIT, False), (False, 5, False), (None, 5, False)],
)
def test_a_held_job_that_releases_itself_is_waited_for(release: Any, held_for: int, waits: bool) -> None:
    """For as long as the schedd needs to evaluate its periodic_release twice; that is shown."""
    times = {"EnteredCurrentStatus": 1000, "ServerTime": 1000 + held_for}
    found = info(JobStatus=5, HoldReasonCode=34, HoldReason="too much memory", PeriodicRelease=release, **times)
    assert (found.status, found.lingers) == ((JobStatus.idle, False) if waits else (JobStatus.aborted, True))
    assert ("periodic_release" in found.notice) is waits


@pytest.mark.parametrize("code", [1, 15])
def test_held_by_a_person(code: int) -> None:
    """A job held by a person, or at its submission, waits for that person."""
    found = info(JobStatus=5, HoldReasonCode=code, HoldReason="by me")
    assert (found.status, found.cause, found.lingers, found.held) == (JobStatus.idle, None, False, True)


def test_held_without_a_reason() -> None:
    """A missing reason is shown as such."""
    assert "no reason given" in info(JobStatus=5).native


def test_removed_with_a_reason() -> None:
    """The reason for which a job was removed is shown."""
    found = info(JobStatus=3, RemoveReason="because I say so (by user daemon)")
    assert (found.status, found.cause) == (JobStatus.aborted, Cause.cancelled)
    assert found.native == "removed: because I say so (by user daemon)"


@pytest.mark.parametrize(
    ("ad", "node"),
    [
        ({}, None),
        ({"RemoteHost": "slot1@a"}, "slot1@a"),
        ({"LastRemoteHost": "slot1@b"}, "slot1@b"),
        ({"RemoteHost": "slot1@a", "LastRemoteHost": "slot1@b"}, "slot1@a"),
    ],
)
def test_node(ad: dict[str, Any], node: str | None) -> None:
    """Where a job runs, or ran last."""
    assert info(JobStatus=2, **ad).node == node


@pytest.mark.parametrize(
    ("rc", "stdout"),
    [
        (1, ""),
        (1, "[]"),
        (0, "[{"),
        (0, "{}"),
        (0, '[{"JobStatus": 2}]'),
    ],
)
def test_what_is_no_answer(rc: int, stdout: str) -> None:
    """A failure, a cut or a job without an id make the whole answer none: what it lacks may be alive."""
    with pytest.raises(AnswerError):
        HTCondor().parse_query(Answer(rc, stdout, "some words"))


@pytest.mark.parametrize("stdout", ["", "\n", "[\n]\n"])
def test_an_empty_queue(stdout: str) -> None:
    """With nothing to show condor_q prints nothing, condor_history an empty list: both say that no job is there."""
    assert HTCondor().parse_query(Answer(0, stdout, "")) == {}


# -- cancellations


@pytest.mark.parametrize(
    ("stdout", "stderr", "rc", "left"),
    [
        ("Job 1.0 marked for removal", "", 0, ""),
        ("", "\nJob 1.0 not found", 1, ""),
        ("", "\nJob 1.0 already marked for removal", 1, ""),
        ("Job 1.0 marked for removal", "Permission denied to remove job 2.0", 0, "Permission denied to remove job 2.0"),
        ("", "Job 1.0 not found\nPermission denied to remove job 2.0", 1, "Permission denied to remove job 2.0"),
        (
            "",
            "DCSchedd::actOnJobs:6001:Failed to connect to schedd\nCouldn't find/remove all jobs",
            1,
            "Failed to connect",
        ),
        ("", "condor_rm: command not found", 127, "not found"),
    ],
)
def test_cancellations(stdout: str, stderr: str, rc: int, left: str) -> None:
    """Jobs that are gone count as removed; a job that could not be removed is reported, whatever the exit code."""
    words = HTCondor().parse_cancel(Answer(rc, stdout, stderr))
    assert left in words
    assert bool(words) is bool(left)


COMMIT = "ERROR: Failed to commit job submission into the queue.\n"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("ERROR: Please say accounting_group = <your project> in your submit file.\n", Refused),
        ("ERROR: Received invalid attribute value '1' for job 57.-1; ignoring\n", Refused),
        ("", Unsure),
        ("ERROR: Connection closed by the schedd\n", Unsure),
        ("CEDAR:6002:failed to read end of message from <127.0.0.1:9618>\n", Unsure),
        ("SECMAN:2007:Failed to end classad message.\n", Unsure),
    ],
)
def test_a_commit_that_fails_for_a_reason_was_refused(reason: str, expected: type[Submitted]) -> None:
    """A SUBMIT_REQUIREMENT of the site has a text of its own; a lost connection leaves everything open."""
    answer = Answer(1, "", f"\n{COMMIT}{reason}")
    assert HTCondor().parse_submit(answer, [job()]) == [expected(answer.words)]


def test_more_jobs_than_one_submission_may_hold_are_submitted_in_parts() -> None:
    """MAX_JOBS_PER_SUBMISSION; of a single job it is a refusal."""
    answer = recorded("htcondor", "submit-limit-submission")
    assert HTCondor().parse_submit(answer, [job()] * 5) == [TooMany(answer.words)] * 5
    assert isinstance(HTCondor().parse_submit(answer, [job()])[0], Refused)


# -- which schedd

SCHEDD = {
    "Name": "me@login1.example.org",
    "Machine": "login1.example.org",
    "CollectorHost": "cm.example.org",
    "JobQueueBirthdate": 1795629954,
}
OTHER = {**SCHEDD, "Name": "login2.example.org", "Machine": "login2.example.org", "JobQueueBirthdate": 1795620000}


def answers(which: str, *ads: dict[str, Any]) -> list[Answer]:
    return [Answer(0, f"{which}\n", ""), Answer(0, json.dumps(ads), "")]


@pytest.mark.parametrize("which", ["login1.example.org", "me@login1.example.org", "LOGIN1.example.org"])
def test_the_schedd_of_this_machine(which: str) -> None:
    """Its name, its pool, and when its queue was made: two personal pools on one machine share the others."""
    known = HTCondor().parse_server(answers(which, OTHER, SCHEDD))
    assert known == "me@login1.example.org cm.example.org 1795629954"
    commands = [HTCondor().ask_server(answers(which, OTHER, SCHEDD)[:n]) for n in range(3)]
    assert [command.argv[0] if command else "" for command in commands] == ["condor_config_val", "condor_status", ""]


def test_of_several_schedds_on_one_machine_the_one_that_answers_counts() -> None:
    """Only then it is asked who it is; it costs a query."""
    second = {**SCHEDD, "Name": "you@login1.example.org", "JobQueueBirthdate": 1795629999}
    former = answers("login1.example.org", SCHEDD, second)
    assert HTCondor().parse_server(former) == ""
    command = HTCondor().ask_server(former)
    assert command is not None
    assert command.argv == ("condor_q", "-totals", "-constraint", "false")
    head = (
        "\n\n-- Schedd: you@login1.example.org : <127.0.0.1:41305?... @ 11/25/26 18:06:19\nTotal for query: 0 jobs;\n"
    )
    known = HTCondor().parse_server([*former, Answer(0, head, "")])
    assert known == "you@login1.example.org cm.example.org 1795629999"
    assert HTCondor().ask_server([*former, Answer(0, head, "")]) is None


def test_a_schedd_that_is_nowhere_is_not_guessed() -> None:
    """Nobody knows which one answers: the name stays open."""
    former = answers("login3.example.org", SCHEDD, OTHER)
    assert HTCondor().parse_server(former) == HTCondor().parse_server([*former, Answer(1, "", "error")]) == ""


def test_a_collector_that_does_not_answer_is_asked_again() -> None:
    """An error is no name."""
    with pytest.raises(AnswerError, match="communication error"):
        HTCondor().parse_server([Answer(0, "login1\n", ""), Answer(1, "", "communication error")])


def test_another_schedd_is_named_in_each_command() -> None:
    """By name and pool, and its identity is compared before it is believed."""
    other = HTCondor().at("login2.example.org cm.example.org 1795620000")
    assert isinstance(other, HTCondor)
    named = ("-pool", "cm.example.org", "-name", "login2.example.org")
    commands = (
        other.query(["7.0"]),
        other.find([job()]),
        other.cancel_labelled({"7.0": "abc"}),
        other.history(["7.0"]),
    )
    assert [command.argv[1:5] for command in commands if command] == [named] * 4
    which = other.ask_server([])
    assert which is not None
    assert which.argv[:3] == ("condor_status", "-pool", "cm.example.org")
    assert (
        other.parse_server([Answer(0, json.dumps([SCHEDD, OTHER]), "")])
        == "login2.example.org cm.example.org 1795620000"
    )


# -- labels


def test_a_cancellation_names_the_labels_too() -> None:
    """The same number may be another job's: condor_rm compares number and label itself."""
    command = HTCondor().cancel_labelled({"7.0": "abc", "7.3": "def", "9.0": "012"})
    assert command.argv[:2] == ("condor_rm", "-constraint")
    numbers = '(ClusterId == 7 && stringListMember(string(ProcId), "0,3")) || '
    numbers += '(ClusterId == 9 && stringListMember(string(ProcId), "0"))'
    assert command.argv[2].startswith(f"({numbers}) && (stringListMember(B2luigiToken")
    assert '"abc,def,012"' in command.argv[2]


@pytest.mark.parametrize("attribute", ["B2luigiToken", "Args", "Arguments"])
def test_attribute_or_argument_proves_the_job(attribute: str) -> None:
    """A job transform of the site may remove attributes; the job script's only argument is the token, too."""
    assert info(JobStatus=2, **{attribute: "0123456789abcdef"}).is_called("0123456789abcdef")


def test_a_cancellation_that_finds_nothing_has_nothing_left() -> None:
    """The words of condor_rm for a constraint that no job fulfils (measured)."""
    words = "Couldn't find/remove all jobs matching constraint (ClusterId == 99)\n"
    assert HTCondor().parse_cancel(Answer(1, words, "")) == ""


AD = '{"ClusterId": 7, "ProcId": %d, "JobStatus": 2, "B2luigiToken": "abc"}'
NOTICE = "*** Maintenance on Monday [please note] ***\n"


@pytest.mark.parametrize(
    "stdout",
    [
        f"{NOTICE}[\n{AD % 0}\n,\n{AD % 1}\n]\n",
        f"[\n{AD % 0}\n]\n{NOTICE}[\n{AD % 1}\n]\n{NOTICE}",
        f"[1] {NOTICE}[{AD % 0}]\n[{AD % 1}]\n",
    ],
    ids=["before", "between", "in brackets"],
)
def test_notices_beside_an_answer_do_not_hide_it(stdout: str) -> None:
    """Wrappers of a site print on stdout, too; each schedd has an array of its own."""
    known = HTCondor().parse_query(Answer(0, stdout, ""))
    assert set(known) == {"7.0", "7.1"}
    assert isinstance(known, Listing)
    assert not known.may_have("7.2")


def test_a_notice_alone_is_an_empty_queue() -> None:
    """condor_q prints nothing if there is nothing to show; a failure is still none."""
    for notice in (NOTICE, "*** see {ticket 7} ***\n", "[site] maintenance on Monday\n"):
        assert HTCondor().parse_query(Answer(0, notice, "")) == {}
    with pytest.raises(AnswerError):
        HTCondor().parse_query(Answer(0, "Error: the collector cannot be reached\n", ""))


@pytest.mark.parametrize("stdout", [f"[\n{AD % 0}\n,\n{AD[:40]}\n", f"[{AD % 0}, 5]\n"], ids=["cut", "odd"])
def test_an_answer_of_which_a_part_is_lost_proves_no_absence(stdout: str) -> None:
    """What can be read is there; what it lacks may be in the rest."""
    known = HTCondor().parse_query(Answer(0, stdout, ""))
    assert isinstance(known, Listing)
    assert (set(known), known.may_have("7.1")) == ({"7.0"}, True)


@pytest.mark.parametrize(
    ("name", "unmet"),
    [
        ("analysis-no-machine", 'Machine == "nowhere"'),
        ("analysis-too-much-memory", "TARGET.Memory >= RequestMemory"),
        ("analysis-running", ""),
    ],
)
def test_why_a_job_cannot_start(name: str, unmet: str) -> None:
    """The conditions that no slot meets, and how many slots there are; nothing if some slot would do."""
    text = HTCondor().parse_analysis(recorded("htcondor", name))
    assert text == (f"None of 16 slots matches its requirements; none has: {unmet}." if unmet else "")


def test_all_that_a_person_may_want_to_know_of_a_job_that_waits() -> None:
    """What became of its requirements, and how many slots there are for it."""
    words = HTCondor().words_of_analysis(recorded("htcondor", "analysis-too-much-memory"))
    assert words[0].split() == ["Slots"]
    assert "[5]           0  TARGET.Memory >= RequestMemory" in words
    assert "      0 are able to run your job" in words
