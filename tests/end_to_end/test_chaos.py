"""Chaos: the scheduling process is killed at random moments, jobs are shot, queries fail; nothing is lost or doubled.

With one task in a job, and with several. Some rounds of it here; more by `B2LUIGI_CHAOS_ROUNDS=50 python -m pytest -m
"cluster or not cluster" -k chaos`; with B2LUIGI_CHAOS_DELAY_MS=2 on a disk that charges so many milliseconds for each
file operation.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.end_to_end.conftest import System
from tests.end_to_end.project import Ended, Project, end_of
from tests.standins.slow_disk import slow_disk
from tests.waiting import until

ROUNDS = int(os.environ.get("B2LUIGI_CHAOS_ROUNDS", "1"))
DELAY = float(os.environ.get("B2LUIGI_CHAOS_DELAY_MS", "0"))
SCRIPT = """
    class Part(b2luigi.Task):
        n = b2luigi.IntParameter()

        def requires(self):
            return [Part(n=m) for m in (2 * self.n + 1, 2 * self.n + 2) if m < 59]

        def output(self):
            yield self.add_to_output("part.txt")

        def run(self):
            with open(f"started/{self.n}", "a") as log:
                log.write(f"{os.getppid()}:{os.getpid()}\\n")
            with open(self.get_output_file_name("part.txt"), "w") as f:
                f.write("half of ")
                f.flush()
                time.sleep(0.2 + self.n % 5 / 5)
                f.write("the whole")
            with open(f"ended/{self.n}", "a") as log:
                log.write("x\\n")

    if __name__ == "__main__":
        b2luigi.set_setting("job_retries", 20)
        b2luigi.set_setting("local_slots", 8)
        b2luigi.set_setting("tasks_per_job", TASKS_PER_JOB)
        b2luigi.process(Part(n=0), batch=True)
"""
TASKS = 59


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("tasks_per_job", [1, 4])
def test_nothing_is_lost_and_nothing_is_doubled(
    system: System, project: Project, tasks_per_job: int, seed: int
) -> None:
    """59 tasks in six generations: every output is whole in the end, and each task ended as often as it had to."""
    dice = random.Random(f"{system.name} {seed}")
    project.write(SCRIPT.replace("TASKS_PER_JOB", str(tasks_per_job)))
    if DELAY:
        project.env.update(slow_disk(project.folder.parent, DELAY, below=project.folder))
    for name in ("started", "ended"):
        (project.folder / name).mkdir()
    shot = _until_done(system, project, dice)
    outputs = list(project.folder.rglob("part.txt"))
    assert len(outputs) == TASKS
    assert {path.read_text() for path in outputs} == {"half of the whole"}
    ends = Counter({int(path.name): len(path.read_text().split()) for path in (project.folder / "ended").iterdir()})
    starts = {int(path.name): len(path.read_text().split()) for path in (project.folder / "started").iterdir()}
    counts = json.dumps({"ends": ends, "starts": starts, "shot": shot})
    # A job that was shot after its work was done, and before it could say so, is the only reason to do it again.
    assert all(1 <= ends[n] <= 1 + shot[n] for n in range(TASKS)), counts
    assert all(starts[n] <= 1 + shot[n] for n in range(TASKS)), counts
    until(lambda: not system.live_jobs(), "the queue is empty")
    assert project.inboxes() == []


def _until_done(system: System, project: Project, dice: random.Random) -> Counter[int]:
    """Starts the script again and again; which tasks' jobs were shot meanwhile, and how often."""
    shot: Counter[int] = Counter()
    for _ in range(6):
        process = project.start()
        time.sleep(dice.uniform(0.5, 4.0))
        _make_trouble(system, project, dice, shot)
        process.kill()
        end_of(process)
        if system.shims is not None:
            system.shims.heal()
    ended = project.run()
    assert "progress looks :)" in ended.text, _short(ended)
    return shot


def _make_trouble(system: System, project: Project, dice: random.Random, shot: Counter[int]) -> None:
    trouble = dice.choice(["shoot", "shoot", "silence", "lost reply", "nothing"])
    if trouble == "shoot":
        _shoot(project, dice, shot)
    elif system.shims is not None and trouble == "silence":
        system.shims.fail(system.program("query"), "the daemon is having its lunch")
    elif system.shims is not None and trouble == "lost reply":
        system.shims.lose_reply(system.program("submit"))
    time.sleep(dice.uniform(0.0, 1.0))


def _shoot(project: Project, dice: random.Random, shot: Counter[int]) -> None:
    """kill -9 of a task that runs, alone, or with what has started it and all that this has started."""
    over = {int(path.name) for path in (project.folder / "ended").iterdir()}
    at_work = sorted(set(_begun(project)) - over)
    for n in dice.sample(at_work, k=min(2, len(at_work))):
        parent, own = _begun(project)[n]
        if dice.random() < 0.3:
            shot[n] += _kill(own)
        elif _kill(parent, *_children(parent)):
            # Also those that have just ended by themselves, or that a shared job has begun with since.
            shot.update(m for m, (by, _) in _begun(project).items() if by == parent and m not in over)


def _kill(*pids: int) -> bool:
    """Whether the first of them was alive."""
    was_alive = _is_alive(pids[0])
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not any(map(_is_alive, pids)), "they are dead")
    return was_alive


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _begun(project: Project) -> dict[int, tuple[int, int]]:
    """By task: the process that has started it the last time, and its own."""
    lines = {int(path.name): path.read_text().split() for path in (project.folder / "started").iterdir()}
    found = {n: begun[-1].partition(":") for n, begun in lines.items() if begun}
    return {n: (int(parent), int(own)) for n, (parent, _, own) in found.items()}


def _short(ended: Ended) -> str:
    return "\n".join(line for line in ended.text.splitlines() if "Informed scheduler" not in line)[-6000:]
