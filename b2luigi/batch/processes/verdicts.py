"""VerdictProcess: what is made of a verdict on a job: told to luigi, tried again, begun anew."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from luigi.task_register import load_task

from b2luigi.batch.attempts.artifacts import collect_logs
from b2luigi.batch.attempts.judge import AGAIN, ALWAYS, CHANGED, Fail
from b2luigi.batch.attempts.outcome import FAILED, PENDING, Outcome
from b2luigi.batch.messages import job_failures
from b2luigi.batch.processes.beginnings import NO_JOB, BeginningProcess
from b2luigi.batch.processes.preparation import NOT_SUBMITTED, options_of
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import Cause
from b2luigi.core.settings import get_setting

logger = logging.getLogger("luigi-interface.b2luigi")

ROUNDS = 5
"""How many jobs of a task may find the same yielded requirements missing."""
SURE = 30.0
"""Seconds from the last search for a job of doubtful submission to the next submission."""


class VerdictProcess(BeginningProcess):
    """A task whose job was judged; `ClusterProcess` finds the verdict."""

    _retries = 0
    _last_report: Mapping[str, Any] | None = None

    @property
    def _came_too_late(self) -> bool:
        """The job is one of an earlier run, and was over before we came."""
        return self._earlier and not self._signs.lived

    def _deliver(self, ticket: Ticket, outcome: Outcome) -> None:
        self._last_report = outcome.told
        problem = self._problem_of_requirements(outcome) if outcome.status == PENDING else ""
        if outcome.status == FAILED and self._came_too_late and not ticket.others:
            self._start_anew(f"its job in an earlier run failed: {outcome.headline or outcome.explanation}")
        elif outcome.status == FAILED:
            story = job_failures.of_exception(self.task, self.queue.name, ticket, outcome)
            self._fail(story, outcome.headline, explanation=outcome.explanation, missing=list(outcome.missing))
            self._close(FAILED, outcome)
        elif problem:
            self._fail(job_failures.of_requirements(self.task, self.queue.name, ticket, outcome.node, problem), problem)
            self._close(FAILED, outcome)
        else:
            self.shared.brake.release(self.task.get_task_family())
            self.finish(outcome.status, outcome.explanation, list(outcome.missing), list(outcome.new_requirements))
            self._close(outcome.status, outcome)

    def _problem_of_requirements(self, outcome: Outcome) -> str:
        key = (self.task.task_id, repr(outcome.new_requirements))
        self.shared.rounds[key] += 1
        if self.shared.rounds[key] > ROUNDS:
            return f"{ROUNDS} jobs in a row found them missing, though they are complete here: does the node see them?"
        return _first_unloadable(outcome)

    def _ran_another(self, ticket: Ticket, outcome: Outcome) -> None:
        self._fail(job_failures.of_another_task(self.task, self.queue.name, ticket, outcome), "it ran another task")
        self._close(FAILED, outcome)

    def _refused(self, ticket: Ticket) -> None:
        if self._earlier:
            self._start_anew(NO_JOB)
        elif ticket.doubt:
            why = f"{self.queue.name} was asked for its job again and again, and has none; it said: {ticket.doubt}"
            self._give_up(NOT_SUBMITTED)
            self._put_off(why, SURE)
        else:
            self._turned_down(ticket)

    def _turned_down(self, ticket: Ticket) -> None:
        self.fail(job_failures.of_refusal(self.task, self.queue.name, ticket))
        self._close("refused")

    def _died(self, ticket: Ticket, verdict: Fail) -> None:
        collect_logs(ticket.spec)
        if self._came_too_late:
            self._start_anew(f"its job in an earlier run is over: {verdict.what}")
        elif self._is_worth_another(ticket, verdict.cause):
            self._try_again(ticket, verdict)
        else:
            story = job_failures.of_death(self.task, self.queue.name, ticket, verdict)
            self._fail(story, verdict.what, died=True)
            self._close(verdict.cause.name)

    def _is_worth_another(self, ticket: Ticket, cause: Cause) -> bool:
        if self._retries >= int(get_setting("job_retries", task=self.task)):
            return False
        if AGAIN[cause] == CHANGED:  # the same again would end the same way
            options = options_of(self.task, self.queue, self.shared.tries[self.task.task_id] + 1)
            return dict(options) != dict(ticket.spec.options)
        return AGAIN[cause] == ALWAYS

    def _try_again(self, ticket: Ticket, verdict: Fail) -> None:
        self._give_up(verdict.cause.name)
        self._retries += 1
        logger.warning(
            "%s: %s job %s is over: %s. It is submitted again (%d of %d times).",
            *(self.task, self.queue.name, ticket.job_id, verdict.what),
            *(self._retries, int(get_setting("job_retries", task=self.task))),
        )
        self._due = self.shared.clock()
        self._begin()

    def _death_in_disguise(self, outcome: Outcome) -> Fail | None:
        """What a node tells as an exception, though it is not the task's fault."""
        if outcome.status != FAILED:
            return None
        if outcome.missing and all(dependency.complete() for dependency in self.task.deps()):
            return job_failures.inputs_unseen(outcome)
        again = outcome.headline.startswith("MemoryError") and self.ticket is not None
        if again and self.ticket is not None and self._is_worth_another(self.ticket, Cause.memory):
            return job_failures.out_of_memory(outcome)
        return None

    def _fail(
        self,
        story: str,
        reason: str,
        *,
        explanation: object = None,
        missing: list[str] | None = None,
        died: bool = False,
    ) -> None:
        self.shared.brake.press(self.task.get_task_family(), reason)
        self.fail(story + job_failures.aside(self._set_aside()), explanation=explanation, missing=missing, died=died)


def _first_unloadable(outcome: Outcome) -> str:
    for module, family, parameters in outcome.new_requirements:
        try:
            load_task(module, family, parameters)
        except Exception as error:
            return f"{module}.{family}: {type(error).__name__}: {error}"
    return ""
