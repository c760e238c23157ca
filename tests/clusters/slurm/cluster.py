"""A real Slurm on this machine, for tests: `with SlurmCluster(state) as cluster:` and `cluster.env`."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
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
"""
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
    ) -> None:
        """`state`: a folder of this cluster; `min_job_age`: seconds for which slurmctld remembers a job that ended.

        `accounting_of`: a cluster of another name, which runs already and whose database is used; each can then be
        asked about the other one (`-M NAME`).
        """
        self.state, self.accounting, self.nodes = state.resolve(), accounting, nodes
        self._database: subprocess.Popen[bytes] | None = None
        # Ports in a row, because the nodes' are a range.
        self._ports = _free_ports(nodes + 3)
        port, database = self._ports[-2:]
        keeper = self if accounting else accounting_of
        none = "AccountingStorageType=accounting_storage/none"
        storage = ACCOUNTING.format(port=keeper._ports[-2]) if keeper is not None else none
        self._files = {
            "slurm.conf": CONF.format(
                name=name,
                host=platform.node().partition(".")[0],
                state=self.state,
                ports=self._ports,
                last=self._ports[nodes],
                accounting=storage,
                cpus=cpus,
                nodes=nodes,
                min_job_age=min_job_age,
                max_job_count=max_job_count,
                max_array_size=max_array_size,
            ),
            "slurmdbd.conf": SLURMDBD.format(state=self.state, port=port, database=database),
            "database.sql": DATABASE,
        }

    def __enter__(self) -> SlurmCluster:
        """Starts the daemons; ready for jobs after about 1 s, with accounting after 6 s."""
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

    def start(self) -> None:
        """Starts the daemons and waits until all nodes take jobs."""
        for name in ("save", "spool", "log", "run", "db"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        for name, text in self._files.items():
            path = self.state / name
            path.write_text(text)
            path.chmod(0o600 if name == "slurmdbd.conf" else 0o644)
        if self.accounting:
            self._start_accounting()
        self.start_controller()
        for number in range(1, self.nodes + 1):
            self._daemon("slurmd", "-N", f"n{number}")
        self._until(lambda: self.run("sinfo", "-h", "-o", "%T %D").stdout.strip() == f"idle {self.nodes}", "idle nodes")

    def stop(self) -> None:
        """Ends the daemons, then whatever else was started by them."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._processes():
                _signal(pid, number)
            end = time.monotonic() + 3
            while self._processes() and time.monotonic() < end:
                time.sleep(0.05)
        if self._database is not None:
            self._database.wait(10)

    def start_controller(self) -> None:
        """Starts slurmctld, with the jobs it knew."""
        self._daemon("slurmctld")
        self._until(lambda: self.run("scontrol", "ping").stdout.find(" is UP") >= 0, "an answer of slurmctld")

    def stop_controller(self) -> None:
        """Ends slurmctld, which saves its state first (killed with signal 9 it forgets jobs: 22.05 saves rarely)."""
        for pid in self._processes("slurmctld"):
            _signal(pid, signal.SIGTERM)
        self._until(lambda: not self._processes("slurmctld"), "the end of slurmctld")

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

    def _daemon(self, name: str, *words: str) -> None:
        # Not the environment of a test: jobs get that of whoever submits them.
        done = subprocess.run(
            [str(_program(name)), *words],
            env={"PATH": f"{PATH}:/usr/sbin:/sbin", **self.env, "SLURM_CONF": str(self.state / "slurm.conf")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
        )
        if done.returncode:
            raise CannotRun(f"{name}: {done.stderr.strip()}")

    def _start_accounting(self) -> None:
        folder, log = self.state / "db", self.state / "log" / "mariadbd.log"
        shutil.chown(folder, "mysql")
        for parent in folder.parents:  # pytest's folders are closed to others
            if str(parent) not in ("/", "/tmp"):
                parent.chmod(parent.stat().st_mode | 0o011)
        base = ["--no-defaults", "--user=mysql", f"--datadir={folder}"]
        install = [
            str(_program("mariadb-install-db")),
            *base,
            "--skip-test-db",
            "--auth-root-authentication-method=socket",
        ]
        subprocess.run(install, capture_output=True, check=True)
        # A socket path may have 107 bytes, and pytest's folders are deep.
        words = [
            *(str(_program("mariadbd")), *base, f"--socket=/tmp/slurm-test-{self._ports[-1]}.sock"),
            *(f"--pid-file={folder}/my.pid", "--bind-address=127.0.0.1", f"--port={self._ports[-1]}"),
            *("--skip-name-resolve", "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900"),
            f"--init-file={self.state / 'database.sql'}",
        ]
        with open(log, "w") as file:
            env = {"PATH": PATH, **self.env}
            self._database = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        self._until(lambda: _answers(self._ports[-1]), "an answer of mariadbd")
        self._daemon("slurmdbd")
        self._until(lambda: _answers(self._ports[-2]), "an answer of slurmdbd")

    def _processes(self, name: str = "") -> list[int]:
        """The living processes of this cluster: its daemons and steps, and the jobs, which have its configuration."""
        mark = f"SLURM_CONF={self.state / 'slurm.conf'}".encode()
        found = (folder for folder in Path("/proc").glob("[0-9]*") if int(folder.name) != os.getpid())
        return [int(folder.name) for folder in found if _is_of(folder, mark, name)]

    def _until(self, condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                logs = "\n".join(path.read_text()[-500:] for path in sorted((self.state / "log").glob("*.log")))
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


def _free_ports(count: int) -> list[int]:
    """Ports in a row that nobody listens at."""
    for first in range(20000 + os.getpid() * 16 % 20000, 60000, count):
        ports = list(range(first, first + count))
        if all(_is_free(port) for port in ports):
            return ports
    raise CannotRun("there are no free ports")


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
