from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from b2luigi.batch.queue.command import Process, run, start
from b2luigi.batch.systems.model import Answer, Command
from tests.present import present
from tests.waiting import until


def shell(text: str) -> Command:
    return Command(("/bin/sh", "-c", text))


def exists(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_answer_has_three_parts() -> None:
    """Exit code and both streams are kept apart, and text comes as it is."""
    assert run(shell("echo out; printf 'gr\\303\\274n' >&2; exit 3")) == Answer(3, "out\n", "grün")


def test_words_are_never_code() -> None:
    """No shell reads the words of a command."""
    word = "a b; $(touch pwned) `x` * \n"
    assert run(Command(("printf", "%s", word))).stdout == word
    assert os.listdir() == []


def test_it_starts_and_returns_at_once() -> None:
    """A command runs beside the loop: there is no answer until it ended, then always the same one."""
    running = start(shell("while [ ! -e go ]; do sleep 0.01; done; echo done"))
    assert running.poll() is None
    Path("go").touch()
    until(running.poll, "it answered")
    assert running.poll() == running.poll() == Answer(0, "done\n", "")


@pytest.mark.parametrize(
    "text", ["", "several\nlines\n", "x" * 1_000_000, os.fsdecode(b"\xff")], ids=lambda x: ascii(x[:9])
)
def test_input(text: str) -> None:
    """A program reads its input, and then the end."""
    answer = run(Command((sys.executable, "-ISc", "import sys; print(len(sys.stdin.buffer.read()))"), stdin=text))
    assert answer.stdout == f"{len(os.fsencode(text))}\n"


def test_an_answer_of_any_size_and_make() -> None:
    """A program that says a lot does not block, and bytes that are no text do no harm."""
    answer = run(shell("head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero >&2; printf '\\377' >&2"))
    assert (answer.rc, len(answer.stdout), answer.stderr[-2:]) == (0, 3_000_000, "\0\ufffd")


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are added, replaced and taken away, for this one program only."""
    for name in ("B2_KEPT", "B2_REPLACED", "B2_TAKEN"):
        monkeypatch.setenv(name, "former")
    changes = {"B2_NEW": "", "B2_REPLACED": "a=b\nc", "B2_TAKEN": None, "B2_NEVER_THERE": None}
    answer = run(Command((sys.executable, "-ISc", PRINT_OURS), env=changes))
    assert answer.stdout == "{'B2_KEPT': 'former', 'B2_NEW': '', 'B2_REPLACED': 'a=b\\nc'}\n"
    assert os.environ["B2_TAKEN"] == "former"


PRINT_OURS = "import os; print({name: os.environ[name] for name in sorted(os.environ) if name.startswith('B2_')})"


def test_a_program_that_is_not_there() -> None:
    """A missing program answers like a shell would: 127, and its name."""
    assert run(Command(("no-such-bsub", "-x"))) == Answer(127, "", "no-such-bsub: command not found")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("./plain",), "Permission denied"),
        (("./garbage",), "Exec format error"),
        (("true", "x" * 3_000_000), "Argument list too long"),
        (("true", "a\0b"), "null byte"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else value[0],
)
def test_a_program_that_cannot_be_started(argv: tuple[str, ...], words: str) -> None:
    """A program that cannot be run answers 126 with the reason; nothing is raised."""
    Path("plain").touch(0o644)
    Path("garbage").write_bytes(b"\x7fnonsense")
    Path("garbage").chmod(0o755)
    answer = run(Command(argv))
    assert answer.rc == 126
    assert answer.stderr.startswith(f"{argv[0]}: ")
    assert words in answer.stderr


def test_no_room_for_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a folder for temporary files is not reported as a machine without the program."""
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    answer = run(shell("true"))
    assert answer.rc == 126
    assert "/no/such/folder" in answer.stderr


def test_found_on_the_path(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are found like in a shell."""
    (script_folder / "bsub").write_text('#!/bin/sh\necho "$# $1"\n')
    (script_folder / "bsub").chmod(0o755)
    monkeypatch.setenv("PATH", f"{script_folder}:{os.environ['PATH']}")
    assert run(Command(("bsub", "-q s", "x"))).stdout == "2 -q s\n"


def test_a_deadline_ends_all_that_was_started() -> None:
    """A command that hangs is killed with its children; the answer says after how long, and what it printed before."""
    now = [100.0]
    process = Process(shell("sleep 60 & echo $!; echo words >&2; trap '' TERM; > begun; sleep 60"), 5.0, lambda: now[0])
    until(Path("begun").exists, "it printed something")
    now[0] += 5.0
    answer = present(process.poll())
    assert (answer.rc, answer.stderr, answer.timed_out) == (-signal.SIGKILL, "words\n", 5.0)
    assert answer.words == "no answer within 5 s"
    until(lambda: not exists(int(answer.stdout)), "its child is gone")


def test_the_deadline_of_a_command_that_says_nothing() -> None:
    """By the clock of this machine, as everywhere but in tests."""
    assert run(shell("sleep 60"), timeout=0.1).timed_out == 0.1


def test_the_deadline_is_kept_by_the_clock_it_was_given() -> None:
    """A command has its time and not less: one tick before the deadline it runs."""
    times = iter([100.0, 109.9, 110.0])
    process = Process(shell("sleep 60"), 10, clock=lambda: next(times))
    assert process.poll() is None
    answer = process.poll()
    assert answer is not None
    assert answer.timed_out == 10
    assert process.poll() is answer


def test_an_interrupted_wait_ends_all_that_was_started(script_folder: Path) -> None:
    """Whoever stops waiting for a program leaves none behind."""
    pid = script_folder / "pid"

    def interrupt(*_: object) -> None:
        if pid.exists():
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        with pytest.raises(KeyboardInterrupt):
            run(shell(f"sleep 60 & echo $! > {pid}.part; mv {pid}.part {pid}; wait"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    until(lambda: not exists(int(pid.read_text())), "the program has ended")


def test_a_signal_is_a_negative_exit_code() -> None:
    """A program that was shot answers with the negative number of the signal."""
    assert run(shell("kill -11 $$")).rc == -signal.SIGSEGV


def test_a_session_of_its_own() -> None:
    """A Ctrl-C at the terminal reaches no command."""
    answer = run(Command((sys.executable, "-ISc", "import os; print(os.getsid(0) == os.getpid(), os.getsid(0))")))
    own, session = answer.stdout.split()
    assert (own, int(session) != os.getsid(0)) == ("True", True)


def test_what_it_leaves_running_is_not_waited_for() -> None:
    """A command whose child holds its streams is over when it ends."""
    answer = run(shell("sleep 1000 & echo $!"))
    assert exists(int(answer.stdout))
    os.kill(int(answer.stdout), signal.SIGKILL)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(1, " out\n", "err\n"), "err\nout"),
        (Answer(0, "out", " \n"), "out"),
        (Answer(255, "", ""), "exit code 255, no output"),
        (Answer(-9, "out", "err", 60.0), "no answer within 60 s"),
    ],
)
def test_what_an_answer_says(answer: Answer, words: str) -> None:
    """An answer in one text, errors first."""
    assert answer.words == words


def test_a_machine_without_a_free_file_is_no_answer_of_the_program() -> None:
    """The answer says that the program was not started for a reason that may pass; a missing program is another."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        answer = start(shell("true")).poll()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert answer is not None
    assert (answer.rc, answer.started) == (126, False)
    assert run(Command(("/no/such/program",))).started


def test_all_variables_that_begin_so_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a star stands for all of them; what the command sets itself stays."""
    monkeypatch.setenv("SQUEUE_ACCOUNT", "alpha")
    monkeypatch.setenv("SQUEUE_NEW_IN_A_LATER_RELEASE", "1")
    monkeypatch.setenv("SQUEEZE", "kept")
    words = ("sh", "-c", "env | grep '^SQUE' | sort")
    command = Command(words, env={"SQUEUE_*": None, "SQUEUE_OURS": "1"})
    assert run(command).stdout == "SQUEEZE=kept\nSQUEUE_OURS=1\n"
