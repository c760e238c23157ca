"""The stand-in for LSF says and does what is known of LSF (byte for byte where the text is known)."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.standins.lsf import FakeLSF
from tests.standins.lsf.fakelsf import processes
from tests.waiting import PATIENCE, until

# found in another folder's environment they would change what bsub prints
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("BSUB_", "LSB_", "LSF_"))}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lsf(tmp_path: Path) -> Iterator[FakeLSF]:
    """A cluster of eight slots that kills quickly."""
    with FakeLSF(tmp_path / "lsf", slots=8, job_terminate_interval_s=0.3, tick_s=0.02) as cluster:
        yield cluster


@pytest.fixture
def run(lsf: FakeLSF, tmp_path: Path) -> Run:
    """Run a command of the cluster in a working directory of its own."""
    (tmp_path / "work").mkdir()

    def run_one(
        *argv: str, env: dict[str, str] | None = None, cwd: Path | None = None, input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        environment = {**CLEAN, **lsf.env, **(env or {})}
        place = cwd or tmp_path / "work"
        return subprocess.run(
            argv, env=environment, cwd=place, input=input, capture_output=True, text=True, timeout=PATIENCE
        )

    return run_one


def submitted(answer: subprocess.CompletedProcess[str]) -> str:
    """The id in bsub's answer."""
    assert answer.returncode == 0, answer
    return answer.stdout.rpartition("Job <")[2].partition(">")[0]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until(condition, "the cluster is where it should be")


GO = "while [ ! -e go ]; do sleep 0.02; done"
"""A job that runs until `go` comes."""


def go(tmp_path: Path) -> None:
    """Let jobs end."""
    (tmp_path / "work" / "go").touch()


def stat(lsf: FakeLSF, jobid: str) -> str:
    """The state of a plain job, as the cluster itself has it."""
    (found,) = [job["stat"] for job in lsf.jobs() if str(job["jobid"]) == jobid]
    return str(found)


def ended(lsf: FakeLSF) -> Callable[[], bool]:
    """Whether no job is left."""
    return lambda: not lsf.live_jobs()


def records(run: Run, *words: str, fields: str = "jobid jobindex stat exit_code exit_reason") -> list[dict[str, str]]:
    """The records of `bjobs -json`."""
    found: list[dict[str, str]] = json.loads(run("bjobs", "-json", "-o", fields, *words).stdout)["RECORDS"]
    return found


# ---------------------------------------------------------------------------------------------- bsub


def test_submit_lines(run: Run) -> None:
    """The answer distinguishes a requested queue from the default one."""
    assert run("bsub", "-q", "s", "true").stdout == "Job <1> is submitted to queue <s>.\n"
    assert run("bsub", "true").stdout == "Job <2> is submitted to default queue <normal>.\n"
    assert run("bsub", input="#BSUB -q l\ntrue\n").stdout == "Job <3> is submitted to queue <l>.\n"
    answer = run("bsub", "true", env={"LSB_DEFAULTQUEUE": "s"})
    assert answer.stdout == "Job <4> is submitted to queue <s>.\n"
    quiet = run("bsub", "true", env={"BSUB_QUIET": "1"})
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    elsewhere = run("bsub", "true", env={"BSUB_STDERR": "1"})
    assert (elsewhere.stdout, elsewhere.stderr) == ("", "Job <6> is submitted to default queue <normal>.\n")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["-q", "nosuch"], "nosuch: No such queue"),
        (["-q", "restricted"], "restricted: User cannot use the queue"),
        (["-q", "closed"], "Queue has been closed"),
        (["-n", "False"], "Bad argument for option -n"),
        (["-R", "rusage[mem=1"], "Bad resource requirement syntax"),
        (["-W", "abc"], "abc: Bad RUNLIMIT specification"),
    ],
)
def test_rejections(run: Run, options: list[str], text: str) -> None:
    """What LSF does not take it names on stderr, with nothing on stdout and 255."""
    answer = run("bsub", *options, "true")
    assert (answer.returncode, answer.stdout) == (255, "")
    assert answer.stderr == f"{text}. Job not submitted.\n"


def test_unreadable_submissions(run: Run) -> None:
    """Without a command, or with an unknown option, nothing is submitted."""
    assert run("bsub", input="").stderr == "No command is specified. Job not submitted.\n"
    unknown = run("bsub", "-zzz", "true")
    assert unknown.returncode == 255
    assert unknown.stderr.startswith("bsub: illegal option -- zzz\nUsage")


def test_refused_by_mbatchd_costs_an_id(run: Run) -> None:
    """Ids are not contiguous: a submission refused for its queue uses one up, a misspelt one does not."""
    run("bsub", "-q", "nosuch", "true")
    run("bsub", "-n", "x", "true")
    assert submitted(run("bsub", "true")) == "2"


def test_parallel_submissions_have_their_own_ids(run: Run, lsf: FakeLSF) -> None:
    """Many bsub at once: each job its id, each call its line in the log."""
    lsf.set("slots", 0)
    with ThreadPoolExecutor(12) as pool:
        ids = set(pool.map(lambda _: submitted(run("bsub", "true")), range(60)))
    assert len(ids) == 60
    assert len(lsf.calls("bsub")) == 60


def test_packs(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """A file of submissions: a line of answer each, in their order; off unless the site allows it."""
    pack = tmp_path / "pack"
    pack.write_text('# ours\n-q s -J "a name" echo "$HOME; a" >there\n\n-n 0 true\n  -q l -oo out echo third\n')
    refused = run("bsub", "-pack", str(pack))
    assert (refused.returncode, refused.stdout) == (255, "")
    assert refused.stderr == "Job pack feature is not enabled. Job not submitted.\n"
    lsf.set("max_pack_jobs", 300)
    stopped = run("bsub", "-pack", str(pack))
    assert stopped.returncode == 255
    assert stopped.stdout == "Job <1> is submitted to queue <s>.\n"
    assert stopped.stderr == "Bad argument for option -n. Job not submitted.\n"
    assert [job["name"] for job in lsf.jobs()] == ["a name"]
    lsf.set("pack_skip_error", True)
    skipped = run("bsub", "-pack", str(pack))
    assert skipped.returncode == 255
    assert skipped.stdout == "Job <2> is submitted to queue <s>.\nJob <3> is submitted to queue <l>.\n"
    assert skipped.stderr == stopped.stderr
    wait_for(ended(lsf))
    assert {job["stat"] for job in lsf.jobs()} == {"DONE"}
    assert "\nthird\n" in (tmp_path / "work" / "out").read_text()
    assert not (tmp_path / "work" / "there").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-K true", "bsub: option -K cannot be used in a pack\nUsage"),
        ("-pack other", "bsub: option -pack cannot be used in a pack\nUsage"),
        ("-q s", "No command is specified. Job not submitted.\n"),
        ("-q nosuch true", "nosuch: No such queue. Job not submitted.\n"),
    ],
)
def test_bad_lines_of_packs(run: Run, lsf: FakeLSF, tmp_path: Path, line: str, message: str) -> None:
    """For an invalid line, the error is that of bsub, and nothing is submitted."""
    lsf.set("max_pack_jobs", 300)
    (tmp_path / "pack").write_text(f"{line}\n")
    answer = run("bsub", "-pack", str(tmp_path / "pack"))
    assert (answer.returncode, answer.stdout) == (255, "")
    assert answer.stderr.startswith(message)
    assert lsf.jobs() == []


def test_a_pack_is_one_file_and_nothing_else(run: Run, lsf: FakeLSF) -> None:
    """No other option, and a file that is there."""
    lsf.set("max_pack_jobs", 300)
    assert run("bsub", "-pack", "file", "-q", "s").stderr.startswith("bsub: the -pack option")
    gone = run("bsub", "-pack", "/no/such/file")
    assert (gone.returncode, gone.stderr) == (255, "/no/such/file: No such file or directory. Job not submitted.\n")


# ---------------------------------------------------------------------------------------------- bsub -w


def order_of(tmp_path: Path) -> str:
    """What the jobs have written so far."""
    path = tmp_path / "work" / "order"
    return path.read_text().replace("\n", "") if path.exists() else ""


@pytest.mark.parametrize(
    ("condition", "after"),
    [
        ("done(1)", "g"),
        ("1", "g"),
        ('done("good") && exit(2)', "gb"),
        ('ended("*d")', "gb"),
        ("exit(2, 3)", "b"),
        ("exit(2,4)", None),
        ("done(2)", None),
        ("done(2) || ended(1)", "g"),
        ("(done(1) || done(2)) && done(2)", None),
        ("started(2)", ""),
    ],
)
def test_dependencies(run: Run, lsf: FakeLSF, tmp_path: Path, condition: str, after: str | None) -> None:
    """A job starts when its condition holds, and waits for ever, with a reason, when it never will."""
    run("bsub", "-J", "good", "sleep 0.2; echo g >> order")
    run("bsub", "-J", "bad", "sleep 0.2; echo b >> order; exit 3")
    jobid = submitted(run("bsub", "-w", condition, "echo w >> order"))
    wait_for(lambda: {stat(lsf, "1"), stat(lsf, "2")} == {"DONE", "EXIT"})
    if after is not None:
        wait_for(ended(lsf))
        before, _, _ = order_of(tmp_path).partition("w")
        assert sorted(order_of(tmp_path)) == ["b", "g", "w"]
        assert set(after) <= set(before)
    else:
        never = "Dependency condition invalid or never satisfied"
        assert records(run, jobid, fields="stat pend_reason") == [{"STAT": "PEND", "PEND_REASON": never}]
    assert records(run, "1", fields="pend_reason") == [{"PEND_REASON": ""}]


def test_a_whole_array_is_waited_for(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """Its id stands for all its elements; meanwhile the reason is shown."""
    array = submitted(run("bsub", "-J", "a[1-3]%1", f"{GO}; echo a >> order"))
    jobid = submitted(run("bsub", "-w", f"done({array})", "echo w >> order"))
    reason = "Job dependency condition not satisfied"
    assert records(run, jobid, fields="pend_reason") == [{"PEND_REASON": reason}]
    go(tmp_path)
    wait_for(ended(lsf))
    assert order_of(tmp_path) == "aaaw"


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ("done(12)", "12: No matching job found"),
        ('done(1) && ended("nobody")', "nobody: No matching job found"),
        ("done(1", "Dependency condition syntax error"),
        ("(done(1)", "Dependency condition syntax error"),
        ("done(1) &&", "Dependency condition syntax error"),
        ("&& done(1)", "Dependency condition syntax error"),
        ("done(1) done(1)", "Dependency condition syntax error"),
        ("done(1, 3)", "Dependency condition syntax error"),
        ("", "Dependency condition syntax error"),
    ],
)
def test_dependencies_that_are_refused(run: Run, lsf: FakeLSF, condition: str, text: str) -> None:
    """Unknown jobs, and invalid arguments."""
    run("bsub", "-H", "true")
    answer = run("bsub", "-w", condition, "true")
    assert (answer.returncode, answer.stdout, answer.stderr) == (255, "", f"{text}. Job not submitted.\n")
    assert lsf.live_jobs() == ["1"]


# ---------------------------------------------------------------------------------------------- job


def test_output_files(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """`-o` appends and `-oo` overwrites; %J and %I are filled in; the report comes with the output."""
    work = tmp_path / "work"
    for word in ("first", "second"):
        run("bsub", "-o", "added", "-q", "s", f"echo {word}")
        run("bsub", "-oo", "fresh", f"echo {word}; echo {word} >&2")
        wait_for(ended(lsf))
    assert (work / "added").read_text().count("Sender: LSF System <lsfadmin@hostA>") == 2
    fresh = (work / "fresh").read_text()
    assert fresh.count("Sender: ") == 1
    # stderr goes with stdout when it has no file of its own
    assert fresh.splitlines().count("second") == 2
    assert "Successfully completed.\n\nResource usage summary:\n" in fresh
    jobid = submitted(run("bsub", "-o", "%J-%I.o", "-eo", "%J.e", "echo to-out; echo to-err >&2; exit 3"))
    wait_for(ended(lsf))
    assert "Exited with exit code 3.\n" in (work / f"{jobid}-0.o").read_text()
    assert (work / f"{jobid}.e").read_text() == "to-err\n"
    array = submitted(run("bsub", "-J", "a[1-2]", "-oo", "%J.%I", "echo $LSB_JOBINDEX $LSB_JOBNAME"))
    wait_for(ended(lsf))
    for index in "12":
        text = (work / f"{array}.{index}").read_text()
        assert f"\n{index} a[{index}]\n" in text
        assert f"Subject: Job {array}[{index}]: <a[{index}]> in cluster <fake> Done\n" in text


def test_unwritable_output_does_not_matter(run: Run, lsf: FakeLSF) -> None:
    """A job whose output file cannot be made runs and ends well; its output is lost."""
    jobid = submitted(run("bsub", "-o", "/nonexistent/folder/out", "true"))
    wait_for(ended(lsf))
    assert stat(lsf, jobid) == "DONE"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("all", "one two unset"),
        ("none", "unset unset unset"),
        ("all, ~ONE", "unset two unset"),
        ("ONE", "one unset unset"),
        ("all, ONE=1, THREE='x,y'", "1 two x,y"),
    ],
)
def test_environment(run: Run, lsf: FakeLSF, tmp_path: Path, chosen: str, expected: str) -> None:
    """`-env` says what of the submission's environment the job gets."""
    show = 'echo "${ONE-unset} ${TWO-unset} ${THREE-unset}" > shown; test "$LSB_JOBINDEX" = 0'
    jobid = submitted(run("bsub", "-env", chosen, show, env={"ONE": "one", "TWO": "two"}))
    wait_for(ended(lsf))
    assert (tmp_path / "work" / "shown").read_text() == f"{expected}\n"
    assert stat(lsf, jobid) == "DONE"


def test_command_words_arrive(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """Words with blanks are quoted again on their way to the job's shell; -cwd is where it runs."""
    (tmp_path / "else where").mkdir()
    words = [
        "python3",
        "-c",
        'import sys; open("argv", "w").write("|".join(sys.argv[1:]))',
        "a b",
        "it's",
        "",
    ]
    run("bsub", "-cwd", str(tmp_path / "else where"), *words)
    wait_for(ended(lsf))
    assert (tmp_path / "else where" / "argv").read_text() == "a b|it's|"


def test_array_limit(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """Of an array with %1 never two elements run at once, and each knows its index."""
    jobid = submitted(run("bsub", "-J", "arr[1-3]%1", "echo start >> log; sleep 0.1; echo end >> log"))
    most = 0
    while lsf.live_jobs():
        most = max(most, sum(job["stat"] == "RUN" for job in lsf.jobs()))
    assert most <= 1
    assert (tmp_path / "work" / "log").read_text() == "start\nend\n" * 3
    shown = records(run, jobid)
    assert [(one["JOBID"], one["JOBINDEX"], one["STAT"]) for one in shown] == [
        (jobid, index, "DONE") for index in "123"
    ]


def test_run_limit(run: Run, lsf: FakeLSF) -> None:
    """Beyond -W a job is killed, and the reason says so."""
    lsf.set("minute_s", 0.2)
    jobid = submitted(run("bsub", "-W", "1", "sleep 30"))
    wait_for(ended(lsf))
    reason = "TERM_RUNLIMIT: job killed after reaching LSF run time limit"
    assert records(run, jobid, fields="stat exit_code exit_reason") == [
        {"STAT": "EXIT", "EXIT_CODE": "140", "EXIT_REASON": reason}
    ]


# ---------------------------------------------------------------------------------------------- bjobs


def test_json_text(run: Run, lsf: FakeLSF) -> None:
    """The JSON is LSF's to the blank: all values strings, an unknown id a record with ERROR, 255."""
    jobid = submitted(run("bsub", "exit 3"))
    wait_for(ended(lsf))
    answer = run("bjobs", "-json", "-o", "jobid stat exit_code exec_host exit_reason", jobid, "99")
    assert answer.returncode == 255
    assert answer.stdout == (
        '{\n  "COMMAND":"bjobs",\n  "JOBS":2,\n  "RECORDS":[\n'
        '    {\n      "JOBID":"1",\n      "STAT":"EXIT",\n      "EXIT_CODE":"3",\n'
        '      "EXEC_HOST":"hostA",\n      "EXIT_REASON":""\n    },\n'
        '    {\n      "JOBID":"99",\n      "ERROR":"Job <99> is not found"\n    }\n  ]\n}\n'
    )
    nothing = run("bjobs", "-json", "-o", "jobid")
    assert json.loads(nothing.stdout) == {"COMMAND": "bjobs", "JOBS": 0, "RECORDS": []}
    assert "You cannot use the -json option" in run("bjobs", "-json").stderr


def test_tables(run: Run, lsf: FakeLSF) -> None:
    """The classic table cuts long ids on the left and long names to their tail; -w and -o do not."""
    lsf.set("slots", 0)
    lsf.set("max_jobid", 99999999)
    lsf.set("first_jobid", 12345678)
    run("bsub", "-J", "a-rather-long-name", "true")
    header = "JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME\n"
    table = run("bjobs").stdout
    assert table.startswith(header)
    assert table.splitlines()[1].startswith("2345678 ")
    assert " *long-name " in table
    wide = run("bjobs", "-w", "-noheader").stdout
    assert wide.startswith("12345678 ")
    assert "   -     " in wide
    assert run("bjobs", "-o", "id stat exit_code delimiter='|'").stdout == ("JOBID|STAT|EXIT_CODE\n12345678|PEND|-\n")


def test_which_jobs(run: Run, lsf: FakeLSF) -> None:
    """A finished job is shown by id and with -a, not in the plain list, and nowhere once it is cleaned."""
    jobid = submitted(run("bsub", "-J", "my-name", "true"))
    wait_for(ended(lsf))
    assert [one["JOBID"] for one in records(run, jobid)] == [jobid]
    assert [one["JOBID"] for one in records(run, "-a", "-J", "my-*")] == [jobid]
    plain = run("bjobs")
    assert (plain.returncode, plain.stdout, plain.stderr) == (0, "", "No unfinished job found\n")
    lsf.set("clean_period_s", 0)
    gone = run("bjobs", jobid)
    assert (gone.returncode, gone.stdout, gone.stderr) == (255, "", f"Job <{jobid}> is not found\n")
    assert run("bjobs", "-a").stderr == "No job found\n"


# ---------------------------------------------------------------------------------------------- bkill


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("exec sleep 30", "130"),
        ("trap '' INT; trap 'exit 15' TERM; touch ready; while :; do sleep 0.05; done", "15"),
        ("trap '' INT TERM; touch ready; while :; do sleep 0.05; done", "137"),
    ],
    ids=["INT", "TERM", "KILL"],
)
def test_kill_ladder(run: Run, lsf: FakeLSF, tmp_path: Path, command: str, code: str) -> None:
    """bkill sends INT, then TERM, then KILL; the code is the one the job gives."""
    if code == "15":
        lsf.set("job_terminate_interval_s", 3)  # it is to have time to end by itself
    jobid = submitted(run("bsub", command))
    wait_for(lambda: (tmp_path / "work" / "ready").exists() or "sleep 30" in command)
    wait_for(lambda: stat(lsf, jobid) == "RUN")
    assert run("bkill", jobid).stdout == f"Job <{jobid}> is being terminated\n"
    wait_for(ended(lsf))
    owner = "TERM_OWNER: job killed by owner"
    expected = [{"STAT": "EXIT", "EXIT_CODE": code, "EXIT_REASON": owner}]
    assert records(run, jobid, fields="stat exit_code exit_reason") == expected


def test_kill_answers(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """One line for each id, on the stream of its kind, and 255 if any of them failed."""
    done = submitted(run("bsub", "true"))
    wait_for(ended(lsf))
    live = submitted(run("bsub", "trap '' INT TERM; touch ready; while :; do sleep 0.05; done"))
    held = submitted(run("bsub", "-H", "true"))
    wait_for((tmp_path / "work" / "ready").exists)
    wait_for(lambda: stat(lsf, live) == "RUN")
    lsf.set("job_terminate_interval_s", 30)  # it is to be alive still when bkill comes again
    answer = run("bkill", live, done, "999", held)
    assert answer.returncode == 255
    assert answer.stdout == f"Job <{live}> is being terminated\nJob <{held}> is being terminated\n"
    assert answer.stderr == f"Job <{done}>: Job has already finished\nJob <999>: No matching job found\n"
    # killed while it waited: no exit code
    assert records(run, held, fields="stat exit_code") == [{"STAT": "EXIT", "EXIT_CODE": ""}]
    assert run("bkill", live).stderr == f"Job <{live}>: Operation is in progress\n"
    run("bkill", "-s", "KILL", live)
    wait_for(ended(lsf))
    assert run("bkill", "0").stderr == "No unfinished job found\n"


def test_kill_by_name_and_signal(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """-J takes the jobs of a name, -s sends one signal: USR1, STOP and CONT, KILL."""
    jobid = submitted(run("bsub", "-J", "mine", "trap 'exit 7' USR1; touch ready; while :; do sleep 0.05; done"))
    element = submitted(run("bsub", "-J", "theirs[1-2]", "sleep 30"))
    wait_for(lambda: [job["stat"] for job in lsf.jobs()] == ["RUN"] * 3)
    wait_for((tmp_path / "work" / "ready").exists)
    assert run("bkill", "-s", "STOP", jobid).stdout == f"Job <{jobid}> is being stopped\n"
    wait_for(lambda: stat(lsf, jobid) == "USUSP")
    assert run("bkill", "-s", "CONT", jobid).stdout == f"Job <{jobid}> is being resumed\n"
    wait_for(lambda: stat(lsf, jobid) == "RUN")
    assert run("bkill", "-s", "USR1", jobid).stdout == f"Job <{jobid}> is being signaled\n"
    wait_for(lambda: stat(lsf, jobid) == "EXIT")
    assert records(run, jobid, fields="exit_code") == [{"EXIT_CODE": "7"}]
    assert run("bkill", "-s", "KILL", f"{element}[1]").stdout == f"Job <{element}[1]> is being terminated\n"
    wait_for(lambda: f"{element}[1]" not in lsf.live_jobs())
    assert run("bkill", "-J", "theirs").returncode == 0
    assert run("bkill", "-J", "nobody").stderr == "Job <nobody>: No matching job found\n"
    wait_for(ended(lsf))
    assert [one["EXIT_CODE"] for one in records(run, element)] == ["137", "130"]


# ---------------------------------------------------------------------------------------------- faults


def test_faults_of_bsub(run: Run, lsf: FakeLSF) -> None:
    """Chatter before the line, a refusal, and a reply lost although the job is there."""
    lsf.fault("chatter", text="Job is submitted to <cpp> project.", count=1)
    assert run("bsub", "true").stdout.startswith("Job is submitted to <cpp> project.\nJob <1> is ")
    lsf.fault("reject", text="Too many processors requested", count=1)
    assert run("bsub", "true").stderr == "Too many processors requested. Job not submitted.\n"
    lsf.fault("lost_reply", count=1)
    lost = run("bsub", "-J", "token", "true")
    assert (lost.returncode, lost.stdout) == (255, "")
    assert "Connection reset by peer" in lost.stderr
    assert len(records(run, "-a", "-J", "token")) == 1


def test_faults_of_bjobs(run: Run, lsf: FakeLSF) -> None:
    """A failing, an empty, a cut and an incomplete answer; each as often as asked, no job is touched."""
    jobid = submitted(run("bsub", "sleep 30"))
    query = ("bjobs", "-json", "-o", "jobid stat", jobid)
    lsf.fault("fail", cmd="bjobs", count=2)
    assert [run(*query).returncode for _ in range(3)] == [255, 255, 0]
    lsf.fault("empty", cmd="bjobs", count=1)
    nothing = run(*query)
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "")
    lsf.fault("garbage", count=1)
    with pytest.raises(json.JSONDecodeError):
        json.loads(run(*query).stdout)
    lsf.fault("omit", ids=[jobid], count=1)
    assert json.loads(run(*query).stdout)["RECORDS"] == []
    assert len(json.loads(run(*query).stdout)["RECORDS"]) == 1
    assert lsf.live_jobs() == [jobid]


def test_slow_after(run: Run, lsf: FakeLSF) -> None:
    """A bsub that hangs after its work: killed by its caller, the job is there all the same."""
    lsf.fault("slow", cmd="bsub", seconds=1000, after=1)
    process = subprocess.Popen(["bsub", "-H", "true"], env={**CLEAN, **lsf.env})
    wait_for(lambda: lsf.live_jobs() == ["1"])
    assert process.poll() is None
    process.kill()
    process.wait()
    assert lsf.live_jobs() == ["1"]
    assert [call["rc"] for call in lsf.calls("bsub")] == [None]


def test_mbatchd_down(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """With mbatchd down commands wait and say so, or give up at once with LSB_NTRIES=1; jobs run on."""
    jobid = submitted(run("bsub", GO))
    wait_for(lambda: stat(lsf, jobid) == "RUN")
    lsf.fault("mbd_down", retry_s=0.1)
    once = {"LSB_NTRIES": "1"}
    assert run("bjobs", env=once).stderr == "Connection refused by server\n"
    assert run("bsub", "true", env=once).stderr == "Connection refused by server. Job not submitted.\n"
    assert run("bkill", "1", env=once).stderr == "Job <1>: Connection refused by server\n"
    waiting = subprocess.Popen(
        ["bjobs", jobid], env={**CLEAN, **lsf.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert waiting.stderr
    assert waiting.stderr.readline() == "LSF is down. Please wait ...\n"
    go(tmp_path)
    wait_for(ended(lsf))
    assert waiting.poll() is None
    lsf.clear_faults()
    out, _ = waiting.communicate(timeout=PATIENCE)
    assert " DONE " in out
    assert waiting.returncode == 0


def test_host_down(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """Jobs on a lost host are UNKWN, killed meanwhile ZOMBI; the host back, they are what they became."""
    good, killed = submitted(run("bsub", GO)), submitted(run("bsub", GO))
    wait_for(lambda: {stat(lsf, good), stat(lsf, killed)} == {"RUN"})
    lsf.fault("host_down")
    assert run("bkill", killed).stderr == f"Job <{killed}>: Operation is in progress\n"
    assert [one["STAT"] for one in records(run, good, killed)] == ["UNKWN", "ZOMBI"]
    go(tmp_path)
    wait_for(lambda: all((lsf.folder / "jobs" / job / "rc").exists() for job in (good, killed)))
    assert lsf.live_jobs() == [good, killed]
    lsf.fault("host_up")
    wait_for(ended(lsf))
    assert [one["STAT"] for one in records(run, good, killed)] == ["DONE", "EXIT"]


def test_kill_job(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """A job that the system kills for its memory: 137, with the reason."""
    jobid = submitted(run("bsub", "touch begun; sleep 30"))
    wait_for((tmp_path / "work" / "begun").exists)
    lsf.fault("kill_job", ids=jobid, reason="memlimit")
    wait_for(ended(lsf))
    (record,) = records(run, jobid)
    assert record["EXIT_CODE"] == "137"
    assert record["EXIT_REASON"].startswith("TERM_MEMLIMIT: ")


def test_large_arrays(run: Run, lsf: FakeLSF) -> None:
    """A thousand elements are one line of bsub and a thousand records of bjobs; one more is too many."""
    jobid = submitted(run("bsub", "-H", "-J", "many[1-1000]", "true"))
    found = records(run, jobid, fields="jobid jobindex stat job_name")
    assert [record["JOBINDEX"] for record in found] == [str(index) for index in range(1, 1001)]
    assert {record["JOBID"] for record in found} == {jobid}
    assert found[6]["JOB_NAME"] == "many[7]"
    assert run("bkill", f"{jobid}[1-998,1000]").returncode == 0
    assert lsf.live_jobs() == [f"{jobid}[999]"]
    refused = run("bsub", "-J", "more[1-1001]", "true")
    assert (refused.returncode, refused.stderr) == (255, "Job array index too large. Job not submitted.\n")


def test_history(run: Run, lsf: FakeLSF) -> None:
    """bhist knows what bjobs has cleaned: how it ended, and why."""
    jobs = {
        "Done successfully.": submitted(run("bsub", "true")),
        "Exited with exit code 9.": submitted(run("bsub", "exit 9")),
        "TERM_OWNER: job killed by owner.": submitted(run("bsub", "-H", "true")),
    }
    run("bkill", jobs["TERM_OWNER: job killed by owner."])
    wait_for(ended(lsf))
    lsf.set("clean_period_s", 0)
    for words, jobid in jobs.items():
        assert run("bjobs", jobid).stderr == f"Job <{jobid}> is not found\n"
        history = run("bhist", "-l", jobid)
        assert (history.returncode, words in history.stdout) == (0, True)
        assert "PEND     PSUSP    RUN" in history.stdout
    assert run("bhist", "-n", "0", "999").stdout == "No matching job found\n"
    assert len(run("bhist", "-a").stdout.splitlines()) == 2 + len(jobs)


def test_stopped_and_resumed(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """USUSP by the user, PSUSP while it waits, SSUSP by the system; all of them live."""
    waiting, running = submitted(run("bsub", "-J", "a[1-2]%1", GO)), submitted(run("bsub", GO))
    wait_for(lambda: stat(lsf, running) == "RUN")
    assert run("bstop", running).stdout == f"Job <{running}> is being stopped\n"
    wait_for(lambda: stat(lsf, running) == "USUSP")
    run("bstop", f"{waiting}[2]")
    assert {record["STAT"] for record in records(run, f"{waiting}[2]")} == {"PSUSP"}
    run("bresume", running, f"{waiting}[2]")
    wait_for(lambda: stat(lsf, running) == "RUN")
    lsf.fault("preempt", ids=running)
    assert stat(lsf, running) == "SSUSP"
    run("bresume", running)
    go(tmp_path)
    wait_for(ended(lsf))
    assert {job["stat"] for job in lsf.jobs()} == {"DONE"}


def test_preempted_and_queued_again(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """The same id runs a second time."""
    jobid = submitted(run("bsub", f"echo x >> runs; {GO}"))
    wait_for(lambda: (tmp_path / "work" / "runs").exists() and stat(lsf, jobid) == "RUN")
    lsf.fault("preempt", ids=jobid, requeue="1")
    go(tmp_path)
    wait_for(ended(lsf))
    assert (tmp_path / "work" / "runs").read_text() == "x\nx\n"
    assert stat(lsf, jobid) == "DONE"


def test_jobs_that_bjobs_loses(run: Run, lsf: FakeLSF) -> None:
    """It is "not found" while it runs on; bhist may know better."""
    first, second = submitted(run("bsub", "sleep 30")), submitted(run("bsub", "sleep 30"))
    lsf.fault("lost_job", ids=first)
    lsf.fault("lost_job", ids=second, bhist="0")
    assert run("bjobs", first, second).stderr == f"Job <{first}> is not found\nJob <{second}> is not found\n"
    assert run("bhist", first).returncode == 0
    assert run("bhist", second).returncode == 255
    assert lsf.live_jobs() == [first, second]


def test_answers_from_a_snapshot(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """Some seconds old: a new job is not found, an ended one still runs."""
    old = submitted(run("bsub", GO))
    wait_for(lambda: stat(lsf, old) == "RUN")
    then = time.time()
    new = submitted(run("bsub", "true"))
    go(tmp_path)
    wait_for(ended(lsf))
    lsf.fault("stale", at=then, count=1)
    assert [record.get("STAT", record.get("ERROR")) for record in records(run, old, new)] == [
        "RUN",
        f"Job <{new}> is not found",
    ]
    assert [record["STAT"] for record in records(run, old, new)] == ["DONE", "DONE"]


def test_what_changes_under_ones_hands(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """Another queue, an id that is given a second time, ids that jump when mbatchd starts again, a host that flaps."""
    ended_id = submitted(run("bsub", "true"))
    wait_for(ended(lsf))
    jobid = submitted(run("bsub", GO))
    lsf.fault("queue_move", ids=jobid, queue="l")
    assert records(run, jobid, fields="jobid queue")[0]["QUEUE"] == "l"
    lsf.fault("dup_id", id=ended_id)
    assert submitted(run("bsub", GO)) == ended_id
    wait_for(lambda: stat(lsf, jobid) == "RUN")
    lsf.fault("flap")
    lsf.fault("mbd_restart", for_s="0.3")
    assert int(submitted(run("bsub", "true"))) > int(jobid) + 50
    go(tmp_path)
    wait_for(ended(lsf))
    assert {job["stat"] for job in lsf.jobs()} == {"DONE"}


# ---------------------------------------------------------------------------------------------- supervisor


def test_supervisor_killed(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """A supervisor killed and started again loses no job and runs none twice."""
    for _ in range(12):
        run("bsub", "echo x >> runs; sleep 0.2")
    supervisor = processes.read(lsf.folder / "supervisor.pid")
    assert supervisor
    assert processes.signal_process(supervisor, signal.SIGKILL)
    lsf.start()
    wait_for(ended(lsf))
    assert (tmp_path / "work" / "runs").read_text() == "x\n" * 12
    assert {job["stat"] for job in lsf.jobs()} == {"DONE"}


def test_stop_leaves_nothing(run: Run, lsf: FakeLSF, tmp_path: Path) -> None:
    """stop ends the jobs, and what they put in a session of its own."""
    run("bsub", "setsid sleep 61 & echo $! > stray; echo $$ > leader; sleep 60")
    wait_for(lambda: (tmp_path / "work" / "leader").exists())
    pids = [int((tmp_path / "work" / name).read_text()) for name in ("leader", "stray")]
    assert all(processes.start_time(pid) for pid in pids)
    lsf.stop()
    wait_for(lambda: not any(processes.is_alive((pid, processes.start_time(pid))) for pid in pids))


def test_lsid(run: Run) -> None:
    """The command prints the name of the cluster."""
    assert "\nMy cluster name is fake\nMy master name is hostA\n" in run("lsid").stdout


def test_queues(run: Run, lsf: FakeLSF) -> None:
    """Each queue with its state and its jobs, counted in slots; an unknown one is an error."""
    lsf.set("slots", 3)
    lsf.set("queues", {"normal": {"default": True, "priority": 40}, "shut": {"closed": True}})
    run("bsub", "-n", "2", "sleep 30")
    run("bsub", "-n", "2", "sleep 30")
    stopped = submitted(run("bsub", "sleep 30"))
    wait_for(lambda: [job["stat"] for job in lsf.jobs()] == ["RUN", "PEND", "RUN"])
    run("bstop", stopped)
    wait_for(lambda: stat(lsf, stopped) == "USUSP")
    assert run("bqueues").stdout == (
        "QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP \n"
        "normal            40  Open:Active       -    -    -    -     5     2     2     1\n"
        "shut              30  Closed:Active     -    -    -    -     0     0     0     0\n"
    )
    answer = run("bqueues", "shut", "nosuch")
    assert (answer.returncode, len(answer.stdout.splitlines()), answer.stderr) == (255, 2, "nosuch: No such queue\n")


def test_names_and_descriptions_can_be_changed(run: Run) -> None:
    """`bsub -Jd` sets a description, and bmod changes both, for each element of an array alike."""
    job = submitted(run("bsub", "-J", "first[1-2]", "-Jd", "one", GO))
    fields = ("bjobs", "-json", "-o", "job_name job_description", job)
    before = json.loads(run(*fields).stdout)["RECORDS"]
    assert [(record["JOB_NAME"], record["JOB_DESCRIPTION"]) for record in before] == [
        ("first[1]", "one"),
        ("first[2]", "one"),
    ]
    assert run("bmod", "-J", "second", "-Jdn", job).stdout == f"Parameters of job <{job}> are being changed\n"
    after = json.loads(run(*fields).stdout)["RECORDS"]
    assert [(record["JOB_NAME"], record["JOB_DESCRIPTION"]) for record in after] == [
        ("second[1]", ""),
        ("second[2]", ""),
    ]
    assert run("bmod", "-J", "third", "99").returncode == 255


def test_what_a_job_used(run: Run, lsf: FakeLSF) -> None:
    """As far as it was measured when the job ended, also by a signal."""
    jobid = submitted(
        run("bsub", f"{sys.executable} -c 'ballast = b\"x\" * 60_000_000; import os; os.kill(os.getpid(), 9)'")
    )
    wait_for(ended(lsf))
    (used,) = records(run, jobid, fields="stat run_time cpu_used max_mem")
    assert used["STAT"] == "EXIT"
    assert used["CPU_USED"].endswith(" second(s)")
    size, unit = used["MAX_MEM"].split()
    assert (60 <= int(size) < 1000, unit) == (True, "Mbytes")
