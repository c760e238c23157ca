"""The output files of a job: LSF's report with the job's output behind it, written when the job ends."""

from __future__ import annotations

import os
import time
from typing import Any

DASHES = "-" * 60


def output_path(template: str | None, cwd: str, jobid: int, idx: int, suffix: str) -> str | None:
    """The file meant by -o or -e: %J and %I filled in, a folder given a file in it, relative to cwd."""
    if template is None:
        return None
    path = template.replace("%J", str(jobid)).replace("%I", str(idx))
    if path.endswith("/") or os.path.isdir(os.path.join(cwd, path)):
        path = os.path.join(path, f"{jobid}.{suffix}")
    return os.path.join(cwd, path)


def deliver(path: str, content: bytes, append: bool) -> None:
    """Write a file in one go; what cannot be written is lost, and the job does not care."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError:
        return
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def text(job: dict[str, Any], end: dict[str, Any], error_path: str | None) -> tuple[str, str]:
    """The report before and after the job's output."""
    host, user, cluster = job["host"], job["user"], job["cluster"]
    code = end["exit_code"]
    ended = "Done" if code == 0 else "Exited"
    how = "Successfully completed." if code == 0 else f"Exited with exit code {code}."
    if end["reason"]:
        how = f"{end['reason']}.\n{how}"
    before = [
        f"Sender: LSF System <lsfadmin@{host}>",
        f"Subject: Job {job['label']}: <{job['shown_name']}> in cluster <{cluster}> {ended}",
        "",
        f"Job <{job['shown_name']}> was submitted from host <{job['from_host']}> by user <{user}>"
        f" in cluster <{cluster}> at {time.ctime(job['submit_time'])}",
        f"Job was executed on host(s) <{host}>, in queue <{job['queue']}>, as user <{user}>"
        f" in cluster <{cluster}> at {time.ctime(end['started'])}",
        f"<{job['home']}> was used as the home directory.",
        f"<{job['run_cwd']}> was used as the working directory.",
        f"Started at {time.ctime(end['started'])}",
        f"Terminated at {time.ctime(end['ended'])}",
        f"Results reported at {time.ctime()}",
        "",
        "Your job looked like:",
        "",
        DASHES,
        "# LSBATCH: User input",
        job["command"].rstrip("\n"),
        DASHES,
        "",
        how,
        "",
        "Resource usage summary:",
        "",
        f"    CPU time :                                   {end['cpu']:.2f} sec.",
        f"    Max Memory :                                 {end['memory_mb']} MB",
        f"    Run time :                                   {end['ended'] - end['started']:.0f} sec.",
        f"    Turnaround time :                            {end['ended'] - job['submit_time']:.0f} sec.",
        "",
        "The output (if any) follows:",
        "",
        "",
    ]
    after = (
        ["", "", "PS:", "", f"Read file <{error_path}> for stderr output of this job.", "", ""]
        if error_path
        else ["", ""]
    )
    return "\n".join(before), "\n".join(after)
