"""What batch systems do to a run: silence, hanging commands, lost replies. Nothing ends the run but the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.conftest import System, on_one_cluster
from tests.end_to_end.project import Project, end_of
from tests.standins.lsf import FakeLSF
from tests.waiting import until

system = on_one_cluster


SLOW = """
    class Slow(b2luigi.Task):
        n = b2luigi.IntParameter()
        def output(self):
            yield self.add_to_output("out.txt")
        def run(self):
            {work}
            with open("ran.log", "a") as f:
                f.write(f"{{self.n}}\\n")
            open(self.get_output_file_name("out.txt"), "w").close()

    class Merge(b2luigi.Task):
        def requires(self):
            for n in range({jobs}):
                yield self.clone(Slow, n=n)
        def output(self):
            yield self.add_to_output("merged.txt")
        def run(self):
            open(self.get_output_file_name("merged.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.set_setting("command_timeout", {timeout})
        b2luigi.process(Merge(), batch=True)
"""


def slow(jobs: int, work: str = "wait_for('go')", timeout: float = 60) -> str:
    """The script. `timeout`: seconds that a command may take."""
    return SLOW.format(jobs=jobs, work=work, timeout=timeout)


def _runs(project: Project) -> list[str]:
    return sorted(project.read("ran.log").split())


def test_a_batch_system_that_does_not_answer_loses_no_job(cluster: System, cluster_project: Project) -> None:
    """While the query fails, jobs keep running and their ends are seen; the outage is logged once."""
    assert cluster.shims is not None
    cluster.shims.fail(cluster.program("query"), "the daemon is having its lunch")
    cluster_project.write(slow(3))
    process = cluster_project.start()
    process.until_printed("Submitted 3 jobs")
    until(lambda: len(cluster.calls("query")) >= 2, "it was asked twice in vain")
    cluster_project.touch("go")
    ended = end_of(process)
    assert "progress looks :)" in ended.text, ended.text
    assert ended.text.count("the daemon is having its lunch") == 1
    assert _runs(cluster_project) == ["0", "1", "2"]


def test_empty_listings_lose_no_job(cluster: System, cluster_project: Project) -> None:
    """A query that lists nothing at all, again and again, while the jobs live: they are waited for."""
    assert cluster.shims is not None
    shims, query = cluster.shims, cluster.program("query")
    cluster_project.write(slow(2).replace('"command_timeout", 60', '"result_grace", 20'))
    shims.mute(query)
    process = cluster_project.start()
    until(lambda: len(cluster.calls("query")) >= 4, "three listings were empty, and the answer to the first question")
    shims.heal()
    cluster_project.touch("go")
    ended = end_of(process)
    assert "progress looks :)" in ended.text, ended.text
    assert _runs(cluster_project) == ["0", "1"]
    assert cluster.calls("cancel") == []


def test_a_hanging_query_delays_nothing(cluster: System, cluster_project: Project) -> None:
    """A query that never answers is stopped at its time limit; meanwhile jobs are submitted and judged."""
    assert cluster.shims is not None
    cluster.shims.hang(cluster.program("query"))
    cluster_project.write(slow(3, timeout=2))
    process = cluster_project.start()
    process.until_printed("no answer within 2 s")
    cluster_project.touch("go")
    assert "progress looks :)" in end_of(process).text


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_submission_of_unknown_fate_is_looked_for_and_not_repeated(
    cluster: System, cluster_project: Project, jobs: int
) -> None:
    """The submit command did its work and never answered: each of its jobs is found again, and runs once."""
    assert cluster.shims is not None
    cluster.shims.lose_reply(cluster.program("submit"))
    cluster_project.write(slow(jobs, work="pass", timeout=5))
    ended = cluster_project.run()
    assert "progress looks :)" in ended.text, ended.text
    assert ended.text.count("Unclear whether") == jobs
    assert _runs(cluster_project) == [str(n) for n in range(jobs)]
    assert len(cluster.calls("submit")) == 2


def test_a_lost_reply_of_bsub_is_no_refusal(tmp_path: Path) -> None:
    """The connection broke after mbatchd had taken the job: bsub says so in words, and the job is found."""
    with FakeLSF(tmp_path / "lsf", slots=4) as lsf:
        lsf.fault("lost_reply", count=1)
        project = Project(tmp_path / "project", lsf.env)
        project.write(slow(3, work="pass"))
        ended = project.run()
        assert "progress looks :)" in ended.text, ended.text
        assert "Unclear whether" in ended.text
        assert _runs(project) == ["0", "1", "2"]
        assert len(lsf.calls("bsub")) == 2


def test_a_batch_system_that_takes_no_jobs_for_now_is_tried_again(tmp_path: Path) -> None:
    """mbatchd away: the submission waits and says so; when it is back the job is submitted."""
    with FakeLSF(tmp_path / "lsf", slots=4) as lsf:
        words = "Connection refused by server. Job not submitted."
        lsf.fault("fail", cmd="bsub", count=1, text=words)
        project = Project(tmp_path / "project", lsf.env)
        project.write(slow(1, work="pass"))
        ended = project.run()
        assert "progress looks :)" in ended.text, ended.text
        assert f"is not accepting jobs; retrying in 5 s. Output: {words}" in ended.text


def test_equal_jobs_go_out_together_and_are_asked_about_together(cluster: System, cluster_project: Project) -> None:
    """Forty equal jobs and the one that waits for them: two submit commands, and few queries."""
    cluster_project.write(slow(40, work="pass"))
    ended = cluster_project.run()
    assert "progress looks :)" in ended.text
    assert len(cluster.calls("submit")) == 2
    assert len(cluster.calls("query")) <= ended.seconds / 3 + 2  # one finds the batch system


def test_ctrl_c_while_a_submission_is_under_way_leaves_no_job(tmp_path: Path) -> None:
    """The command is waited for, and what it submitted is cancelled."""
    with FakeLSF(tmp_path / "lsf", slots=4) as lsf:
        lsf.set("bsub_latency_s", 1)
        project = Project(tmp_path / "project", lsf.env)
        project.write(slow(3))
        process = project.start()
        until(lambda: lsf.calls("bsub"), "the submission is under way")
        process.send_signal(2)
        ended = end_of(process)
        assert ended.rc == 130
        until(lambda: not lsf.live_jobs(), "no job is left")
        assert len(lsf.jobs()) == 3


def test_a_timed_out_job_is_cancelled_at_once_even_while_luigi_idles(tmp_path: Path) -> None:
    """With keep_alive luigi pauses until the time of a retry has come; the old job must not run until then."""
    with FakeLSF(tmp_path / "lsf", slots=4) as lsf:
        project = Project(tmp_path / "project", lsf.env)
        project.write(slow(1).replace("n = b2", "worker_timeout = 4; n = b2"))
        (project.folder / "luigi.cfg").write_text(
            "[worker]\nkeep_alive = true\n[scheduler]\nretry_delay = 1000\nretry_count = 2\n"
        )
        process = project.start()
        until(lambda: lsf.calls("bkill"), "the job is cancelled")
        assert len(lsf.calls("bsub")) == 1
        process.send_signal(2)
        end_of(process)
        until(lambda: not lsf.live_jobs(), "no job is left")


def test_a_task_that_takes_too_long_is_stopped(system: System, project: Project) -> None:
    """luigi's worker_timeout: the job leaves the batch system, the task fails, the others run."""
    project.write(
        slow(3, work="self.n == 1 and time.sleep(1000)").replace(
            "n = b2luigi", "worker_timeout = property(lambda self: 6 if self.n == 1 else 1000); n = b2luigi"
        )
    )
    ended = project.run()
    assert "it ran for longer than its worker_timeout of 6 s, and was stopped" in ended.text
    assert _runs(project) == ["0", "2"]
    until(lambda: not system.live_jobs(), "no job is left")
