"""JobInFlight: everything about one attempt of a task, from its submission to the verdict."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import luigi

from b2luigi.batch.attempts.artifacts import set_outputs_aside
from b2luigi.batch.attempts.fresh_look import look_again, look_at_folders_of
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.judge import NO_JOB, Anew, Deliver, Evidence, Questions, Verdict, Wait, judge, wants_reason
from b2luigi.batch.attempts.outcome import DONE, INTERRUPTED, Marker, Outcome
from b2luigi.batch.attempts.record import Record, read_outcome
from b2luigi.batch.processes import cleanup
from b2luigi.batch.processes.cleanup import NotYetError
from b2luigi.batch.processes.diary import LEFT, Diary
from b2luigi.batch.processes.run import Run
from b2luigi.batch.queue.ticket import Queue, Ticket, TicketState
from b2luigi.batch.systems.model import JobStatus
from b2luigi.core.completeness import has_own_complete, missing_outputs, name_of

logger = logging.getLogger("luigi-interface.b2luigi")

CLAIMED = 1.0
"""Seconds until a task is tried again that another run has claimed."""
GIVEN_UP = "given up"
NOT_SUBMITTED = "not submitted"
NOT_BEGUN = "not begun"
CANCELLED = "cancelled"
"""How attempts end that were replaced, those that never became a job, those whose job ended before it came to them, and
those that a person does not want."""
ANSWERS = 3
"""So many answers about a job that a signal ended are asked for in a hurry; if all say that it lives, it does."""
READING = 1.0
"""Seconds between two readings of the record of a job that another run follows."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Postponed:
    """There is no job for now; another look for one is due in so many seconds."""

    why: str
    """Empty if that was reported."""
    seconds: float
    outage: str = ""
    """A sentence that is not true for now, if that is why: many tasks wait for it at once."""


class JobInFlight:
    """One attempt of a task: its record, its ticket, its inbox, and what was seen of its end. It is dropped whole.

    `grace`: seconds by which an outcome may be late. `earlier`: an earlier run submitted the job, or another one did.
    `watched`: another run, which is alive, judges the job; this one reads its verdict in the record.
    """

    def __init__(
        self,
        task: luigi.Task,
        run: Run,
        queue: Queue,
        record: Record,
        ticket: Ticket,
        inbox: Inbox,
        *,
        grace: float,
        earlier: bool = False,
        watched: bool = False,
    ) -> None:
        self.task, self.run, self.queue = task, run, queue
        self.record, self.ticket, self.inbox = record, ticket, inbox
        self.grace, self.earlier, self.watched = grace, earlier, watched
        self._lived = ticket.info is not None and not ticket.info.status.is_final
        self._ended_at: float | None = None
        self._outcome_at: float | None = None
        self._marker: Marker | None = None
        self._answers_at_end = 0
        self._id_noted: tuple[str, str] | None = None
        self._hold_reported, self._notices = "", set[str]()
        self._ran = self._requeue_reported = False
        self._read_at = 0.0
        run.watched += watched
        self.diary = Diary(run.journal, task, record, queue, ticket)
        self.diary.begin(run.runs.own.name, earlier)

    # -- what is known

    @property
    def token(self) -> str:
        """Names the attempt."""
        return self.record.token

    @property
    def status(self) -> JobStatus:
        """The last that the batch system reported; runs no command."""
        return self.ticket.info.status if self.ticket.info is not None else JobStatus.idle

    @property
    def stands(self) -> str:
        """Where the job is, in a few words: "queued in slurm as 123"; empty once it has ended."""
        info, job_id = self.ticket.info, self.ticket.job_id
        where = self.queue.name + (f" as {job_id}" if job_id is not None else "")
        match info:
            case None:
                is_sent = job_id is not None or self.queue.name == "local"  # here, it waits for a free slot only
                return f"{'queued in' if is_sent else 'to be submitted to'} {where}"
            case _ if info.status.is_final:
                return ""
            case _ if info.status is JobStatus.running:
                return f"running in {where}" + (f" on {info.node}" if info.node else "")
            case _:
                return f"{'held' if info.held else 'queued'} in {where}"

    @property
    def is_ending(self) -> bool:
        """There was a sign of the end."""
        return self._ended_at is not None or self._outcome_at is not None

    @property
    def is_ours_to_cancel(self) -> bool:
        """It may be in the batch system, and no other run follows it."""
        return self.ticket.may_be_there and not self.watched

    @property
    def needs_looks(self) -> bool:
        """To be looked at without news: it is ending, another run judges it, or its folder cannot be read."""
        unwanted = self.earlier and self.run.fresh
        return self.is_ending or self.watched or unwanted or self.ticket.is_over

    # -- the verdict

    def look(self, marker: Marker | None = None) -> Verdict | Postponed:
        """Weighs what is known. `marker`: what the job script left in the inbox, if it did."""
        if not self.watched and self._was_judged_by_another_run():
            self.watched, self._read_at = True, 0.0
        if self.watched:
            return self._verdict_of_other_run()
        if self.earlier and self.run.fresh:
            return self._finished_before() or self._verdict_of_fresh_run()
        if self.ticket.state is TicketState.not_found and marker is None:
            if not self._can_read_inbox():
                return Wait()
            marker = self.inbox.read(self.token) if self.inbox.has(self.token) else None
        marker = marker or self._end_of_pack
        self.note_job_id()
        ended = self._see(marker)
        # Read after the batch system's last word, which is older than the outcome.
        outcome = read_outcome(self.ticket.spec.outcome) if ended or self._may_have_begun else None
        if outcome is None and ended:
            if not self._can_read_folder():
                return Wait()
            outcome = read_outcome(self.ticket.spec.outcome)
        self._see_outcome(outcome)
        if wants_reason(marker):
            self._ask_about()
        self._report_state()
        return self._judged(marker, outcome)

    @property
    def _may_have_begun(self) -> bool:
        """False for a job of this run that nobody has seen yet: there is nothing to read on a slow disk."""
        if self.ticket.pack is not None and not self.ticket.pack.has_begun(self.token):
            return self.earlier
        return self.earlier or self.ticket.info is not None

    @property
    def _end_of_pack(self) -> Marker | None:
        """What the job script of the job left that the task shares with others, if that has ended without it."""
        return self.ticket.pack.marker if self.ticket.pack is not None else None

    def _is_left_out(self, marker: Marker | None) -> bool:
        """Whether the job that the task shares with others has ended, and has begun with others only."""
        pack = self.ticket.pack
        over = pack is not None and (marker is not None or pack.is_over or self.ticket.is_gone)
        if pack is None or not over or (marker is not None and marker.alone):
            return False
        try:
            pack.read_ledger(at_most_every=READING)
        except OSError as error:
            raise NotYetError from error
        return pack.has_begun_any and not pack.has_begun(self.token)

    def _judged(self, marker: Marker | None, outcome: Outcome | None) -> Verdict:
        ticket = self.ticket
        evidence = Evidence(
            outcome=outcome,
            marker=marker,
            info=ticket.info,
            refusal=ticket.reason if ticket.state is TicketState.refused else "",
            not_found=ticket.reason if ticket.state is TicketState.not_found else "",
            gone=ticket.is_gone,
            started=ticket.is_gone and ticket.spec.report.exists(),
            ended_for=self._since(self._ended_at),
            outcome_for=self._since(self._outcome_at),
            grace=self.grace,
            task_id=self.task.task_id,
            earlier=self.earlier,
            lived=self._lived and not self._was_moved,
            not_begun=self._is_left_out(marker),
        )
        try:
            return judge(evidence, self._questions())
        except NotYetError:
            return Wait()

    def _see(self, marker: Marker | None) -> bool:
        """Takes in what job script and batch system say; True if one of them says that the job ended."""
        info = self.ticket.info
        final = info is not None and info.status.is_final
        ended = marker is not None or self.ticket.is_gone or final
        self._lived = self._lived or (info is not None and not final)
        if not ended:
            self._ended_at = None  # gone for a while, and there again
        elif self._ended_at is None or marker != self._marker:
            self._ended_at, self._answers_at_end = self._now(), self.ticket.answers
        self._marker = marker
        return ended

    def _see_outcome(self, outcome: Outcome | None) -> None:
        if outcome is not None and outcome.status != INTERRUPTED and self._outcome_at is None:
            self._outcome_at = self._now()

    def _ask_about(self) -> None:
        """Asks soon why a signal ended a job; one still there after a few answers was held, evicted or requeued."""
        info = self.ticket.info
        alive = info is not None and not info.status.is_final
        if self.ticket.answers - self._answers_at_end < ANSWERS:
            self.queue.hurry(self.ticket)
        elif alive and not self.ticket.absent:
            self.inbox.remove(self.token)  # its next start will leave another marker
            self._ended_at = self._marker = None
            self.queue.calm(self.ticket)

    def _report_state(self) -> None:
        """Logs what a person should know: that the job waits for somebody, and why, or was requeued; each once."""
        info = self.ticket.info
        if info is None:
            return
        self.diary.see(info)
        held = info.native if info.held else ""
        if held and held != self._hold_reported:
            self._warn("waits for you: %s", held)
        self._hold_reported = held
        if info.notice and info.notice not in self._notices:
            self._notices.add(info.notice)
            self._warn("%s", info.notice)
        requeued = self._ran and info.status is JobStatus.idle and not (held or info.notice)
        if requeued and not self._requeue_reported:
            self._requeue_reported = True
            self._warn("was requeued by the batch system: %s", info.native)
        self._ran = info.status is JobStatus.running or (self._ran and not requeued)

    def _warn(self, text: str, *arguments: object) -> None:
        job = (self.queue.name, self.ticket.job_id, self.task)
        if self.ticket.pack is not None:  # what concerns the job is said of one of its tasks
            key = (*job[:2], text, *arguments)
            if key in self.run.said:
                return
            self.run.said.add(key)
        logger.warning(f"%s job %s of %s {text}", *job, *arguments)

    def _questions(self) -> Questions:
        return Questions(
            complete=self._asked(lambda: bool(self.task.complete())),
            missing=lambda outcome: self._asked(lambda: self._missing_outputs(outcome))(),
            inputs_complete=lambda: all(required.complete() for required in self.task.deps()),
        )

    def _missing_outputs(self, outcome: Outcome) -> list[str]:
        """What its node has seen has to arrive here, unless the task's own complete() is content without."""
        missing = missing_outputs(self.task, ignored=outcome.absent).values()
        if not missing or (has_own_complete(self.task) and self.task.complete()):
            return []
        look_at_folders_of(missing)
        return [name_of(target) for target in missing]

    def _asked(self, question: Callable[[], _T]) -> Callable[[], _T]:
        """A question to the task: a file system that hiccups is asked again, while there is time."""

        def ask() -> _T:
            try:
                return question()
            except Exception as error:
                if self._waited < self.grace:
                    raise NotYetError from error
                raise

        return ask

    @property
    def _was_moved(self) -> bool:
        """The project has another path since its job was submitted, which cannot report to where that was."""
        return (
            self.earlier and os.path.isdir(self.inbox.folder) and not os.path.isdir(str(self.record.facts.get("inbox")))
        )

    # -- other runs

    def _was_judged_by_another_run(self) -> bool:
        """Two runs may follow the job of a dead one, or of one that was silent like a dead one: the faster one judges.

        The slower one has nothing to judge, and nothing to set aside.
        """
        if not (self.earlier or self.run.runs.own.was_silent):
            return False
        self.record.reload()
        return bool({"ended", "given_up"} & self.record.facts.keys())

    def _verdict_of_other_run(self) -> Verdict | Postponed:
        if self._now() < self._read_at:
            return Wait()
        self._read_at = self._now() + READING * (1 + self.run.watched / 100)
        self.record.reload()
        facts = self.record.facts
        if "ended" in facts:
            outcome, end = Outcome.from_record(facts.get("outcome")), facts.get("end")
            if outcome is None or end != outcome.status:
                return Anew(f"another run gave up its job ({end})")
            return Deliver(outcome)
        if "given_up" in facts:
            return Postponed("", CLAIMED)
        self.watched = not self.inbox.is_abandoned()
        if not self.watched:
            self.run.attached.add(self.ticket.names_job)
        return Wait()

    def _finished_before(self) -> Verdict | None:
        """Work that the job had finished before anybody came counts, also with --fresh."""
        outcome = read_outcome(self.ticket.spec.outcome)
        if outcome is None or outcome.status != DONE or outcome.task_id not in ("", self.task.task_id):
            return None
        try:
            return None if self._questions().missing(outcome) else Deliver(outcome)
        except NotYetError:
            return Wait()

    def _verdict_of_fresh_run(self) -> Verdict:
        """--fresh: what an earlier run has left is cancelled, as soon as it is known what that is, and where."""
        if self.ticket.state is TicketState.placing:
            return Wait()
        if self.ticket.state is TicketState.out_of_reach:
            return Anew(f"--fresh: {self.queue.name} job {self.ticket.job_id} of an earlier run cannot be reached")
        if self.ticket.job_id is not None:
            return Anew(f"--fresh: {self.queue.name} job {self.ticket.job_id} of an earlier run is cancelled")
        return Anew(NO_JOB) if self.ticket.is_over else Wait()

    # -- outages

    def _can_read_folder(self) -> bool:
        """False if a token expired, or a file system is away: then nothing is judged."""
        return self._reported(look_again(self.ticket.spec.folder), self.ticket.spec.folder)

    def _can_read_inbox(self) -> bool:
        try:
            self.inbox.has(self.token)
        except OSError:
            return self._reported(False, self.inbox.folder)
        return True

    def _reported(self, readable: bool, folder: Path) -> bool:
        able = f"Folders of {self.queue.name} jobs can be read"
        if readable:
            self.run.outages.go_on(str(self.task), able)
        else:
            self.run.outages.wait(str(self.task), able, f"its folder cannot be read for now: {folder}")
        return readable

    # -- the end

    def note_job_id(self) -> None:
        """Writes the job id into the record, once it is known."""
        job_id, server = self.ticket.job_id, self.ticket.server
        if job_id is None or self._id_noted == (job_id, server):
            return
        self._id_noted = job_id, server
        self.diary.queued()
        again = " (of an earlier run)" if self.earlier else ""
        logger.debug("%s is %s job %s%s", self.task.task_id, self.queue.name, job_id, again)
        try:
            facts = self.record.facts
            if facts.get("job_id") != job_id or (server and facts.get("server") != server):
                self.record.note(job_id=job_id, server=server, submitted=facts.get("submitted") or time.time())
        except OSError as error:
            logger.warning("The record of %s cannot be written: %s", self.task.task_id, error)

    def set_outputs_aside(self) -> list[str]:
        """Renames outputs that may be cut short; returns their new names."""
        return [] if self.watched else set_outputs_aside(self.task, self.record)

    def give_up(self, end: str) -> None:
        """Another attempt takes the place of this one. Raises NotYetError while its job could still start its work."""
        if not self.watched:
            cleanup.void(self.task, self.record, self.run)
        self.set_outputs_aside()
        self.close(end, replaced=True)

    def stop(self) -> None:
        """Takes the job out of its batch system, with the next command that does so.

        One that may be in another batch server stays as it is, and so does its record.
        """
        if self.ticket.may_be_elsewhere or self.ticket.state is TicketState.out_of_reach:
            self.leave()
            return
        if not self.watched:
            self.queue.cancel([self.ticket])
            cleanup.set_aside_unless_done(self.task, self.record, self.ticket.spec)
        self.close("stopped")

    @property
    def why_not_cancelled(self) -> str:
        """Why nobody can cancel it from here, or has to; empty if it can be cancelled."""
        if self.watched:
            return f"another run has its job, and can cancel it: {self.inbox.owner()}"
        if self.ticket.may_be_elsewhere or self.ticket.state is TicketState.out_of_reach:
            host = self.record.facts.get("submit_host")
            return f"its job was submitted on {host} to a batch server that does not answer from here"
        outcome = read_outcome(self.ticket.spec.outcome)
        done = outcome is not None and outcome.status == DONE and outcome.task_id in ("", self.task.task_id)
        return "it was done just now" if done else ""

    def cancel(self, reason: str) -> list[str]:
        """Nobody wants it any more, and no other job takes its place; returns the new names of its outputs."""
        self.diary.reason = reason
        aside = self.set_outputs_aside()
        self.queue.cancel([self.ticket])
        is_on_its_way = self.ticket.job_id is None and self.ticket.may_be_there and not self.ticket.is_over
        if not is_on_its_way:
            self.close(CANCELLED)
            return aside
        self.diary.end(CANCELLED, None, None)
        cleanup.cancel_then_close(self.task, self.record, self.ticket, self.queue, self.run, CANCELLED)
        return aside

    def leave(self) -> bool:
        """Leaves the job where it is, for a later run to resume; False if there is none."""
        self.note_job_id()
        if self.ticket.may_be_there:
            self.diary.end(LEFT, None, None)
        else:
            self.close(NOT_SUBMITTED)
        return self.ticket.may_be_there

    def close(self, end: str, outcome: Outcome | None = None, *, replaced: bool = False) -> None:
        """The attempt is over; `end` and `outcome` go into its record. `replaced`: another attempt waits for that.

        A job that may be at work is cancelled first, and one that was judged does not run again, whatever the batch
        system thinks of it.
        """
        self.run.judged.add(self.token)
        self.diary.end(end, outcome, self._marker)
        if outcome is not None and self.ticket.pack is not None and "wall" in outcome.usage:
            self.queue.learn(self.task.get_task_family(), float(outcome.usage["wall"]))
        if self.watched:
            self.queue.detach(self.ticket)
            return
        self.inbox.remove(self.token)
        if self._may_be_at_work:
            cleanup.cancel_then_close(self.task, self.record, self.ticket, self.queue, self.run, end, soon=replaced)
            return
        cleanup.close(self.record, self.ticket.spec, end, outcome)
        self.queue.release(self.ticket)
        if self._may_run_again:
            self.queue.cancel([self.ticket], soon=replaced)

    @property
    def _may_be_at_work(self) -> bool:
        """There is no report of its end; it is merely nowhere to be seen, or takes too long."""
        over = self.ticket.state is TicketState.ended or self.status.is_final
        reported = self._marker is not None or self._outcome_at is not None
        return self.ticket.job_id is not None and not (over or reported)

    @property
    def _may_run_again(self) -> bool:
        info = self.ticket.info
        final = info is not None and info.status.is_final and not info.lingers
        ended_well = self._marker is not None and self._marker.exit_code == 0
        return self.ticket.job_id is not None and not (final or ended_well)

    # -- time

    @property
    def _waited(self) -> float:
        """Seconds since the first sign of the end."""
        seen = [moment for moment in (self._ended_at, self._outcome_at) if moment is not None]
        return self._now() - min(seen) if seen else 0.0

    def _since(self, moment: float | None) -> float:
        return self._now() - moment if moment is not None else 0.0

    def _now(self) -> float:
        return self.run.clock()
