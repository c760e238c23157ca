"""Jobs: the live batch systems of one run and the processes of its tasks, which find each other by token."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping

from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.node.reports import Reports
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.processes.run import Run
from b2luigi.batch.queue.ticket import Queue, counted, never

logger = logging.getLogger("luigi-interface.b2luigi")

END_PATIENCE = 60.0
"""Seconds that the end of a run waits for submissions and cancellations under way, for each batch system."""


SLICE = 0.01
"""Seconds of one look for jobs with news, and again for those that are looked at without: the others have to wait for
the next look, since ten thousand jobs may begin at the same time."""


class Jobs:
    """All jobs of one run. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.queues: dict[str, Queue] = {}
        """By the name of their batch system."""
        self._by_token: dict[str, ClusterProcess] = {}
        self._watched: dict[str, ClusterProcess] = {}
        """By task id: those that have to be looked at without news."""
        self._news: dict[str, None] = {}
        """The tokens of jobs of which there is news that was not weighed yet, in their order."""
        self._round: set[str] = set()
        """The tokens of jobs that were weighed since all that had ended were."""
        self._reports = Reports()
        self._run: Run | None = None
        self._logged_attached = self._logged_unsubmitted = 0
        self._found = (0, 0)
        """How many jobs of earlier runs the last look knew of, and how many that were never submitted."""

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

    def look(self, more_to_come: bool = False) -> bool:
        """Moves all queues a little, and weighs the jobs of which there is news; True if something happened.

        `more_to_come`: more jobs are being prepared, so that a few may wait for others before they are submitted.
        """
        written = self._hear_of_written()
        if self._run is not None:
            with contextlib.suppress(OSError):  # written before a job is sent to a batch system, or it is not sent
                self._run.runs.own.write_claims()
        writes = self._run is not None and self._run.writer.is_busy
        more = more_to_come or writes or self._are_waiting
        news = [ticket.spec.token for queue in list(self.queues.values()) for ticket in queue.step(more)]
        if self._run is None:
            return bool(news)
        self._news.update(dict.fromkeys(news))
        markers = dict(self._run.runs.markers()) if self._by_token else {}
        concerned = [ticket.spec.token for queue in self.queues.values() for ticket in queue.hear(markers)]
        self._news.update(dict.fromkeys(concerned))
        ended = self._weigh_watched(markers) + self._weigh_news(markers, self._run)
        if not self._are_waiting:
            self._log_not_begun(self._run)
        if not more_to_come:
            self._log_attached(self._run)
        return written or bool(news or self._round) or any(ended)

    @property
    def _are_waiting(self) -> bool:
        """There are jobs to be weighed, so that some of their tasks may be submitted again."""
        return bool(self._news or self._round)

    def _weigh_watched(self, markers: Mapping[str, Inbox]) -> list[bool]:
        """Those without a marker. Who had their turn are at the end of the line."""
        ended, end = [], self._clock() + SLICE
        for task_id, process in list(self._watched.items()):
            if process.token not in markers:
                del self._watched[task_id]
                ended.append(self._weigh(process, None))
                if self._clock() > end:
                    break
        return ended

    def _weigh_news(self, markers: Mapping[str, Inbox], run: Run) -> list[bool]:
        """Each once, and in this order, which is the same in each run. Who had their turn wait for the next round."""
        ended, end = [], self._clock() + SLICE
        tokens = list(dict.fromkeys([*self._news, *(token for token in markers if token not in self._round)]))
        for token in tokens:
            self._news.pop(token, None)
            self._round.add(token)
            ended.append(self._hear(token, markers.get(token), run))
            if token != tokens[-1] and self._clock() > end:
                return ended
        self._round.clear()
        return ended

    @property
    def is_writing_enough(self) -> bool:
        """The files of so many jobs are being written that more tasks may wait."""
        return self._run is not None and self._run.writer.is_full

    def forward_reports(self) -> None:
        """Forwards to luigi's scheduler what running tasks report. Called often; does little each time."""
        self._reports.read(self._by_token.values())

    def cancel(self, jobs: list[ClusterProcess], enough: Callable[[], bool]) -> list[ClusterProcess]:
        """Cancels everything. Returns those that may be left: their records stay open, for the next run to see to."""
        for job in jobs:
            job.detach_if_watched()
        there = _there(jobs)
        if there:
            logger.warning("Cancelling %s; please wait (press Ctrl-C again to stop waiting).", counted(there))
        self._stop_writing(enough)
        left = [(queue, ticket) for queue in self.queues.values() for ticket in queue.close(END_PATIENCE, enough)]
        for queue, ticket in {ticket.names_job: (queue, ticket) for queue, ticket in left}.values():
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
        logger.warning("%s left running. Run the script again to resume.", counted(_different(left)))
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

    def _log_not_begun(self, run: Run) -> None:
        for job, number in run.not_begun.items():
            tasks = "1 of its tasks" if number == 1 else f"{number:,} of its tasks"
            logger.info("%s ended before it began with %s, which go into the next jobs.", job, tasks)
        run.not_begun.clear()

    def _log_attached(self, run: Run) -> None:
        """Once it is known how many they are: there may be thousands, and each look sees to some of them."""
        seen, self._found = self._found, (len(run.attached), len(run.unsubmitted))
        if seen != self._found:
            return
        if len(run.attached) > self._logged_attached:
            new, self._logged_attached = len(run.attached) - self._logged_attached, len(run.attached)
            logger.warning("Attached to %s of an earlier run.", counted(new))
        if len(run.unsubmitted) > self._logged_unsubmitted:
            new, self._logged_unsubmitted = len(run.unsubmitted) - self._logged_unsubmitted, len(run.unsubmitted)
            tasks = "1 task" if new == 1 else f"{new:,} tasks"
            logger.warning("An earlier run was interrupted before it had submitted %s; submitting now.", tasks)


def _there(jobs: Iterable[ClusterProcess]) -> int:
    """How many of them are ours to cancel, as far as is known."""
    return _different(process for process in jobs if process.job is not None and process.job.is_ours_to_cancel)


def _different(jobs: Iterable[ClusterProcess]) -> int:
    """How many jobs have these tasks, some of which may share one."""
    return len({process.job.ticket.names_job for process in jobs if process.job is not None})
