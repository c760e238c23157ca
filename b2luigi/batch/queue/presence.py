"""Presence: which jobs the answers of a batch system list, which they lack, and from when on that counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping

from b2luigi.batch.queue.mass_disappearance import MassDisappearance
from b2luigi.batch.queue.outage import Outage
from b2luigi.batch.queue.ticket import ABSENCES, Ticket, TicketState
from b2luigi.batch.systems.listings import Listing
from b2luigi.batch.systems.model import JobInfo

logger = logging.getLogger("luigi-interface.b2luigi")

SECOND_LOOK = 10.0
"""Seconds until the next query if an answer lacked a job: batch systems answer from snapshots that are seconds old
(LSF: 5 s), and two answers from one snapshot count as one."""
SHOWN = 150
"""Characters that are shown of a line that cannot be read."""

AT_ONCE = 500
"""Jobs of a listing that are looked at before something else may happen: a few milliseconds."""

Known = Mapping[str, JobInfo]

OLDEST = 190.0
"""Seconds by which an answer may be older than it looks: there are sites that cache them for three minutes."""


class Presence:
    """Learns from listings and from the history. `title`: what messages call the batch system.

    `gap`: seconds that two answers have to lie apart to count as two.
    """

    def __init__(self, title: str, clock: Callable[[], float], gap: float) -> None:
        self._title, self._clock, self._gap = title, clock, gap
        self._disappearance = MassDisappearance(title, clock)
        self._unread = Outage(f"All answers of {title} can be read", clock)
        self._hidden = Outage(f"{title} lists the jobs that its history calls alive", clock)
        self._unlisted: set[str] = set()
        """The tokens of jobs that have begun and were never listed, and of which somebody was warned."""
        self._elsewhere = Outage(f"{title} lists the jobs of earlier runs", clock)
        self._submitted: dict[str, float] = {}
        """By id: when the jobs were submitted, also those that were judged, since they may be listed still."""
        self.missed: list[Ticket] = []
        """Jobs that an answer lacked for the first time: the history may know how they ended."""

    def expect(self, ticket: Ticket) -> None:
        """A job is in the batch system."""
        self._submitted[str(ticket.job_id)] = ticket.submitted_at

    def listed(self, tickets: list[Ticket], known: Known) -> Generator[list[Ticket], None, bool]:
        """Learns from a listing, `AT_ONCE` jobs at a time.

        Yields those with news; returns whether the listing is worth a second look soon.
        """
        self._warn_of_unread(known)
        live = [ticket for ticket in tickets if not _is_unread(ticket, known)]
        doubtful = self._disappearance.is_doubtful(live, any(info_of(ticket, known) for ticket in live))
        counts = [ticket for ticket in live if not doubtful or ticket.end_reported or not ticket.absent]
        newest = max((self._submitted[job_id] for job_id in known if job_id in self._submitted), default=float("-inf"))
        for some in (counts[start : start + AT_ONCE] for start in range(0, len(counts), AT_ONCE)):
            yield [ticket for ticket in some if not ticket.released and self._update(ticket, known, newest)]
        suspicious = not doubtful and any(map(_is_suspicious, tickets))
        if not any(ticket.missed for ticket in live):
            self._hidden.end()
        return suspicious

    def _update(self, ticket: Ticket, known: Known, newest: float) -> bool:
        info = info_of(ticket, known)
        if info is None:
            return self._missed(ticket, newest)
        changed = info != ticket.info
        ticket.info, ticket.absent, ticket.answers, ticket.missed = info, 0, ticket.answers + 1, False
        if info.is_called(ticket.label):
            ticket.tied_at, ticket.may_be_elsewhere = self._clock(), False
        ticket.move(TicketState.queued)
        return changed

    def _missed(self, ticket: Ticket, newest: float) -> bool:
        """An answer lacks a job: it counts if it cannot be from the snapshot of the last one that did.

        `newest`: when the youngest of all jobs in the answer was submitted, which is how old the answer can be at most.
        """
        now = self._clock()
        if not ticket.missed or now >= ticket.absent_at + self._gap:
            ticket.missed = True
            if self._may_be_older(newest, ticket):
                ticket.absent_at = now
                self.missed.append(ticket)
                return False
        if not ticket.absent or now >= ticket.absent_at + self._gap:
            ticket.absent, ticket.absent_at = ticket.absent + 1, now
            if ticket.absent == 1:
                self.missed.append(ticket)
            if ticket.absent >= ABSENCES:
                self._not_there(ticket)
        return ticket.is_gone

    def _warn_of_unread(self, known: Known) -> None:
        """Shows a little of what cannot be read, once; jobs that may be in there do not count as absent."""
        unread = known.unread if isinstance(known, Listing) else ()
        if not unread:
            self._unread.end()
            return
        sample = "".join(f"\n    {line[:SHOWN]}" for line in "\n".join(unread).splitlines()[:2])
        self._unread.begin("%d parts of the answer of %s cannot be read, such as:%s", len(unread), self._title, sample)

    def _may_be_older(self, newest: float, ticket: Ticket) -> bool:
        """An answer may be older than the job that it lacks: there are sites that cache answers for minutes."""
        never_listed = not ticket.answers and not ticket.end_reported
        return never_listed and ticket.submitted_at > newest and self._clock() < ticket.submitted_at + OLDEST

    def _not_there(self, ticket: Ticket) -> None:
        if ticket.may_be_elsewhere:
            self.warn_of_elsewhere(ticket)
        else:
            ticket.move(TicketState.gone)

    def warn_of_elsewhere(self, ticket: Ticket) -> None:
        """A job of an earlier run is not listed here, and may be in another server."""
        self._elsewhere.begin(
            "%s does not list job %s of an earlier run, and its record does not say which server has it. No task is "
            "submitted again whose job may be in another one. Run the script where the earlier run submitted its jobs, "
            "or with --fresh to resubmit such tasks.",
            *(self._title, ticket.job_id or ticket.spec.name),
        )

    def warn_of_hidden(self, ticket: Ticket, left: float) -> None:
        """A job has begun that no answer has listed yet. `left`: seconds until it counts as ended; said once."""
        if ticket.spec.token not in self._unlisted:
            self._unlisted.add(ticket.spec.token)
            logger.warning(
                "%s does not list job %s, whose job script has begun: there are sites whose answers are minutes old. "
                "If no answer lists it in the next %.0f s, the job counts as ended.",
                *(self._title, ticket.spec.name, left),
            )

    def remembered(self, tickets: list[Ticket], known: Known) -> list[Ticket]:
        """Learns from the history; returns the jobs with news."""
        news = []
        for ticket in tickets:
            info = info_of(ticket, known, is_history=True)
            if info is not None and ticket.missed:
                ticket.info = info
                news.append(ticket)
                if not info.status.is_final:
                    self._lives(ticket, info)
        return news

    def _lives(self, ticket: Ticket, info: JobInfo) -> None:
        """One word that a job lives outweighs all answers that lack it."""
        ticket.absent, ticket.missed = 0, False
        ticket.move(TicketState.queued)
        self._hidden.begin(
            "%s does not list job %s, but its history says %s: the job counts as alive. Does something filter or cache "
            "the answers of the query command?",
            *(self._title, ticket.job_id, info.native),
        )


def info_of(ticket: Ticket, known: Known, *, is_history: bool = False) -> JobInfo | None:
    """What is known of this very job: another one may have its id by now, or have had it in another batch server.

    Labels may be rewritten: the id of a job that this run submitted proves that it lives, as long as it is listed
    without a gap. It proves the end only if the labels are those under which it lived.
    """
    info = known.get(str(ticket.job_id))
    if info is None or info.is_called(ticket.label):
        return info
    unlabelled = not info.labels and not ticket.may_be_elsewhere
    by_number = ticket.is_own and (is_history or not ticket.absent)
    known_labels = set(ticket.info.labels) if ticket.info is not None else set()
    is_plausible = not info.status.is_final or bool(known_labels & set(info.labels))
    return info if unlabelled or (by_number and is_plausible) else None


def _is_unread(ticket: Ticket, known: Known) -> bool:
    """It is not in what could be read, and may be in the rest."""
    job_id = str(ticket.job_id)
    return isinstance(known, Listing) and known.may_have(job_id) and job_id not in known


def _is_suspicious(ticket: Ticket) -> bool:
    """It is worth a second look soon."""
    return bool(ticket.absent) and not (ticket.is_gone or ticket.may_be_elsewhere)
