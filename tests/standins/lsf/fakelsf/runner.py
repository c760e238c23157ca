"""Runs one job, in a session of its own: it outlives the supervisor and leaves the job's end in a file."""

import json
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from . import processes, report, state


def start(where: Path, conf: dict[str, Any], row: dict[str, Any]) -> None:
    """Fork the runner of a job. Only the first runner of a job gets to run it, whatever died in between."""
    if os.fork() == 0:
        try:
            os.setsid()
            # the supervisor's lock and database are not the job's business
            os.closerange(3, 256)
            _run(where, conf, row)
        except BaseException as error:
            print(f"runner of {row['jobid']}[{row['idx']}]: {error!r}", file=sys.stderr, flush=True)
        finally:
            os._exit(0)


def _run(where: Path, conf: dict[str, Any], row: dict[str, Any]) -> None:
    folder = state.job_folder(where, row["jobid"], row["idx"])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        claim = os.open(folder / "runner", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return
    os.write(claim, b"%d %d\n" % processes.me())
    os.close(claim)
    job = _described(where, conf, row)
    started = time.time()
    pid = os.fork()
    if pid == 0:
        _become_job(where, folder, job)
    processes.write(folder / "pid", (pid, processes.start_time(pid)))
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    end = {
        "exit_code": code if code >= 0 else 128 - code,
        "signal": -code if code < 0 else 0,
        "started": started,
        "ended": time.time(),
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory_mb": usage.ru_maxrss // 1024,
        "reason": _reason(folder),
    }
    if not conf["output_delay_s"]:
        _deliver(folder, job, end)
    state.write_atomically(folder / "rc", json.dumps(end))
    if conf["output_delay_s"]:
        time.sleep(float(conf["output_delay_s"]))
        _deliver(folder, job, end)


def _reason(folder: Path) -> str:
    """Why LSF killed the job, noted before it was signalled."""
    try:
        return (folder / "reason").read_text()
    except FileNotFoundError:
        return ""


def _described(where: Path, conf: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The job with everything that its environment and report need."""
    import pwd

    cwd = row["cwd"] if os.path.isdir(row["cwd"]) else "/tmp"
    try:
        account = pwd.getpwuid(os.getuid())
        home, shell = account.pw_dir, account.pw_shell
    except KeyError:
        home, shell = "/", "/bin/sh"
    return {
        **row,
        "label": state.job_label(row["jobid"], row["idx"]),
        "shown_name": f"{row['name']}[{row['idx']}]" if row["idx"] else row["name"],
        "cluster": conf["cluster"],
        "from_host": conf["hosts"][0],
        "home": home,
        "shell": shell,
        "run_cwd": cwd,
        "output_path": report.output_path(row["output"], cwd, row["jobid"], row["idx"], "out"),
        "error_path": report.output_path(row["error"], cwd, row["jobid"], row["idx"], "err"),
    }


def _become_job(where: Path, folder: Path, job: dict[str, Any]) -> NoReturn:
    os.setsid()
    # a supervisor started with `&` ignores SIGINT: its jobs must not
    for number in (
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGPIPE,
        signal.SIGCHLD,
    ):
        signal.signal(number, signal.SIG_DFL)
    out = os.open(folder / "out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    separate = job["error_path"] not in (None, job["output_path"])
    err = os.open(folder / "err", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if separate else out
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, 256)
    os.chdir(job["run_cwd"])
    script = state.job_folder(where, job["jobid"], 0) / "job.sh"
    try:
        argv = [*_interpreter(script), str(script)]
        os.execve(argv[0], argv, job_environment(where, folder, job))
    except OSError:
        os._exit(127)


def _interpreter(script: Path) -> list[str]:
    """A script given on stdin may name its interpreter; everything else is /bin/sh's."""
    with script.open(errors="replace") as lines:
        first = lines.readline()
    return shlex.split(first[2:]) if first.startswith("#!") else ["/bin/sh"]


def job_environment(where: Path, folder: Path, job: dict[str, Any]) -> dict[str, str]:
    """What was passed at submission, and LSF's own variables."""
    passed = json.loads((state.job_folder(where, job["jobid"], 0) / "env").read_text())
    base = {
        "HOME": job["home"],
        "USER": job["user"],
        "LOGNAME": job["user"],
        "SHELL": job["shell"],
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    own = {
        "LSB_JOBID": str(job["jobid"]),
        "LSB_JOBINDEX": str(job["idx"]),
        "LSB_JOBNAME": job["shown_name"],
        "LSB_QUEUE": job["queue"],
        "LSB_HOSTS": " ".join([job["host"]] * job["slots"]),
        "LSB_MCPU_HOSTS": f"{job['host']} {job['slots']} ",
        "LSB_DJOB_NUMPROC": str(job["slots"]),
        "LSB_MAX_NUM_PROCESSORS": str(job["slots"]),
        "LSB_SUB_HOST": job["from_host"],
        "LSB_JOBFILENAME": str(folder / "job.sh"),
        "LSB_EXIT_PRE_ABORT": "99",
        "LS_SUBCWD": job["sub_cwd"],
        "LS_JOBPID": str(os.getpid()),
        "LSFUSER": job["user"],
        "LSF_ENVDIR": str(where),
        "LSF_BINDIR": str(Path(__file__).resolve().parent.parent / "bin"),
    }
    name, _, value = marker(where).partition("=")
    own[name] = f"{value}{job['label']}"
    if job["output_path"]:
        own["LSB_OUTPUTFILE"] = job["output_path"]
    if job["error_path"]:
        own["LSB_ERRORFILE"] = job["error_path"]
    return {**base, **passed, **own}


def marker(where: Path) -> str:
    """How the environment of this folder's jobs is known: what they left behind is found by it."""
    return f"FAKELSF_JOB={where}/"


def _deliver(folder: Path, job: dict[str, Any], end: dict[str, Any]) -> None:
    out = (folder / "out").read_bytes()
    separate = job["error_path"] not in (None, job["output_path"])
    if separate:
        report.deliver(job["error_path"], (folder / "err").read_bytes(), bool(job["error_append"]))
    if job["output_path"]:
        before, after = report.text(job, end, job["error_path"] if separate else None)
        content = before.encode() + out + after.encode()
        report.deliver(job["output_path"], content, bool(job["output_append"]))
