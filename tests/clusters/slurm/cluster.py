"""A real Slurm on this machine, for tests: `with SlurmCluster(state) as cluster:` and `cluster.env`."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from tests.machine import PATH

DAEMONS = ("slurmctld", "slurmd", "slurmdbd", "mariadbd", "slurmstepd")
PACKAGES = ("slurmctld", "slurmd", "slurm-client")
ACCOUNTING_PACKAGES = ("slurmdbd", "mariadb-server")
LIVE = ("PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD")

CONF = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={state}/save
SlurmdSpoolDir={state}/spool/%n
SlurmctldPidFile={state}/run/slurmctld.pid
SlurmdPidFile={state}/run/slurmd-%n.pid
SlurmctldLogFile={state}/log/slurmctld.log
SlurmdLogFile={state}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
{accounting}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
PriorityType=priority/basic
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=10
MessageTimeout=10
KillWait=2
CompleteWait=0
MinJobAge={min_job_age}
MaxJobCount={max_job_count}
MaxArraySize={max_array_size}
NodeName=DEFAULT CPUs={cpus} RealMemory=16000 State=UNKNOWN
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]}-{last}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=60 State=UP OverSubscribe=NO
{more}
"""
NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none"
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={port}"""
SLURMDBD = """\
DbdHost=localhost
DbdPort={port}
AuthType=auth/none
SlurmUser=root
PidFile={state}/run/slurmdbd.pid
LogFile={state}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""
DATABASE = """\
CREATE DATABASE IF NOT EXISTS slurm_acct_db;
CREATE USER IF NOT EXISTS 'slurm'@'%' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'%';
"""


class CannotRun(RuntimeError):
    """This machine cannot have a Slurm (no root, no apt): it says why."""


def install_slurm(accounting: bool = False) -> None:
    """Installs Slurm (about 5 s), and what accounting needs (about 15 s more); nothing to do if it is there."""
    needed = [name for name in PACKAGES if not _program(name.replace("slurm-client", "sbatch"))]
    if accounting:
        needed += [name for name in ACCOUNTING_PACKAGES if not _program(name.replace("mariadb-server", "mariadbd"))]
    if not needed:
        return
    if os.getuid() != 0 or not _program("apt-get"):
        raise CannotRun(f"{', '.join(needed)} can be installed by root on Debian only")
    env = {**os.environ, "PATH": PATH, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *needed]):
        done = subprocess.run(["apt-get", *words], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise CannotRun(f"apt-get {words[0]}: {done.stderr.strip()}")


class SlurmAccounting:
    """slurmdbd and its database, in the folder of the first of the clusters that use it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self._ports: Ports | None = None
        self.port, self._database_port = 0, 0
        self._folder: Path | None = None
        self._database: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts database and daemon, and waits until both answer; from then on `port` is known."""
        self._ports = Ports(2)
        self.port, self._database_port = self._ports.numbers
        for name in ("log", "run"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        settings = self.state / "slurmdbd.conf"
        settings.write_text(SLURMDBD.format(state=self.state, port=self.port, database=self._database_port))
        settings.chmod(0o600)
        self._start_database()
        _start_daemon(self.state, "slurmdbd")
        _until(lambda: _answers(self.port), "an answer of slurmdbd", self.state)

    def stop(self) -> None:
        """Ends daemon and database."""
        _end(lambda: [pid for name in ("slurmdbd", "mariadbd") for pid in _processes(self.state, name)])
        if self._database is not None:
            self._database.wait(10)
        if self._folder is not None:
            shutil.rmtree(self._folder)
        if self._ports is not None:
            self._ports.close()

    def _start_database(self) -> None:
        # Neither below pytest's folder, which each new run of pytest closes to the database's user, nor with a long
        # name: that of a socket may have 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="slurm-test-", dir="/tmp"))
        folder, log = self._folder / "db", self.state / "log" / "mariadbd.log"
        folder.mkdir()
        self._folder.chmod(0o755)
        shutil.chown(folder, "mysql")
        (self._folder / "database.sql").write_text(DATABASE)
        base = ["--no-defaults", "--user=mysql", f"--datadir={folder}"]
        install = [
            str(_program("mariadb-install-db")),
            *base,
            "--skip-test-db",
            "--auth-root-authentication-method=socket",
        ]
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode:
            raise CannotRun(f"mariadb-install-db: {done.stdout}{done.stderr}")
        words = [
            *(str(_program("mariadbd")), *base, f"--socket={folder / 'sock'}"),
            *(f"--pid-file={folder}/my.pid", "--bind-address=127.0.0.1", f"--port={self._database_port}"),
            *("--skip-name-resolve", "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900"),
            f"--init-file={self._folder / 'database.sql'}",
        ]
        with open(log, "w") as file:
            env = {"PATH": PATH, "SLURM_CONF": str(self.state / "slurm.conf")}
            self._database = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        _until(lambda: _answers(self._database_port), "an answer of mariadbd", self.state)


class SlurmCluster:
    """Daemons, queue and nodes of one's own, all on this machine. Leaving the `with` block ends them and their jobs."""

    def __init__(
        self,
        state: Path,
        *,
        accounting: bool = False,
        nodes: int = 4,
        cpus: int = 64,
        min_job_age: int = 300,
        max_job_count: int = 20000,
        max_array_size: int = 1001,
        name: str = "test",
        accounting_of: SlurmCluster | None = None,
        more: str = "",
        files: Mapping[str, str] | None = None,
    ) -> None:
        """`state`: a folder of this cluster; `min_job_age`: seconds for which slurmctld remembers a job that ended.

        `accounting_of`: a cluster of another name, which runs already and whose database is used; each can then be
        asked about the other one (`-M NAME`). `more`: further lines of slurm.conf; `files`: beside slurm.conf.
        """
        self.state, self.nodes = state.resolve(), nodes
        self._own_accounting = SlurmAccounting(self.state) if accounting else None
        self._accounting = accounting_of._own_accounting if accounting_of is not None else self._own_accounting
        self._files = dict(files or {})
        self._ports: Ports | None = None
        self._settings = {
            "name": name,
            "host": platform.node().partition(".")[0],
            "state": self.state,
            "cpus": cpus,
            "nodes": nodes,
            "min_job_age": min_job_age,
            "max_job_count": max_job_count,
            "max_array_size": max_array_size,
            "more": more,
        }

    def __enter__(self) -> SlurmCluster:
        """Starts the daemons; ready for jobs after about 1 s, with accounting of its own after 6 s."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the daemons and kills the jobs."""
        self.stop()

    @property
    def env(self) -> dict[str, str]:
        """What to add to the environment of whoever shall see this cluster."""
        return {"SLURM_CONF": str(self.state / "slurm.conf"), "PATH": PATH}

    def run(self, *argv: object, cwd: str | None = None, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs one of Slurm's tools; what it printed and returned."""
        return subprocess.run(
            list(map(str, argv)),
            env={**os.environ, **self.env},
            cwd=cwd,
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def account(self, *words: str) -> None:
        """Changes accounts, users, QOS: `sacctmgr -i WORDS`."""
        done = self.run("sacctmgr", "-i", *words)
        # It ends with 1, too, where there is nothing to do.
        if done.returncode and "Nothing" not in done.stdout:
            raise CannotRun(f"sacctmgr {' '.join(words)}: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Starts the daemons and waits until all nodes take jobs."""
        for name in ("save", "spool", "log", "run"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        if self._own_accounting is not None:
            self._own_accounting.start()
        for name, text in {**self._files, "slurm.conf": self._configuration()}.items():
            (self.state / name).write_text(text)
        self.start_controller()
        for number in range(1, self.nodes + 1):
            _start_daemon(self.state, "slurmd", "-N", f"n{number}")
        self._until(lambda: self.run("sinfo", "-h", "-o", "%T %D").stdout.strip() == f"idle {self.nodes}", "idle nodes")

    def _configuration(self) -> str:
        self._ports = Ports(self.nodes + 1)
        ports = self._ports.numbers
        storage = NO_ACCOUNTING if self._accounting is None else ACCOUNTING.format(port=self._accounting.port)
        return CONF.format(**self._settings, ports=ports, last=ports[self.nodes], accounting=storage)

    def stop(self) -> None:
        """Ends the daemons, then whatever else was started by them."""
        _end(lambda: _processes(self.state))
        if self._ports is not None:
            self._ports.close()
        if self._own_accounting is not None:
            self._own_accounting.stop()

    def start_controller(self) -> None:
        """Starts slurmctld, with the jobs it knew."""
        _start_daemon(self.state, "slurmctld")
        self._until(lambda: self.run("scontrol", "ping").stdout.find(" is UP") >= 0, "an answer of slurmctld")
        self._check_who_answers()

    def _check_who_answers(self) -> None:
        """Another one may have taken the same ports at the same moment; its answers would be taken for ours."""
        config = self.run("scontrol", "show", "config").stdout
        answers = re.search(r"^StateSaveLocation\s*= (.*?)\s*$", config, re.MULTILINE)
        if answers is None or answers[1] != str(self.state / "save"):
            raise CannotRun(f"another slurmctld answers at our port: {answers and answers[1]}")

    def stop_controller(self) -> None:
        """Ends slurmctld, which saves its state first (killed with signal 9 it forgets jobs: 22.05 saves rarely)."""
        for pid in _processes(self.state, "slurmctld"):
            _signal(pid, signal.SIGTERM)
        self._until(lambda: not _processes(self.state, "slurmctld"), "the end of slurmctld")

    def fail_node(self, name: str) -> None:
        """As if the node had died: its jobs are queued again, or end with NODE_FAIL."""
        self.run("scontrol", "update", f"nodename={name}", "state=down", "reason=test").check_returncode()

    def resume_node(self, name: str) -> None:
        """The node is back. (It comes back by itself when its slurmd registers.)"""
        self.run("scontrol", "update", f"nodename={name}", "state=resume")

    def requeue(self, job_id: str) -> None:
        """The job is stopped and queued again."""
        self.run("scontrol", "requeue", job_id).check_returncode()

    def live_jobs(self) -> list[str]:
        """The ids (`7`, or `7_3` in an array) of jobs that have not ended."""
        answer = self.run("squeue", "-h", "-r", "-t", "all", "-O", "JobArrayID:|,State:|")
        answer.check_returncode()
        rows = [line.split("|") for line in answer.stdout.splitlines()]
        return [row[0] for row in rows if row[1] in LIVE]

    def cancel_all(self) -> None:
        """Cancels every job and waits until all have ended."""
        self.run("scancel", "-u", "root")
        self._until(lambda: not self.live_jobs(), "an empty queue")

    def _until(self, condition: Callable[[], object], what: str) -> None:
        _until(condition, what, self.state)


def _start_daemon(state: Path, name: str, *words: str) -> None:
    # Not the environment of a test: jobs get that of whoever submits them.
    done = subprocess.run(
        [str(_program(name)), *words],
        env={"PATH": f"{PATH}:/usr/sbin:/sbin", "SLURM_CONF": str(state / "slurm.conf")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    if done.returncode:
        raise CannotRun(f"{name}: {done.stderr.strip()}")


def _end(processes: Callable[[], list[int]]) -> None:
    """Ends processes: asks them to, and kills those that do not within some seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes():
            _signal(pid, number)
        end = time.monotonic() + 3
        while processes() and time.monotonic() < end:
            time.sleep(0.05)


def _processes(state: Path, name: str = "") -> list[int]:
    """The living processes with this configuration, all or of one name: daemons, steps and jobs."""
    mark = f"SLURM_CONF={state / 'slurm.conf'}".encode()
    found = (folder for folder in Path("/proc").glob("[0-9]*") if int(folder.name) != os.getpid())
    return [int(folder.name) for folder in found if _is_of(folder, mark, name)]


def _until(condition: Callable[[], object], what: str, state: Path, timeout: float = 100.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            logs = "\n".join(path.read_text()[-500:] for path in sorted((state / "log").glob("*.log")))
            raise TimeoutError(f"waited {timeout:g} s in vain for {what}\n{logs}")
        time.sleep(0.05)


def _is_of(folder: Path, mark: bytes, name: str) -> bool:
    try:
        command = (folder / "comm").read_text().strip()
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        ours = mark in (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    is_daemon = any(daemon.startswith(command) for daemon in DAEMONS) or b"SLURM_JOB_ID" in _environ(folder)
    return ours and state not in "ZX" and (command == name if name else is_daemon)


def _environ(folder: Path) -> bytes:
    try:
        return (folder / "environ").read_bytes()
    except OSError:
        return b""


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{PATH}:/usr/sbin:/sbin")


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


BLOCK = 32
"""Ports that one cluster has at most."""


class Ports:
    """Ports in a row at which nobody listens; no other run of tests on this machine takes them until `close`."""

    def __init__(self, count: int) -> None:
        """`count`: at most `BLOCK`."""
        folder = Path(tempfile.gettempdir()) / "b2luigi-test-ports"
        folder.mkdir(exist_ok=True)
        # Below those that the kernel gives to clients.
        for first in range(20000, 32000, BLOCK):
            self._lock = open(folder / str(first), "w")  # noqa: SIM115
            self.numbers = range(first, first + count)
            if self._is_ours() and all(map(_is_free, self.numbers)):
                return
            self.close()
        raise CannotRun("there are no free ports")

    def _is_ours(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Lets others have them."""
        self._lock.close()


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
