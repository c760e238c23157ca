"""Jobs: the live batch systems of one run and the processes of its tasks, which find each other by token."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable

from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.node.reports import Reports
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.processes.run import Run
from b2luigi.batch.queue.ticket import Queue, counted, never

logger = logging.getLogger("luigi-interface.b2luigi")

END_PATIENCE = 60.0
"""Seconds that the end of a run waits for submissions and cancellations under way, for each batch system."""


class Jobs:
    """All jobs of one run."""

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {}
        """By the name of their batch system."""
        self._by_token: dict[str, ClusterProcess] = {}
        self._watched: dict[str, ClusterProcess] = {}
        """By task id: those that have to be looked at without news."""
        self._reports = Reports()
        self._run: Run | None = None
        self._told_attached = self._told_unsubmitted = 0

    def register(self, process: ClusterProcess) -> None:
        """Keeps a process where news of its job finds it, as long as there can be any."""
        self._run = process.shared
        if process.token and not process.is_over:
            self._by_token[process.token] = process
        else:
            self._by_token.pop(process.token, None)
        if process.needs_looks:
            self._watched[process.task.task_id] = process
        else:
            self._watched.pop(process.task.task_id, None)

    def look(self) -> bool:
        """Moves all queues a little, and weighs the jobs of which there is news; True if something happened."""
        written = self._hear_of_written()
        if self._run is not None:
            with contextlib.suppress(OSError):  # written before a job is sent to a batch system, or it is not sent
                self._run.runs.own.write_claims()
        news = [ticket.spec.token for queue in list(self.queues.values()) for ticket in queue.step()]
        if self._run is None:
            return bool(news)
        markers = dict(self._run.runs.markers()) if self._by_token else {}
        ended = [self._weigh(process, None) for process in self._without(markers)]
        heard = dict.fromkeys([*news, *markers])  # each once, and in this order, which is the same in each run
        ended += [self._hear(token, markers.get(token), self._run) for token in heard]
        self._tell_attached(self._run)
        return written or bool(news) or any(ended)

    @property
    def is_writing_enough(self) -> bool:
        """The files of so many jobs are being written that more tasks may wait."""
        return self._run is not None and self._run.writer.is_full

    def forward_reports(self) -> None:
        """Forwards to luigi's scheduler what running tasks report. Called often; does little each time."""
        self._reports.read(self._by_token.values())

    def cancel(self, jobs: list[ClusterProcess], enough: Callable[[], bool]) -> list[ClusterProcess]:
        """Cancels everything. Returns those that may be left: their records stay open, for the next run to see to."""
        self._stop_writing(enough)
        for job in jobs:
            job.detach_if_watched()
        there = _there(jobs)
        if there:
            logger.warning("Cancelling %s; please wait (press Ctrl-C again to stop waiting).", counted(there))
        left = [(queue, ticket) for queue in self.queues.values() for ticket in queue.close(END_PATIENCE, enough)]
        for queue, ticket in left:
            what = f"{queue.name} job {ticket.job_id}" if ticket.job_id else f"{ticket.spec.name} in {queue.name}"
            logger.error("Could not confirm that this job was cancelled; please check: %s", what)
        if there and not left:
            logger.warning("Cancelled %s.", counted(there))
        tickets = {id(ticket) for _, ticket in left}
        return [process for process in jobs if process.job and id(process.job.ticket) in tickets and process.leave()]

    def leave(self, jobs: list[ClusterProcess]) -> list[ClusterProcess]:
        """Leaves everything where it is; returns those that are there."""
        self._stop_writing(never)
        for queue in self.queues.values():
            queue.leave(END_PATIENCE)
        left = [job for job in jobs if job.leave()]
        logger.warning("%s left running. Run the script again to resume.", counted(len(left)))
        return left

    def _hear_of_written(self) -> bool:
        """Hands in the jobs whose files were written beside the loop."""
        processes = self._run.writer.finished() if self._run is not None else []
        for process in processes:
            self._weigh(process, None)
        return bool(processes)

    def _stop_writing(self, enough: Callable[[], bool]) -> None:
        if self._run is not None:
            self._run.writer.stop(END_PATIENCE, enough)

    def _without(self, markers: Iterable[str]) -> list[ClusterProcess]:
        return [process for process in self._watched.values() if process.token not in markers]

    def _hear(self, token: str, inbox: Inbox | None, run: Run) -> bool:
        if token in self._by_token:
            return self._weigh(self._by_token[token], inbox)
        if inbox is not None and token in run.judged:
            inbox.remove(token)  # it ended once more
        return False

    def _weigh(self, process: ClusterProcess, inbox: Inbox | None) -> bool:
        """True if that was the end of the task."""
        token = process.token
        process.look(inbox.read(token) if inbox is not None else None)
        if process.token != token:
            self._by_token.pop(token, None)
        self.register(process)
        return process.is_over

    def _tell_attached(self, run: Run) -> None:
        if len(run.attached) > self._told_attached:
            new, self._told_attached = len(run.attached) - self._told_attached, len(run.attached)
            logger.warning("Attached to %s of an earlier run.", counted(new))
        if len(run.unsubmitted) > self._told_unsubmitted:
            new, self._told_unsubmitted = len(run.unsubmitted) - self._told_unsubmitted, len(run.unsubmitted)
            tasks = "1 task" if new == 1 else f"{new:,} tasks"
            logger.warning("An earlier run was interrupted before it had submitted %s; submitting now.", tasks)


def _there(jobs: Iterable[ClusterProcess]) -> int:
    """How many of them are ours to cancel, as far as is known."""
    return sum(process.job is not None and process.job.is_ours_to_cancel for process in jobs)
