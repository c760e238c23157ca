"""Record what HTCondor's tools print: `python -m tests.clusters.htcondor.record INSTALL FOLDER`, for tests of parsers.

Each file of FOLDER is one stream of one command: two lines of comment, then the text as it came.
A command that printed on both streams makes two files.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.clusters.htcondor.cluster import HTCondorPool

ATTRIBUTES = (
    "ClusterId,ProcId,JobStatus,ExitCode,ExitBySignal,ExitSignal,HoldReason,HoldReasonCode,HoldReasonSubCode,"
    "RemoveReason,RemoteHost,LastRemoteHost,B2luigiToken"
)
PAST = f"{ATTRIBUTES},RemoteWallClockTime,RemoteUserCpu,RemoteSysCpu,ResidentSetSize_RAW"
HEAD = 'executable = {exe}\narguments = {args}\n+B2luigiToken = "abc"\n{more}\n'
SEVERAL = """executable = /bin/sleep
arguments = 0
initialdir = $(dir)
+B2luigiToken = "$(tok)"
queue tok,dir from (
a1 {work}
b2 {work}/with space, and comma
c3 {work}
)
"""


class Recorder:
    """One pool, one folder of answers."""

    def __init__(self, pool: HTCondorPool, work: Path, target: Path) -> None:
        """Answers go to `target`, submit files to `work`."""
        self.pool, self.work, self.target = pool, work, target
        self.version = pool.run("condor_version").stdout.split()[1]

    def record(self, name: str, *argv: str) -> str:
        """Run a command and keep its answer; what it printed on stdout."""
        answer = self.pool.run(*argv, cwd=self.work)
        texts = {"stdout": answer.stdout, "stderr": answer.stderr}
        shown = " ".join(f"'{word}'" if " " in word else word for word in argv)
        kept = [stream for stream, text in texts.items() if text] or ["stdout"]
        for stream in kept:
            file = self.target / (f"{name}.txt" if len(kept) == 1 else f"{name}.{stream}.txt")
            head = f"# HTCondor {self.version}: {shown}\n# rc={answer.returncode} stream={stream}\n"
            file.write_text(head + texts[stream])
        return answer.stdout

    def describe(self, name: str, text: str) -> str:
        """Write a submit description; its file name."""
        (self.work / name).write_text(text)
        return name

    def submit(self, exe: str, args: str, more: str = "", end: str = "queue\n") -> str:
        """Submit a job; its cluster id."""
        file = self.describe("job.sub", HEAD.format(exe=exe, args=args, more=more) + end)
        answer = self.pool.run("condor_submit", "-terse", file, cwd=self.work)
        answer.check_returncode()
        return answer.stdout.split(".")[0]

    def wait(self, reached: Callable[[dict[str, int]], bool]) -> None:
        """Wait until the states in the queue, by cluster, are as wished."""
        for _ in range(300):
            if reached({str(job["ClusterId"]): job["JobStatus"] for job in self.pool.queue()}):
                return
            time.sleep(0.1)
        raise TimeoutError(self.pool.queue())


def submissions(recorder: Recorder) -> None:
    """Accepted and refused submissions."""
    (recorder.work / "with space, and comma").mkdir()
    several = recorder.describe("several.sub", SEVERAL.format(work=recorder.work))
    one = recorder.describe("one.sub", HEAD.format(exe="/bin/true", args="", more="") + "queue\n")
    recorder.record("submit-one", "condor_submit", one)
    recorder.record("submit-several", "condor_submit", several)
    recorder.record("submit-terse-one", "condor_submit", "-terse", one)
    recorder.record("submit-terse-several", "condor_submit", "-terse", several)
    refusals = {
        "bad-line": "executable = /bin/true\nthis is no command\nqueue\n",
        "no-executable": "executable = /nonexistent/script.sh\nqueue\n",
        "no-initialdir": "executable = /bin/true\ninitialdir = /nonexistent\nqueue\n",
        "bad-requirements": "executable = /bin/true\nrequirements = (((\nqueue\n",
        "unused-line": "executable = /bin/true\nqueue_name = s\nqueue\n",
    }
    for name, text in refusals.items():
        recorder.record(f"submit-{name}", "condor_submit", "-terse", recorder.describe(f"{name}.sub", text))
    recorder.record("submit-no-file", "condor_submit", "-terse", "nonexistent.sub")


def suicide(recorder: Recorder) -> str:
    """A script that kills itself (`$$` in a submit description would be HTCondor's own)."""
    script = recorder.work / "suicide.sh"
    script.write_text("#!/bin/sh\nkill -9 $$\n")
    script.chmod(0o755)
    return str(script)


def queue(recorder: Recorder) -> None:
    """One job in each state, as condor_q shows it; then condor_rm's answers."""
    recorder.pool.remove_all()
    recorder.record("query-empty", "condor_q", "-json", "-attributes", ATTRIBUTES)
    stay = "leave_in_queue = true"
    idle = recorder.submit("/bin/sleep", "60", "request_cpus = 1000")
    running = recorder.submit("/bin/sleep", "60")
    held = recorder.submit("/bin/sleep", "60")
    bad_input = recorder.submit("/bin/true", "", "should_transfer_files = YES\ntransfer_input_files = /nonexistent/x")
    # the quotes are HTCondor's: one argument `exit 3`
    exited = recorder.submit("/bin/sh", "\"-c 'exit 3'\"", stay)
    done = recorder.submit("/bin/true", "", stay)
    killed = recorder.submit(suicide(recorder), "", stay)
    removed = recorder.submit("/bin/sleep", "60", stay)
    recorder.wait(lambda now: [now[c] for c in (running, held, removed, exited, done, killed)] == [2, 2, 2, 4, 4, 4])
    recorder.record("remove-ok", "condor_rm", removed)
    recorder.record("hold-ok", "condor_hold", f"{held}.0")
    recorder.wait(lambda now: [now[c] for c in (idle, held, bad_input, removed)] == [1, 5, 5, 3])
    time.sleep(3)
    for name, cluster in {
        "idle": idle, "running": running, "held": held, "held-input": bad_input, "exited": exited,
        "done": done, "killed": killed, "removed": removed,
    }.items():  # fmt: skip
        recorder.record(f"query-{name}", "condor_q", "-json", "-attributes", ATTRIBUTES, cluster)
    recorder.record("query-all", "condor_q", "-json", "-attributes", ATTRIBUTES)
    token = ("-constraint", 'B2luigiToken == "abc"')
    recorder.record("query-by-token", "condor_q", "-json", "-attributes", "ClusterId,ProcId,B2luigiToken", *token)
    recorder.record("query-unknown-id", "condor_q", "-json", "-attributes", ATTRIBUTES, "99999.0")
    recorder.record("remove-several", "condor_rm", f"{idle}.0", f"{running}.0")
    recorder.record("remove-again", "condor_rm", f"{removed}.0")
    recorder.record("remove-unknown", "condor_rm", "99999.0")
    recorder.record("remove-unknown-cluster", "condor_rm", "99999")
    recorder.pool.remove_all()
    recorder.record("remove-gone", "condor_rm", f"{running}.0")
    fresh = recorder.submit("/bin/sleep", "60")
    recorder.record("remove-mixed", "condor_rm", f"{fresh}.0", "99999.0")
    recorder.pool.remove_all()


def history(recorder: Recorder) -> None:
    """Jobs that have left the queue, as condor_history shows them."""
    clusters = {
        "exited": recorder.submit("/bin/sh", "\"-c 'exit 3'\""),
        "done": recorder.submit("/bin/true", ""),
        "killed": recorder.submit(suicide(recorder), ""),
        "removed": recorder.submit("/bin/sleep", "60"),
        "removed-idle": recorder.submit("/bin/sleep", "60", "request_cpus = 1000"),
    }
    left = {clusters["removed"], clusters["removed-idle"]}
    recorder.wait(lambda now: set(now) == left and now[clusters["removed"]] == 2)
    recorder.pool.remove_all()
    for name, cluster in clusters.items():
        recorder.record(f"history-{name}", "condor_history", "-json", "-attributes", PAST, cluster)
    recorder.record("history-unknown-id", "condor_history", "-json", "-attributes", PAST, "99999")


def without_schedd(recorder: Recorder) -> None:
    """The same commands when nobody answers."""
    recorder.record("submit-no-schedd", "condor_submit", "-terse", "one.sub")
    recorder.record("query-no-schedd", "condor_q", "-json", "-attributes", ATTRIBUTES)
    recorder.record("remove-no-schedd", "condor_rm", "1.0")


class ProgramsOnly(HTCondorPool):
    """A machine with the programs and no configuration at all."""

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": super().env["PATH"]}


def without_configuration(recorder: Recorder) -> None:
    """The programs alone: `CONDOR_CONFIG` has to be unset, and /etc/condor empty."""
    recorder.describe("one.sub", HEAD.format(exe="/bin/true", args="", more="") + "queue\n")
    recorder.record("submit-no-configuration", "condor_submit", "-terse", "one.sub")
    recorder.record("query-no-configuration", "condor_q", "-json", "-attributes", ATTRIBUTES)


def main() -> None:
    """Record everything."""
    install, target = map(Path, sys.argv[1:])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) / "work"
        work.mkdir()
        without_configuration(Recorder(ProgramsOnly(install, Path(temporary)), work, target))
        with HTCondorPool(install, Path(temporary) / "pool") as pool:
            recorder = Recorder(pool, work, target)
            submissions(recorder)
            queue(recorder)
            history(recorder)
        without_schedd(recorder)


if __name__ == "__main__":
    main()
