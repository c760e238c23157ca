"""A stand-in for IBM LSF's command line, for tests: `with FakeLSF(folder) as lsf:`, and `lsf.env`."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from .fakelsf import control, state
from .fakelsf.command import read_calls

BIN = Path(__file__).resolve().parent / "bin"


class FakeLSF:
    """One small LSF cluster, all of it in one folder. Leaving the `with` block kills its jobs."""

    def __init__(self, folder: Path, **knobs: object) -> None:
        """Make the folder a cluster; knobs as in `fakelsf/state.py`."""
        self.folder = Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        for key, value in knobs.items():
            self.set(key, value)

    def __enter__(self) -> "FakeLSF":
        """Start the supervisor."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it, and kill what it ran."""
        self.stop()

    @property
    def env(self) -> dict[str, str]:
        """What to add to the environment of whoever shall see this cluster."""
        return {
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "FAKELSF_DIR": str(self.folder),
            "FAKELSF_PYTHON": os.path.realpath(sys.executable),
        }

    def start(self) -> None:
        """Start the supervisor, if it does not run."""
        subprocess.run([BIN / "fakelsf", "start"], env={**os.environ, **self.env}, check=True)

    def stop(self) -> None:
        """Stop the supervisor and kill every job it started."""
        control.stop(self.folder)

    def set(self, key: str, value: object) -> None:
        """Turn a knob."""
        state.set_conf(self.folder, key, value)

    def fault(self, kind: str, **params: object) -> None:
        """Make something go wrong: `fault("fail", cmd="bjobs", count=2)`, `fault("kill_job", ids="7")`."""
        if isinstance(ids := params.get("ids"), Iterable) and not isinstance(ids, str):
            params["ids"] = ",".join(map(str, ids))
        control.fault(self.folder, kind, params)

    def clear_faults(self) -> None:
        """Let everything go right again."""
        control.clear_faults(self.folder)

    def calls(self, cmd: str | None = None) -> list[dict[str, Any]]:
        """The commands called so far: cmd, argv, cwd, pid, time, rc, duration (rc None: it has not ended)."""
        return read_calls(self.folder, cmd)

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs the cluster ever had, with all it knows of them."""
        return control.jobs(self.folder)

    def live_jobs(self) -> list[str]:
        """The ids of jobs that have not ended: `12`, or `13[2]` for an array's element."""
        return control.live_jobs(self.folder)
