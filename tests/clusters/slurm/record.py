"""Record what Slurm's tools print, for the tests of parsers: `python -m tests.clusters.slurm.record FOLDER`.

Each file of FOLDER is one stream of one command: two lines of comment, then the text as it came.
The commands are those of our language, so that the answers are those to our own words.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from b2luigi.batch.systems.model import Command
from b2luigi.batch.systems.slurm import Slurm
from tests.clusters.slurm.cluster import SlurmCluster, install_slurm
from tests.machine import PATH

SAY = Slurm()
SLEEP = "#!/bin/sh\nsleep 60\n"


class Recorder:
    """One cluster, one folder of answers."""

    def __init__(self, cluster: SlurmCluster, target: Path) -> None:
        """Answers go to `target`."""
        self.cluster, self.target = cluster, target
        self.version = cluster.run("slurmctld", "-V").stdout.split()[-1]  # squeue says it only where a cluster is

    def record(self, name: str, *argv: str, stdin: str = "") -> str:
        """Runs a command and keeps its answer; what it printed on stdout."""
        answer = self.cluster.run(*argv, input=stdin, cwd="/tmp")
        texts = {"stdout": answer.stdout, "stderr": answer.stderr}
        shown = " ".join(f"'{word}'" if set(" |;") & set(word) else word for word in argv)
        kept = [stream for stream, text in texts.items() if text] or ["stdout"]
        for stream in kept:
            file = self.target / (f"{name}.txt" if len(kept) == 1 else f"{name}.{stream}.txt")
            head = f"# Slurm {self.version}: {shown}\n# rc={_shown(answer.returncode)} stream={stream}\n"
            file.write_text(head + texts[stream].replace(str(self.cluster.state), "/state"))
        return answer.stdout

    def say(self, name: str, command: Command | None) -> str:
        """Records a command of our language."""
        assert command is not None
        return self.record(name, *command.argv)

    def submit(self, script: str, *options: str) -> str:
        """Submits a job, its output goes nowhere; its id."""
        answer = self.cluster.run(
            *("sbatch", "--parsable", "--job-name=job-abc", "--comment=abc", "--output=/dev/null", *options),
            input=script,
            cwd="/tmp",
        )
        answer.check_returncode()
        return answer.stdout.strip()

    def states(self) -> dict[str, str]:
        """State by job id."""
        text = self.cluster.run("squeue", "-h", "-r", "-t", "all", "-O", "JobArrayID:|,State:|").stdout
        return {row.split("|")[0]: row.split("|")[1] for row in text.splitlines()}

    def wait(self, reached: Callable[[dict[str, str]], bool], seconds: float = 60) -> None:
        """Waits until the states are as wished."""
        end = time.monotonic() + seconds
        while not reached(self.states()):
            if time.monotonic() > end:
                raise TimeoutError(self.states())
            time.sleep(0.1)


def _shown(rc: int) -> str:
    """`none` for a command that was stopped: it would have run on."""
    return str(rc) if rc >= 0 else "none"


def submissions(recorder: Recorder) -> None:
    """Accepted and refused submissions."""
    ours = ("sbatch", "--parsable", "--job-name=job-abc", "--comment=abc", "--output=/dev/null")
    recorder.record("submit-one", *ours, "--hold", stdin=SLEEP)
    recorder.record("submit-array", *ours, "--hold", "--array=0-2", stdin=SLEEP)
    refusals = {
        "bad-partition": "--partition=nosuch",
        "bad-time": "--time=soon",
        "bad-memory": "--mem=much",
        "bad-option": "--nosuch=1",
        "bad-account": "--qos=nosuch",
        "too-much": "--nodes=900",
        "array-too-large": "--array=0-4999",
    }
    for name, option in refusals.items():
        recorder.record(f"submit-{name}", *ours, option, stdin=SLEEP)
    recorder.record("submit-empty", *ours)
    recorder.record("submit-no-shebang", *ours, stdin="sleep 1\n")
    recorder.cluster.cancel_all()


def queue(recorder: Recorder) -> None:
    """One job in each state, as squeue shows it; then scancel's answers."""
    recorder.say("query-none-of-ours", SAY.query([]))
    cluster, submit = recorder.cluster, recorder.submit
    jobs = {
        "done": submit("#!/bin/sh\n"),
        "exited": submit("#!/bin/sh\nexit 3\n"),
        "killed": submit("#!/bin/sh\nkill -9 $$\n"),
        "running": submit(SLEEP),
        "cancelled": submit(SLEEP),
        "suspended": submit(SLEEP),
        "no-output-folder": submit("#!/bin/sh\n", "--output=/no/such/folder/out"),
        "node-failed": submit(SLEEP, "--no-requeue", "--nodelist=n2"),
        "requeued": submit(SLEEP, "--nodelist=n2"),
        "requeue-held": submit(SLEEP),
        "timeout": submit(SLEEP),
        "held": submit(SLEEP, "--hold"),
        "cancelled-waiting": submit(SLEEP, "--hold"),
        "too-many-processors": submit(SLEEP, "--ntasks=9999"),
        "begin": submit(SLEEP, "--begin=now+1hour"),
    }
    jobs["never"] = submit(SLEEP, f"--dependency=afterok:{jobs['exited']}")
    array = submit("#!/bin/sh\n[ $SLURM_ARRAY_TASK_ID = 3 ] && sleep 60\nexit $SLURM_ARRAY_TASK_ID\n", "--array=0-5%4")
    running = [jobs[name] for name in ("running", "cancelled", "suspended", "requeued", "requeue-held", "timeout")]
    recorder.wait(lambda now: all(now[job] == "RUNNING" for job in running) and now[f"{array}_3"] == "RUNNING")
    cluster.run("scancel", jobs["cancelled"], jobs["cancelled-waiting"])
    cluster.run("scontrol", "suspend", jobs["suspended"])
    cluster.run("scontrol", "requeuehold", jobs["requeue-held"])
    cluster.run("scontrol", "update", f"jobid={jobs['timeout']}", "EndTime=now+1")
    cluster.fail_node("n2")
    settled = {"cancelled": "CANCELLED", "node-failed": "NODE_FAIL", "requeued": "PENDING", "timeout": "TIMEOUT"}
    recorder.wait(lambda now: all(now[jobs[name]] == state for name, state in settled.items()))
    cluster.resume_node("n2")
    for name, job in jobs.items():
        recorder.record(f"query-{name}", *SAY.query([]).argv, "-j", job)
    recorder.record("query-array", *SAY.query([]).argv, "-j", array)
    recorder.say("query-all", SAY.query([]))
    recorder.record("query-unknown-id", *SAY.query([]).argv, "-j", "99999")
    recorder.say("cancel-ok", SAY.cancel([jobs["running"]]))
    recorder.say("cancel-ended", SAY.cancel([jobs["done"]]))
    recorder.say("cancel-unknown", SAY.cancel(["99999"]))
    recorder.say("cancel-elements", SAY.cancel([f"{array}_3", f"{array}_4"]))
    recorder.say("cancel-mixed", SAY.cancel([jobs["held"], "99999"]))
    recorder.say("history-no-accounting", SAY.history([jobs["done"]]))
    cluster.cancel_all()


def without_controller(recorder: Recorder) -> None:
    """The same commands when nobody answers."""
    recorder.cluster.stop_controller()
    recorder.record("submit-no-controller", "sbatch", "--parsable", stdin=SLEEP)
    recorder.say("query-no-controller", SAY.query([]))
    recorder.say("cancel-no-controller", SAY.cancel(["1"]))


class ProgramsOnly(SlurmCluster):
    """A machine with the programs and no `slurm.conf`, on which at most a variable names a cluster."""

    def __init__(self, state: Path, **variables: str) -> None:
        super().__init__(state)
        self.variables = variables

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": PATH, **self.variables}


def without_configuration(folder: Path, target: Path) -> None:
    """The programs alone; without an answer of a name server; and with one variable that names a controller."""
    nowhere = Recorder(ProgramsOnly(folder), target)
    remote = Recorder(ProgramsOnly(folder, SLURM_CONF_SERVER="127.0.0.1:1"), target)
    submit = ("sbatch", "--parsable")
    for name, recorder, before in (
        ("no-configuration", nowhere, ()),
        ("no-name-server", nowhere, ("unshare", "--net")),
        ("no-remote-configuration", remote, ()),
    ):
        recorder.record(f"query-{name}", *before, *SAY.query([]).argv)
        recorder.record(f"submit-{name}", *before, *submit, stdin=SLEEP)


def history(recorder: Recorder) -> None:
    """Ended jobs, as sacct shows them."""
    submit = recorder.submit
    jobs = {
        "done": submit("#!/bin/sh\n"),
        "exited": submit("#!/bin/sh\nexit 3\n"),
        "killed": submit("#!/bin/sh\nkill -9 $$\n"),
        "cancelled": submit(SLEEP),
        "array": submit("#!/bin/sh\nexit $SLURM_ARRAY_TASK_ID\n", "--array=0-2"),
    }
    recorder.wait(lambda now: now[jobs["cancelled"]] == "RUNNING")
    recorder.cluster.run("scancel", jobs["cancelled"])
    recorder.wait(lambda now: not set(now.values()) & {"RUNNING", "PENDING", "COMPLETING"})
    time.sleep(8)  # the first jobs after the start of the controller are late in the database
    for name, job in jobs.items():
        recorder.say(f"history-{name}", SAY.history([job]))
    recorder.say("history-all", SAY.history(list(jobs.values())))
    recorder.say("history-unknown-id", SAY.history(["99999"]))


def main() -> None:
    """Records everything."""
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    install_slurm(accounting=True)
    with tempfile.TemporaryDirectory() as folder:
        without_configuration(Path(folder), target)
        with SlurmCluster(Path(folder) / "plain") as cluster:
            recorder = Recorder(cluster, target)
            submissions(recorder)
            queue(recorder)
            without_controller(recorder)
        with SlurmCluster(Path(folder) / "full", max_job_count=2, nodes=1) as cluster:
            recorder = Recorder(cluster, target)
            recorder.submit(SLEEP, "--hold")
            recorder.record("submit-full", "timeout", "-s", "KILL", "3", "sbatch", "--parsable", stdin=SLEEP)
        with SlurmCluster(Path(folder) / "accounting", accounting=True) as cluster:
            history(Recorder(cluster, target))


if __name__ == "__main__":
    main()
