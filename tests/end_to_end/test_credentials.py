"""A Kerberos ticket that expires while a script runs."""

from __future__ import annotations

import time
from pathlib import Path

from tests.end_to_end.conftest import System, on_one_cluster
from tests.end_to_end.project import Project, end_of

system = on_one_cluster


SCRIPT = """
class Work(b2luigi.Task):
    def output(self):
        yield self.add_to_output("out.txt")
    def run(self):
        open(self.get_output_file_name("out.txt"), "w").close()
b2luigi.process(Work(), batch=True)
"""
KLIST = """#!/bin/sh
echo klist "$@" >> {folder}/klist.log
echo "{now}  {end}  krbtgt/CERN.CH@CERN.CH"
"""


def give_ticket(project: Project, folder: Path, seconds: float) -> None:
    """Puts a klist on PATH that prints a ticket which ends then."""
    now, end = (time.strftime("%m/%d/%y %H:%M:%S", time.localtime(time.time() + more)) for more in (0, seconds))
    bin_folder = folder / "kerberos"
    bin_folder.mkdir(exist_ok=True)
    (bin_folder / "klist").write_text(KLIST.format(folder=bin_folder, now=now, end=end))
    (bin_folder / "klist").chmod(0o755)
    project.env.update(KRB5CCNAME="FILE:/tmp/none", PATH=f"{bin_folder}:{project.env['PATH']}")


def test_the_end_of_a_ticket_is_announced(system: System, project: Project, tmp_path: Path) -> None:
    """One line at the start, from one command; the run works as ever."""
    give_ticket(project, tmp_path, 1800)
    project.write(SCRIPT)
    ended = project.run()
    assert ended.rc == 0, ended.text
    assert ended.text.count("The Kerberos ticket expires in 30 min, at ") == 1
    assert (tmp_path / "kerberos/klist.log").read_text() == "klist\n"


def test_an_expired_ticket_explains_a_refusal(cluster: System, cluster_project: Project, tmp_path: Path) -> None:
    """The batch system refuses the submission with its own words; the run names the ticket, and waits."""
    assert cluster.shims is not None
    give_ticket(cluster_project, tmp_path, -600)
    cluster_project.write(SCRIPT)
    cluster.shims.fail(cluster.program("submit"), "Authentication failed: Kerberos ticket not accepted")
    script = cluster_project.start()
    script.until_printed("may need a valid Kerberos ticket, and it has expired at ")
    cluster.shims.heal()
    ended = end_of(script)
    assert ended.rc == 0, ended.text
    assert "1 ran successfully" in ended.text
