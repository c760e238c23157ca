"""The toy batch system itself: a job is a process of this machine, with a folder in $TOYBATCH (no slots, no limits).

`toysub NAME TOKEN SCRIPT` prints a job id · `toystat` prints `ID TOKEN STATE CODE` lines · `toydel ID...`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(os.environ.get("TOYBATCH") or Path(tempfile.gettempdir()) / f"toybatch-{os.getuid()}")
RUN = '"$1" "$2"; echo $? > "$0/code.part" && mv "$0/code.part" "$0/code"'


def submit() -> None:
    """Starts a job immediately, in a session of its own."""
    _, token, script = sys.argv[1:]
    if not os.access(script, os.X_OK):
        sys.exit(f"toysub: {script} cannot be run")
    job = _new_folder()
    (job / "token").write_text(token)
    with open(job / "output", "wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", RUN, str(job), script, token],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    (job / "pid").write_text(str(process.pid))
    process.returncode = 0  # the job keeps running after toysub has ended
    print(job.name)


def status() -> None:
    """Prints all jobs."""
    for job in sorted(FOLDER.glob("[0-9]*"), key=lambda folder: int(folder.name)):
        if (job / "pid").exists():
            print(job.name, (job / "token").read_text(), *_state(job))


def delete() -> None:
    """Stops jobs; jobs that have ended or never existed are no error."""
    for job in (FOLDER / number for number in sys.argv[1:]):
        if (job / "pid").exists() and not (job / "code").exists():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int((job / "pid").read_text()), signal.SIGTERM)


def _new_folder() -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(folder.name) for folder in FOLDER.glob("[0-9]*")), default=0)
    while True:
        try:
            (FOLDER / str(number)).mkdir()
        except FileExistsError:
            number += 1
        else:
            return FOLDER / str(number)


def _state(job: Path) -> tuple[str, str]:
    if (job / "code").exists():
        code = (job / "code").read_text().strip()
        return ("done" if code == "0" else "failed", code)
    alive = Path("/proc", (job / "pid").read_text()).exists()
    return ("running", "-") if alive or (job / "code").exists() else ("failed", "-")
