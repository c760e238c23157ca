"""Processes named by pid *and* start time: a pid alone may be somebody else's by now."""

import contextlib
import os
import signal
from pathlib import Path

Process = tuple[int, int]  # pid, start time in clock ticks since boot


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def start_time(pid: int) -> int:
    """When a process started; 0 if there is none."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def me() -> Process:
    """This very process."""
    return os.getpid(), start_time(os.getpid())


def is_alive(process: Process) -> bool:
    """Whether it still runs (a zombie does not)."""
    fields = _stat(process[0])
    return fields is not None and int(fields[19]) == process[1] and fields[0] != "Z"


def signal_process(process: Process, number: int) -> bool:
    """Signal one process, if it is still the one meant."""
    if not is_alive(process):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process[0], number)
        return True
    return False


def signal_group(process: Process, number: int) -> bool:
    """Signal the group that a process leads, if it is still the one meant."""
    if not is_alive(process):
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process[0], number)
        return True
    return False


def kill_marked(marker: bytes) -> None:
    """Kill every process with an environment entry that begins so: what jobs left behind, in any group."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        process = (int(entry.name), start_time(int(entry.name)))
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if (b"\0" + environment).find(b"\0" + marker) >= 0 and process[0] != os.getpid():
            signal_process(process, signal.SIGKILL)


def write(path: Path, process: Process) -> None:
    """Note a process in a file."""
    path.write_text(f"{process[0]} {process[1]}\n")


def read(path: Path) -> Process | None:
    """The process noted in a file; none while the file is missing or being written."""
    try:
        pid, start = path.read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid), int(start)
