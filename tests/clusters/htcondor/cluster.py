"""A real HTCondor on this machine, for tests: `with HTCondorPool(install, state) as pool:` and `pool.env`."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.machine import without_mark

HERE = Path(__file__).resolve().parent
COMPLETED = 4
SECOND = """\
COLLECTOR_HOST = {collector}
DAEMON_LIST = MASTER SCHEDD
SCHEDD_NAME = second
"""


class CannotRun(RuntimeError):
    """This machine cannot have an HTCondor (no root, no apt, no user namespaces): it says why."""


def default_folder() -> Path:
    """Where HTCondor is installed by default: outside of the repository, kept between runs."""
    base = os.environ.get("B2LUIGI_TEST_CLUSTERS") or Path.home() / ".cache" / "b2luigi-test-clusters"
    return Path(base) / "htcondor"


def install_htcondor(folder: Path | None = None) -> Path:
    """Install HTCondor in the folder: about 20 s, root and apt needed; nothing to do if it is there."""
    folder = (folder or default_folder()).resolve()
    _run_script("install.sh", folder)
    return folder


def _run_script(name: str, *args: object, **env: str) -> None:
    done = subprocess.run(
        [HERE / name, *map(str, args)],
        env={**without_mark(), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise CannotRun(done.stderr.strip() or f"{name} ended with {done.returncode}")


class HTCondorPool:
    """A personal pool: its own daemons, its own queue. Leaving the `with` block ends it and its jobs."""

    def __init__(
        self, install: Path, state: Path, slots: int = 16, *, config: str = "", joins: "HTCondorPool | None" = None
    ) -> None:
        """`install`: as given to install_htcondor(); `state`: an empty folder of this pool.

        `config`: further lines of its configuration. `joins`: a pool to which this one is a second submit host, with
        a queue of its own (`second`) and no machines.
        """
        self.install, self.state, self.slots = install.resolve(), state.resolve(), slots
        self._config, self._joined = config, joins

    def __enter__(self) -> "HTCondorPool":
        """Start the daemons; ready for jobs after about 1 s."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the daemons; they kill their jobs."""
        self.stop()

    def start(self) -> None:
        """Start the daemons and wait until they take jobs."""
        (self.state / "config.d").mkdir(parents=True, exist_ok=True)
        joined = SECOND.format(collector=self._joined.collector) if self._joined is not None else ""
        (self.state / "config.d" / "10-more").write_text(joined + self._config)
        _run_script("start.sh", self.install, self.state, SLOTS=str(self.slots))

    def stop(self) -> None:
        """Stop the daemons and their jobs."""
        _run_script("stop.sh", self.install, self.state)

    @property
    def collector(self) -> str:
        """The address at which other hosts reach this pool."""
        return (self.state / "log" / ".collector_address").read_text().splitlines()[0].strip("<>")

    def configure(self, text: str) -> None:
        """Add lines to the configuration of the pool as it runs."""
        with open(self.state / "config.d" / "20-later", "a") as file:
            file.write(text + "\n")
        self.run("condor_reconfig").check_returncode()

    @property
    def env(self) -> dict[str, str]:
        """What to add to the environment of whoever shall see this pool."""
        return {
            "CONDOR_CONFIG": str(self.state / "condor_config"),
            "PATH": f"{self.install / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }

    def run(self, *argv: object, cwd: Path | None = None, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of HTCondor's tools; what it printed and returned."""
        name, *words = map(str, argv)
        return subprocess.run(
            [self.install / "bin" / name, *words],
            env={**os.environ, **self.env},
            cwd=cwd,
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def queue(self, *attributes: str) -> list[dict[str, Any]]:
        """The jobs in the queue, whatever their state."""
        names = ",".join(("ClusterId", "ProcId", "JobStatus", *attributes))
        answer = self.run("condor_q", "-allusers", "-json", "-attributes", names)
        answer.check_returncode()
        # with nothing to show it prints nothing at all
        jobs: list[dict[str, Any]] = json.loads(answer.stdout or "[]")
        return jobs

    def live_jobs(self) -> list[str]:
        """The ids (`7.3`) of jobs that have not ended: idle, running, held, or being removed."""
        live = [job for job in self.queue() if job["JobStatus"] != COMPLETED]
        return [f"{job['ClusterId']}.{job['ProcId']}" for job in live]

    def kill_schedd(self) -> None:
        """Kill the schedd with signal 9; the master starts another one some seconds later."""
        for folder in Path("/proc").glob("[0-9]*"):
            if self._is_schedd(folder):
                os.kill(int(folder.name), signal.SIGKILL)
                return
        raise LookupError("this pool has no schedd")

    def _is_schedd(self, folder: Path) -> bool:
        try:
            return (folder / "comm").read_text().strip() == "condor_schedd" and self._is_ours(folder)
        except OSError:
            return False

    def _is_ours(self, folder: Path) -> bool:
        config = f"CONDOR_CONFIG={self.state / 'condor_config'}"
        return config in (folder / "environ").read_text(errors="replace").split("\0")

    def remove_all(self, timeout: float = 20) -> None:
        """Remove every job and wait until the queue is empty."""
        end = time.monotonic() + timeout
        self.run("condor_rm", "-all")
        while self.queue():
            if time.monotonic() > end:
                raise TimeoutError(f"still in the queue: {self.queue()}")
            time.sleep(0.1)
            # what is to be left in the queue (leave_in_queue) has to be forced out of it
            self.run("condor_rm", "-forcex", "-constraint", "JobStatus == 3 && LeaveJobInQueue =!= false")
