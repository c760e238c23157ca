"""What the command says of a run, from a second process in another folder, is what its tasks themselves counted."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from b2luigi.monitor import NoRunsError, State, load
from tests.end_to_end.conftest import ONE_CLUSTER, System
from tests.end_to_end.project import Ended, Project, Started, end_of
from tests.waiting import until

pytestmark = pytest.mark.parametrize("system", ONE_CLUSTER, indirect=True)

COUNTING = """
    import json, platform, resource

    def job_id():
        \"\"\"What the batch system itself calls the job that runs this.\"\"\"
        env = os.environ
        if "SLURM_ARRAY_JOB_ID" in env:
            return env["SLURM_ARRAY_JOB_ID"] + "_" + env["SLURM_ARRAY_TASK_ID"]
        if "LSB_JOBID" in env:
            index = env.get("LSB_JOBINDEX", "0")
            return env["LSB_JOBID"] + ("" if index == "0" else f"[{index}]")
        if "_CONDOR_JOB_AD" in env:
            ad = dict(line.split(" = ", 1) for line in open(env["_CONDOR_JOB_AD"]) if " = " in line)
            return ad["ClusterId"].strip() + "." + ad["ProcId"].strip()
        return env.get("SLURM_JOB_ID", str(os.getpgid(os.getppid())))

    def nodes():
        \"\"\"What this machine calls itself, and what the batch system does.\"\"\"
        env, found = os.environ, [platform.node()]
        if "_CONDOR_MACHINE_AD" in env:
            ad = dict(line.split(" = ", 1) for line in open(env["_CONDOR_MACHINE_AD"]) if " = " in line)
            found.append(ad["Machine"].strip().strip('"'))
        return [*found, *(env[name] for name in ("SLURMD_NODENAME", "LSB_HOSTS") if name in env)]

    def count(task, what, **more):
        used = resource.getrusage(resource.RUSAGE_SELF)
        more.update(memory=1024 * used.ru_maxrss, cpu=time.process_time(), nodes=nodes(), at=time.time())
        facts = {"task": task.task_id, "what": what, "job": job_id(), **more}
        with open("counted.jsonl", "a") as file:
            file.write(json.dumps(facts) + "\\n")

    def begun(task):
        with open("counted.jsonl") as file:
            return sum(facts["task"] == task.task_id and facts["what"] == "began" for facts in map(json.loads, file))

    class Counted(b2luigi.Task):
        htcondor_settings = {"request_memory": "200 MB", "request_disk": "1 MB"}

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            ballast = b"x" * 60_000_000
            count(self, "began")
            try:
                self.work()
            except ValueError:
                count(self, "failed")
                raise
            open(self.get_output_file_name("out.txt"), "w").close()
            count(self, "done")

    class Make(Counted):
        n = b2luigi.IntParameter()

        def work(self):
            print(f"here is attempt {begun(self)} of {self.n}", flush=True)
            wait_for(f"go-{self.n}")
            if self.n == 1 and not os.path.exists("mended"):
                raise ValueError("bad weather")

    class Merge(Counted):
        def requires(self):
            return [Make(n=n) for n in range(5)]

        def work(self):
            pass

    if __name__ == "__main__":
        b2luigi.set_setting("local_slots", 5)
        b2luigi.process(Merge())
"""

ASKING = """
import json, sys
from typer.testing import CliRunner
from b2luigi.cli.command.app import app
calls, answers = sys.argv[1:]
found = [CliRunner().invoke(app, words) for words in json.load(open(calls))]
json.dump([(answer.exit_code, answer.output, repr(answer.exception)) for answer in found], open(answers, "w"))
"""
"""Calls the command several times in one process: most of what a call costs is the start."""


@dataclass(frozen=True)
class Said:
    """What one call of the command printed, and its exit code."""

    rc: int
    text: str


class Elsewhere:
    """A second process in a folder that has nothing to do with the project."""

    def __init__(self, project: Project) -> None:
        self._project, self.folder = project, project.folder.with_name("elsewhere")
        self.folder.mkdir()
        self.script = str(project.folder / "analysis.py")
        self.of = ("--in", self.script)

    def ask(self, *calls: Sequence[str]) -> list[Said]:
        """Each call: the words after `b2luigi`."""
        (self.folder / "calls.json").write_text(json.dumps(calls))
        ended = end_of(self._project.start_python("-c", ASKING, "calls.json", "answers.json", cwd=self.folder))
        assert ended.rc == 0, ended.text
        answers = json.loads((self.folder / "answers.json").read_text())
        assert all(error in ("None", f"SystemExit({rc})") for rc, _, error in answers), answers
        return [Said(rc, text) for rc, text, _ in answers]

    def start(self, *words: str) -> Started:
        """Starts the command itself."""
        return self._project.start_python("-m", "b2luigi", *words, cwd=self.folder)

    def run(self, *words: str) -> Ended:
        """Runs the command itself."""
        return end_of(self.start(*words))

    def status(self, *words: str) -> dict[str, Any]:
        """What `status --json` says."""
        [said] = self.ask(("status", self.script, "--json", *words))
        assert said.rc == 0, said.text
        found: dict[str, Any] = json.loads(said.text)
        return found


def counted(project: Project) -> dict[str, list[dict[str, Any]]]:
    """What each task wrote down itself, by task id, in this order."""
    found = defaultdict(list)
    path = project.folder / "counted.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        facts = json.loads(line)
        found[facts["task"]].append(facts)
    return found


def own_states(project: Project) -> Counter[str]:
    """How many tasks are in which state, by their own words."""
    states = {"began": "running", "done": "done", "failed": "failed"}
    return Counter(states[facts[-1]["what"]] for facts in counted(project).values())


def number_of(task: Mapping[str, Any]) -> str:
    return str(task["parameters"].get("n", "Merge"))


def by_number(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {number_of(task): task for task in found["tasks"]}


def until_known(project: Project, **counts: int) -> None:
    """The journal is written once a second, and Slurm's listing is read every few: the run knows of so many tasks."""
    wanted = {State(state): number for state, number in counts.items()}
    until(lambda: wanted.items() <= counts_of(project).items(), f"the run knows of {counts}", every=0.2)


def counts_of(project: Project) -> Mapping[State, int]:
    """What the journal of the last run says; there may be none yet."""
    try:
        return load(project.folder)[0].counts()
    except NoRunsError:
        return {}


def check_against_tasks(found: Mapping[str, Any], project: Project) -> None:
    """States, job ids, attempts, nodes, times and use of all tasks that had a job."""
    own = counted(project)
    waiting = len(found["tasks"]) - len(own)
    counts = own_states(project) + Counter({"waiting": waiting} if waiting else {})
    assert found["run"]["counts"] == counts
    for task in found["tasks"]:
        facts = own.get(task["task_id"], [])
        if facts:
            check_task(task, facts)
        else:
            assert (task["state"], task["attempts"], task["job_id"], task["node"]) == ("waiting", 0, None, None)


def check_task(task: Mapping[str, Any], facts: Sequence[Mapping[str, Any]]) -> None:
    attempts = [one for one in facts if one["what"] == "began"]
    began, last = attempts[-1], facts[-1]
    assert task["state"] == {"began": "running"}.get(last["what"], last["what"])
    assert (task["job_id"], task["attempt"]) == (last["job"], len(attempts))
    assert short(task["node"]) in map(short, last["nodes"])
    assert task["submitted"] <= began["at"]
    if last is not began:
        assert task["started"] <= began["at"] <= last["at"] <= task["ended"]
        assert last["memory"] <= task["memory"] < 10 * last["memory"]
        assert last["cpu"] <= task["cpu"] + 0.05 < last["cpu"] + 20


def short(node: str) -> str:
    """A name of a node without its domain, and without the slot in front of it."""
    return node.rpartition("@")[2].partition(".")[0]


def rows_of_csv(text: str) -> list[tuple[str, str, str, str]]:
    return [(row["task_id"], row["state"], row["job_id"], row["node"]) for row in csv.DictReader(io.StringIO(text))]


def rows_of_status(found: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    return [(task["task_id"], task["state"], task["job_id"] or "", task["node"] or "") for task in found["tasks"]]


def check_table(text: str, found: Mapping[str, Any]) -> None:
    """The table of the classes has the same counts."""
    heading = next(line for line in text.splitlines() if line.startswith("class "))
    states = heading.split()[1:-1]
    totals = next(line for line in text.splitlines() if line.startswith("all ")).split()[1:-1]
    shown = {state: int(number) for state, number in zip(states, totals, strict=True) if number != "-"}
    assert shown == found["run"]["counts"]


def let_go(project: Project, *numbers: int) -> None:
    for number in numbers:
        project.touch(f"go-{number}")


def test_every_command_on_a_run_that_lives_that_was_killed_and_that_ended(system: System, project: Project) -> None:
    """One run is looked at while it lives, and once it was killed; then a second one, beside the first."""
    project.write(COUNTING)
    elsewhere = Elsewhere(project)
    first = project.start("--batch")
    until(lambda: len(counted(project)) == 5 or first.poll() is not None, "all jobs run")
    assert first.poll() is None, first.printed
    until_known(project, running=5)
    follower = elsewhere.start("logs", "Make(n=4)", "--follow", *elsewhere.of)
    let_go(project, 0, 1)
    until(lambda: own_states(project) == {"done": 1, "failed": 1, "running": 3}, "one is done, and one failed")
    until_known(project, done=1, failed=1, running=3)
    alive(elsewhere, project, system)
    mended(elsewhere, project)
    let_go(project, 4)
    assert "here is attempt 1 of 4" in end_of(follower).text
    until_known(project, done=3)

    first.send_signal(signal.SIGKILL)
    end_of(first)
    killed(elsewhere, project, system)

    let_go(project, 2, 3)
    again = elsewhere.run("retry", "--failed", "--yes", *elsewhere.of)
    assert again.rc == 0, again.text
    ended(elsewhere, project)
    assert system.live_jobs() == []


def alive(elsewhere: Elsewhere, project: Project, system: System) -> None:
    found = elsewhere.status()
    check_against_tasks(found, project)
    assert found["run"]["is_alive"] is True
    table, failed, failure, runs, waits, log, csv_, graph, unknown = elsewhere.ask(
        ("status", elsewhere.script),
        ("status", elsewhere.script, "--json", "--failed"),
        ("why", "Make(n=1)", *elsewhere.of),
        ("why", "Make(n=2)", *elsewhere.of),
        ("why", "Merge", *elsewhere.of),
        ("logs", "Make(n=2)", *elsewhere.of),
        ("report", elsewhere.script, "--format", "csv", "-o", "-"),
        ("graph", elsewhere.script, "--status"),
        ("why", "Mak", *elsewhere.of),
    )
    check_table(table.text, found)
    assert [number_of(task) for task in json.loads(failed.text)["tasks"]] == ["1"]
    tasks = by_number(found)
    for words in ("failed", "ValueError: bad weather", tasks["1"]["job_id"], tasks["1"]["node"], "exit code 1"):
        assert words in failure.text
    for words in ("running", tasks["2"]["job_id"], "" if system.name == "local" else f"{system.name} says now:"):
        assert words in runs.text
    assert "Make(n=1): failed: ValueError: bad weather" in waits.text
    assert "here is attempt 1 of 2" in log.text
    assert rows_of_csv(csv_.text) == rows_of_status(found)
    assert graph.rc == 0, graph.text
    assert (unknown.rc, "The nearest: Make" in unknown.text) == (1, True)


def mended(elsewhere: Elsewhere, project: Project) -> None:
    """What failed is tried again, and what runs is cancelled."""
    project.touch("mended")
    retried, cancelled = elsewhere.ask(("retry", "Make(n=1)", *elsewhere.of), ("cancel", "Make(n=3)", *elsewhere.of))
    assert (retried.rc, cancelled.rc) == (0, 0), retried.text + cancelled.text
    until(lambda: own_states(project) == {"done": 2, "running": 3}, "it is done")
    until_known(project, done=2, cancelled=1)
    tasks = by_number(elsewhere.status())
    assert tasks["3"]["state"] == "cancelled"
    assert (tasks["1"]["attempt"], tasks["1"]["attempts"]) == (2, 2)
    check_task(tasks["1"], counted(project)[tasks["1"]["task_id"]])
    earlier, log = elsewhere.ask(
        ("logs", "Make(n=1)", "--attempt", "1", *elsewhere.of), ("logs", "Make(n=1)", *elsewhere.of)
    )
    assert ("bad weather" in earlier.text, "here is attempt 1 of 1" in earlier.text) == (True, True)
    assert ("bad weather" in log.text, "here is attempt 2 of 1" in log.text) == (False, True)


def killed(elsewhere: Elsewhere, project: Project, system: System) -> None:
    """One job still runs; another one was cancelled."""
    found = elsewhere.status()
    assert (found["run"]["is_alive"], found["run"]["finished"]) == (False, None)
    table, left, log, csv_, page, graph = elsewhere.ask(
        ("status", elsewhere.script),
        ("why", "Make(n=2)", *elsewhere.of),
        ("logs", "Make(n=2)", *elsewhere.of),
        ("report", elsewhere.script, "--format", "csv", "-o", "-"),
        ("report", elsewhere.script, "-o", "killed.html"),
        ("graph", elsewhere.script, "--status"),
    )
    check_table(table.text, found)
    for words in ("was killed", "left running when the run was killed", "Run the script again"):
        assert words in table.text
        assert words in left.text or words == "was killed"
    assert "here is attempt 1 of 2" in log.text
    assert rows_of_csv(csv_.text) == rows_of_status(found)
    assert "killed after" in (elsewhere.folder / "killed.html").read_text()
    assert (page.rc, graph.rc) == (0, 0)


def ended(elsewhere: Elsewhere, project: Project) -> None:
    """The last run is meant, unless another one is named."""
    found, before = elsewhere.status(), elsewhere.status("--run", "-2")
    assert found["run"]["id"] > before["run"]["id"]
    assert found["run"]["result"] != ""
    assert own_states(project) == {"done": 6}
    assert found["run"]["counts"] == {"done": 6}
    tasks = by_number(found)
    for number in ("2", "3", "Merge"):
        check_task(tasks[number], counted(project)[tasks[number]["task_id"]])
    assert (tasks["3"]["attempt"], tasks["3"]["attempts"]) == (2, 1)
    table, why, log, older, csv_, cancelled, retried, former, graph = elsewhere.ask(
        ("status", elsewhere.script),
        ("why", "Merge", *elsewhere.of),
        ("logs", "Make(n=3)", *elsewhere.of),
        ("logs", "Make(n=3)", "--run", "-2", *elsewhere.of),
        ("report", elsewhere.script, "--format", "csv", "-o", "-"),
        ("cancel", "Make(n=2)", *elsewhere.of),
        ("retry", "Make(n=2)", *elsewhere.of),
        ("why", "Make(n=3)", "--run", "-2", *elsewhere.of),
        ("graph", elsewhere.script, "--status"),
    )
    check_table(table.text, found)
    assert "done" in why.text.splitlines()[0]
    assert "here is attempt 2 of 3" in log.text
    assert "here is attempt 1 of 3" in older.text
    assert rows_of_csv(csv_.text) == rows_of_status(found)
    assert (cancelled.rc, "it is done" in cancelled.text) == (1, True)
    assert (retried.rc, "is done. To do it again" in retried.text) == (1, True)
    assert "cancelled by you" in former.text
    assert graph.rc == 0, graph.text


NEVER = """
    class Waiting(b2luigi.Task):
        NEVER

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            open(self.get_output_file_name("out.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process(Waiting())
"""
WHY = {
    "lsf": ('lsf_settings = {"w": "ended(1)"}', ("PEND", "Job dependency condition not satisfied")),
    "htcondor": (
        'htcondor_settings = {"request_memory": "900 GB"}',
        ("None of 16 slots matches its requirements", "TARGET.Memory >= RequestMemory"),
    ),
    "slurm": ('slurm_settings = {"begin": "now+1hour"}', ("PENDING: BeginTime",)),
}
"""Settings with which a job stays in the queue, and words on that which only its batch system knows."""


def test_why_a_job_waits_in_the_queue(system: System, project: Project) -> None:
    """The batch system is asked now: its words are in no file of ours."""
    if system.name == "local":
        pytest.skip("jobs of this machine wait for a free slot only")
    never, words = WHY[system.name]
    if system.name == "lsf":
        subprocess.run(["bsub", "sleep 1000"], env=project.env, check=True)  # job 1, for which the other one waits
    project.write(NEVER.replace("NEVER", never))
    elsewhere = Elsewhere(project)
    run = project.start("--batch")
    until(lambda: (project.folder / "task_files" / "runs").exists() or run.poll() is not None, "there is a journal")
    assert run.poll() is None, run.printed
    until_known(project, queued=1)
    until(lambda: _says(elsewhere, words), f"the batch system says {words}", every=0.5)
    run.send_signal(signal.SIGINT)
    end_of(run)
    if system.name == "lsf":
        system.cancel_by_hand("1")
    until(lambda: system.live_jobs() == [], "all jobs are gone")


def _says(elsewhere: Elsewhere, words: Sequence[str]) -> bool:
    [said] = elsewhere.ask(("why", "Waiting", *elsewhere.of))
    return all(word in said.text for word in words)
