"""Tasks that share jobs, over a queue that a test moves by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.ledger import Ledger
from b2luigi.batch.attempts.outcome import Marker
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.attempts.tokens import kin_of, new_token
from b2luigi.batch.packs.queue import PackingQueue
from b2luigi.batch.packs.share import Share
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import JobInfo, JobSpec, JobStatus
from b2luigi.core.executable import SCRIPT_NAME
from b2luigi.core.job_script import PACK, JobScript, read_description
from tests.batch.processes.hands import HandQueue, accept, let_go

IDLE, RUNNING = JobInfo(JobStatus.idle, "PD"), JobInfo(JobStatus.running, "R")
ENDED = JobInfo(JobStatus.successful, "CD", 0)


class Below(HandQueue):
    """Takes all jobs out of the batch system at its end that it was not asked to leave there."""

    def attach(self, spec: JobSpec, facts: Mapping[str, Any]) -> Ticket:
        ticket = super().attach(spec, facts)
        self.tickets.append(ticket)
        return ticket

    def close(self, patience: float, enough: Callable[[], bool]) -> list[Ticket]:
        self.cancel(ticket for ticket in self.tickets if ticket not in (*self.detached, *self.released))
        for ticket in self.cancelled:
            let_go(ticket)
        return []


class Site:
    """A packing queue, the queue below it, which a test moves, and a clock that a test sets."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "task_file_dir"
        self.inbox = Inbox(self.base / "inbox-of-this-run")
        self.inbox.folder.mkdir(parents=True, exist_ok=True)
        self.now = 1000.0
        self.hand = Below()
        self.queue = PackingQueue(self.hand, clock=lambda: self.now, sleep=self.sleep)
        self.notes: list[Ticket] = []
        """The tickets of tasks whose job was about to be sent."""
        self.events: list[tuple[float, Callable[[], object]]] = []
        """What happens, and when, while somebody sleeps."""
        self._numbers = 0

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        for event in [event for event in self.events if event[0] <= self.now]:
            self.events.remove(event)
            event[1]()

    def spec(self, token: str = "", **options: Any) -> JobSpec:
        """The job of a new task."""
        self._numbers += 1
        folder = self.base / f"n={self._numbers}"
        folder.mkdir()
        token = token or new_token(kin_of(f"Work_{self._numbers}", "project"))
        return JobSpec(
            token=token,
            name=f"Work-{token}",
            script=folder / SCRIPT_NAME,
            folder=folder,
            log_folder=folder / "logs",
            inbox=self.inbox.folder,
            options=options,
        )

    def share(self, spec: JobSpec, most: int | None = 3, key: str = "", **others: Any) -> Share:
        """What a task brings along that may share its job with others."""
        description = {"task_id": PACK, "mode": "fork", "at_once": 1, "worker": {}}
        script = JobScript(PACK, ["python", "--task-id", PACK], description, inbox=str(self.inbox.folder))
        member = {"token": spec.token, "below": spec.folder.name, "home": str(spec.folder), "description": {}}
        values: dict[str, Any] = {"seconds": 300.0, "at_once": 1, "family": "Work", **others}
        return Share(key=key or f"{most}", most=most, script=script, member=member, **values)

    def submit(self, number: int = 1, most: int | None = 3, **others: Any) -> list[Ticket]:
        """So many tasks are handed in that may share jobs."""
        specs = [self.spec() for _ in range(number)]
        return [self.queue.submit(spec, self.notes.append, self.share(spec, most, **others)) for spec in specs]

    def pack(self, number: int = 3, job_id: str = "7", **others: Any) -> tuple[Ticket, list[Ticket]]:
        """A job with so many tasks, which the batch system has accepted: its ticket, and those of its tasks."""
        before = len(self.hand.tickets)
        members = self.submit(number, number, **others)
        self.queue.step()
        (job,) = self.hand.tickets[before:]
        self.send(job, job_id)
        return job, members

    def send(self, job: Ticket, job_id: str = "7") -> None:
        """A job is sent and accepted."""
        if job.before_sending is not None:
            job.before_sending(job)
        accept(job, job_id)
        self.hear_of(job)

    def attach(self, spec: JobSpec, pack: str, **facts: Any) -> Ticket:
        """A later run comes upon the record of a task in a pack."""
        return self.queue.attach(spec, {"pack": pack, "mark": pack, "job_id": "7", **facts})

    def a_pack_of_an_earlier_run(self, number: int) -> tuple[str, list[JobSpec]]:
        """Its token, and the tasks in it, none of which anybody has judged."""
        earlier = Site(self.base.parent / "earlier")
        earlier.base, earlier.inbox, earlier._numbers = self.base, self.inbox, self._numbers
        job, members = earlier.pack(number)
        self._numbers += number
        for member in members:
            facts = {"pack": job.spec.token, "inbox": str(self.inbox.folder)}
            Record.claim(member.spec.folder, facts, after=0, token=member.spec.token)
        return job.spec.token, [replace(member.spec, pack=None) for member in members]

    def hand_of(self, token: str) -> Ticket:
        """The ticket of a pack in the queue below."""
        return self.queue._under_way.packs[token].ticket

    def close_record(self, spec: JobSpec) -> None:
        """Some run judges an attempt."""
        _, (record,) = Record.all_in(spec.folder)
        record.close("DONE", None)

    def report(self, job: Ticket, info: JobInfo) -> list[Ticket]:
        """The batch system says something about a job."""
        job.info, job.answers = info, job.answers + 1
        return self.hear_of(job)

    def hear_of(self, *jobs: Ticket) -> list[Ticket]:
        """There is news of jobs."""
        self.hand.news = list(jobs)
        return self.queue.step()

    def begin(self, job: Ticket, *members: Ticket) -> None:
        """The node begins with tasks."""
        for member in members:
            Ledger(job.spec.folder).begin(member.spec.token)

    def end(self, ticket: Ticket, text: str = "0 none\n") -> list[Ticket]:
        """A job script, or the task of a pack, leaves its marker, and the queue hears of it."""
        (self.inbox.folder / ticket.spec.token).write_text(text)
        return self.hear()

    def hear(self) -> list[Ticket]:
        """The queue hears of all markers that there are."""
        return self.queue.hear({token: self.inbox for token in self.inbox.tokens()})

    def wait(self, seconds: float) -> list[Ticket]:
        """Time passes, and the queue does what is due."""
        self.now += seconds
        return self.queue.step()

    def judge(self, *members: Ticket) -> None:
        """What became of these tasks is known, and nobody waits for them any more."""
        for member in members:
            self.inbox.remove(member.spec.token)
            self.queue.release(member)


def tokens(tickets: list[Ticket]) -> list[str]:
    """What they are called."""
    return [ticket.spec.token for ticket in tickets]


def described(job: Ticket) -> Mapping[str, Any]:
    """What the job script of a pack says."""
    return read_description(job.spec.script)


def members_of(job: Ticket) -> list[str]:
    """The tokens of the tasks in a pack, as its job script has them."""
    return [member["token"] for member in described(job)["members"]]


def marker(site: Site, token: str) -> Marker:
    """What was left in the inbox."""
    return site.inbox.read(token)
