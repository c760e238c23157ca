"""`b2luigi why`: everything about one task, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from b2luigi.batch.messages.failure import tail, visible
from b2luigi.cli.command.asking import asked
from b2luigi.cli.command.runs import RESUME, OfRun, Where, in_words, the_run, the_tasks, was_killed
from b2luigi.core.words import duration, moment, size
from b2luigi.monitor import Attempt, Run, State, Task
from b2luigi.monitor.journal.logs import log_files

OTHERS, NEEDS = 10, 5
"""Other tasks that are meant, and requirements that are waited for, of which the names are listed."""
URGENT = (State.failed, State.cancelled, State.held, State.queued, State.running)
"""If several tasks are meant, one in the first of these states is shown."""
ADVICE = {
    "memory": "Ask the batch system for more memory in the settings of this task.",
    "time": "Ask the batch system for more time, or another queue, in the settings of this task.",
    "policy": "Ask the batch system for something that the policy allows.",
    "refused": "Correct the setting that the reason is about.",
    "infrastructure": "Run the script again.",
    "cancelled": "If you did not cancel it, ask your site; run the script again to resubmit it.",
    "vanished": "If you did not cancel it, ask your site; run the script again to resubmit it.",
    "failed": "Correct the error and run the script again; complete tasks are not repeated.",
    "ended": "Look into the logs; running the job script by hand runs this task here and now.",
}


@in_words
def why(
    task: Annotated[str, typer.Argument(help="Task id, class, or 'Class(n=3, mode=*)'.")],
    where: Where = Path(),
    run: OfRun = "",
) -> None:
    """Everything about one task: its jobs, how they ended and why, its last words, what it waits for, what to do."""
    found = the_run(where, run)
    chosen = the_tasks(found, [task])
    shown = min(chosen, key=_urgency)
    for line in _lines(shown, found):
        typer.echo(line)
    others = [one for one in chosen if one is not shown]
    if others:
        names = ", ".join(one.name for one in others[:OTHERS])
        more = ", ..." if len(others) > OTHERS else ""
        typer.echo(f"\n{len(others):,} other tasks match, too: {visible(names)}{more}")


def _urgency(task: Task) -> int:
    return URGENT.index(task.state) if task.state in URGENT else len(URGENT)


def _lines(task: Task, run: Run) -> Iterator[str]:
    yield f"{visible(task.name)}: {_state(task, run)}"
    yield f"  task id: {task.task_id}"
    if task.reason:
        yield f"  reason:  {visible(task.reason)}"
    for attempt in task.attempts:
        yield from _of_attempt(attempt, task)
    yield from _waits_for(task, run)
    yield from _asked(task, run)
    if task.log_dir:
        yield f"  logs:    {task.log_dir}"
    yield from _last_words(task, run)
    yield from _advice(task, run)


def _state(task: Task, run: Run) -> str:
    if task.done_before:
        return "done before this run"
    if task.external and task.state is not State.done:
        return "an external task whose outputs are missing; no task here creates them"
    over = "" if run.is_alive or task.state in (State.done, State.failed, State.cancelled) else ", when its run ended"
    return f"{task.state.value}{over}"


def _of_attempt(attempt: Attempt, task: Task) -> Iterator[str]:
    job = f"{attempt.batch_system} job {attempt.job_id}" if attempt.job_id else f"{attempt.batch_system}, no job id yet"
    node = f" on node {attempt.node}" if attempt.node else ""
    resumed = ", of an earlier run" if attempt.resumed else ""
    yield f"  attempt {attempt.number}: {job}{node}{resumed}"
    times = [
        f"{name} {moment(value)}"
        for name, value in (("submitted", attempt.submitted), ("started", attempt.started), ("ended", attempt.ended))
        if value is not None
    ]
    if times:
        yield f"    {', '.join(times)}"
    if attempt.end:
        code = f", exit code {attempt.exit_code}" if attempt.exit_code is not None else ""
        reason = f": {visible(attempt.reason)}" if attempt.reason and attempt.reason != task.reason else ""
        yield f"    {attempt.end}{code}{reason}"
    for text in (attempt.held and f"held: {attempt.held}", attempt.notice):
        if text:
            yield f"    {visible(text)}"
    used = list(_usage(attempt))
    if used:
        yield f"    {', '.join(used)}"


def _usage(attempt: Attempt) -> Iterator[str]:
    usage = attempt.usage
    if usage.wall is not None:
        yield f"ran {duration(usage.wall)}"
    if attempt.time_requested is not None:
        yield f"asked for {duration(attempt.time_requested)}"
    if usage.cpu is not None:
        yield f"CPU {duration(usage.cpu)}"
    if usage.memory is not None:
        of = f" of {size(attempt.memory_requested)} asked for" if attempt.memory_requested else ""
        yield f"memory {size(usage.memory)}{of} ({usage.memory_from})"
    elif attempt.memory_requested is not None:
        yield f"asked for {size(attempt.memory_requested)} of memory"


def _waits_for(task: Task, run: Run) -> Iterator[str]:
    """What a waiting task needs, down to what is the reason for all of it."""
    if task.state is not State.waiting or task.external:
        return
    missing = [run.tasks[one] for one in task.needs if one in run.tasks and run.tasks[one].state is not State.done]
    if not missing:
        yield "  all it requires is done; it waits for its turn (workers, resources), or for the next run"
        return
    counts: dict[str, int] = {}
    for one in missing:
        counts[one.state.value] = counts.get(one.state.value, 0) + 1
    states = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    yield f"  waits for {len(missing):,} of {len(task.needs):,} tasks that it requires ({states}):"
    for one in sorted(missing, key=_urgency)[:NEEDS]:
        yield f"    {visible(one.name)}: {_state(one, run)}" + (f": {visible(one.reason)}" if one.reason else "")
    if len(missing) > NEEDS:
        yield f"    ... and {len(missing) - NEEDS:,} more"
    yield from _roots(missing, run.tasks)


def _roots(missing: list[Task], tasks: Mapping[str, Task]) -> Iterator[str]:
    """What failed further below, if none of the requirements themselves did."""
    if any(one.state in (State.failed, State.cancelled) or one.external for one in missing):
        return
    seen, stack = {one.task_id for one in missing}, list(missing)
    while stack:
        task = stack.pop()
        if task.state in (State.failed, State.cancelled) or (task.external and task.state is not State.done):
            yield f"  because of {visible(task.name)}: {task.state.value} {visible(task.reason)}".rstrip()
            return
        stack += [tasks[one] for one in task.needs if one in tasks and one not in seen]
        seen.update(task.needs)


def _asked(task: Task, run: Run) -> Iterator[str]:
    """What the batch system says of a job that has not ended, now."""
    last = task.last
    if last is None or last.job_id is None or task.state not in (State.queued, State.held, State.running):
        return
    words = asked(last)
    if words:
        yield f"  {last.batch_system} says now:"
        yield from (f"    | {visible(line)}" for line in words)


def _last_words(task: Task, run: Run) -> Iterator[str]:
    if task.state not in (State.failed, State.cancelled):
        return
    words = tail([path for name, path in log_files(run, task).items() if name == "stderr"])
    if words:
        yield "  last words (stderr):"
        yield from (f"    | {line}" for line in words.splitlines())


def _advice(task: Task, run: Run) -> Iterator[str]:
    last = task.last
    if was_killed(run) and task.state not in (State.done, State.failed, State.cancelled):
        yield f"  {RESUME}"
    if task.state in (State.failed, State.cancelled) and last is not None and last.end in ADVICE:
        yield f"  {ADVICE[last.end]}"
