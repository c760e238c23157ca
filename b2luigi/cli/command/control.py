"""`b2luigi cancel` and `b2luigi retry`: asked of the run, if it is alive."""

from __future__ import annotations

import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from b2luigi.batch.attempts import requests
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.attempts.requests import Reply, Request, Verb
from b2luigi.batch.attempts.users import foreign_owner, user_name
from b2luigi.batch.messages.failure import headline, visible
from b2luigi.cli.command.run import words_of
from b2luigi.cli.command.runs import CommandError, OfRun, Where, in_words, the_run, the_tasks
from b2luigi.cli.command.selection import select
from b2luigi.core.flags import script_arguments
from b2luigi.monitor import Run, State, Task, load_run, run_folders
from b2luigi.monitor.journal.afterwards import note_cancelled
from b2luigi.monitor.journal.names import MASK

if TYPE_CHECKING:
    from b2luigi.batch.workers.orphans import Cancelled

PATIENCE, PATIENCE_FAR = 15.0, 90.0
"""Seconds until a request is withdrawn that nobody answers, on this host and on others: their file systems may show it
late."""
MENTION = 3.0
"""Seconds after which the person who waits reads for what."""
GLANCE = 0.1
NAMED = 20
"""Tasks that are named one by one."""

Tasks = Annotated[list[str] | None, typer.Argument(help="Task ids, classes, or 'Class(n=3, mode=*)'.")]
OfClass = Annotated[str, typer.Option("--class", help="All tasks of this class.")]
Everything = Annotated[bool, typer.Option("--all", help="All tasks of the run.")]
Failed = Annotated[bool, typer.Option("--failed", help="All tasks that failed or were cancelled.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Start the script again without asking.")]


@in_words
def cancel(
    tasks: Tasks = None,
    of_class: OfClass = "",
    everything: Everything = False,
    where: Where = Path(),
    run: OfRun = "",
) -> None:
    """Cancel tasks: they fail as "cancelled by you", and their jobs leave the batch system.

    A run that is alive is asked to, from any host. Of a run that is over, the jobs that it has left are cancelled.
    """
    _refuse_nothing(tasks, of_class, everything, "--all")
    found = the_run(where, run)
    if found.is_alive:
        _say(found, Verb.cancel, _asked(found, Verb.cancel, tasks or [], of_class, everything))
    else:
        _cancel_left(found, tasks or [], of_class, everything)


@in_words
def retry(
    tasks: Tasks = None,
    failed: Failed = False,
    yes: Yes = False,
    where: Where = Path(),
    run: OfRun = "",
) -> None:
    """Try tasks again that failed or were cancelled.

    A run that is alive is asked to, from any host. If it is over, its script is started again, after a question.
    """
    _refuse_nothing(tasks, "", failed, "--failed")
    found = the_run(where, run)
    if found.is_alive:
        _say(found, Verb.retry, _asked(found, Verb.retry, tasks or [], "", failed))
    else:
        _start_again(found, the_tasks(found, tasks or []), yes)


def _refuse_nothing(tasks: Sequence[str] | None, of_class: str, everything: bool, flag: str) -> None:
    if not (tasks or of_class or everything):
        raise CommandError(f"Which tasks? Name some, or all with {flag}.")


# -- of a run that is alive


def _asked(run: Run, verb: Verb, words: Sequence[str], of_class: str, everything: bool) -> Reply:
    named = [task.task_id for task in the_tasks(run, list(words))]
    classes = sorted({task.class_name for task in the_tasks(run, [of_class])}) if of_class else []
    if not run.inbox:
        raise CommandError(
            f"Process {run.pid} on {run.host} accepts no requests, since all its jobs are of your own process_class. "
            "Press Ctrl-C there to end it."
        )
    return ask(run, Request(verb, named, classes, everything))


def ask(run: Run, request: Request) -> Reply:
    """Asks a run that is alive, and waits for its answer. Raises CommandError if there is none."""
    inbox = Inbox(run.task_file_dir / run.inbox, process=run.process)
    try:
        key = requests.send(inbox.folder, request)
    except OSError as error:
        raise CommandError(_why_not_asked(inbox, error)) from error
    try:
        return _awaited(run, inbox, key)
    finally:
        requests.withdraw(inbox.folder, key)


def _awaited(run: Run, inbox: Inbox, key: str) -> Reply:
    begin, patience = time.monotonic(), PATIENCE if run.host == platform.node() else PATIENCE_FAR
    mention = begin + MENTION
    while (answer := requests.read_reply(inbox.folder, key)) is None:
        if inbox.is_abandoned():
            answer = requests.read_reply(inbox.folder, key)
            if answer is None:
                raise CommandError(
                    "The run has ended without an answer. To see what became of its tasks: b2luigi status"
                )
            return answer
        now = time.monotonic()
        if now > begin + patience and requests.withdraw(inbox.folder, key):
            raise CommandError(
                f"Process {run.pid} on {run.host} did not answer within {patience:.0f} s: it may be stopped, or busy "
                "with a slow file system. The request was withdrawn, and nothing has changed."
            )
        if now > begin + 2 * patience:
            raise CommandError(
                f"Process {run.pid} on {run.host} has taken the request, and does not answer: see its log, {run.log}"
            )
        if now > mention:
            typer.echo(f"Waiting for process {run.pid} on {run.host} ...", err=True)
            mention = float("inf")
        time.sleep(GLANCE)
    return answer


def _why_not_asked(inbox: Inbox, error: OSError) -> str:
    if not inbox.folder.is_dir() and inbox.is_abandoned():
        return "The run has just ended. To see how: b2luigi status"
    owner = foreign_owner(inbox.folder)
    whose = f"It is a run of {user_name(owner)}, and only they can do that. " if owner is not None else ""
    return f"{whose}Cannot leave a request for this run: {error}"


def _say(run: Run, verb: Verb, reply: Reply) -> None:
    if reply.error:
        raise CommandError(f"Nothing has changed: {reply.error}.")
    done = "Cancelled" if verb is Verb.cancel else "Will be retried:"
    refused = {_name(run, task_id): why for task_id, why in reply.refused.items()}
    _report(f"{done} {_counted(reply.served)}.", refused, reply.others)


def _name(run: Run, task_id: str) -> str:
    return run.tasks[task_id].name if task_id in run.tasks else task_id


def _report(what: str, refused: Mapping[str, str], others: int = 0) -> None:
    """What was done, and for which tasks nothing was: then the command ends with 1."""
    typer.echo(what)
    by_reason = defaultdict(list)
    for name, why in refused.items():
        by_reason[why].append(name)
    for why, names in by_reason.items():
        typer.echo(f"Not {_listed(names)}: {visible(why)}.", err=True)
    if others:
        typer.echo(f"... and not {others:,} more.", err=True)
    if refused:
        raise typer.Exit(1)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return visible(", ".join(names[:NAMED])) + more


def _counted(number: int) -> str:
    return "1 task" if number == 1 else f"{number:,} tasks"


# -- of a run that is over


def _cancel_left(run: Run, words: Sequence[str], of_class: str, everything: bool) -> None:
    """Cancels jobs that a run has left: by their records, since its journal may lack the last second."""
    named = {task.task_id: task for task in the_tasks(run, list(words))}
    in_class = select([of_class], run.tasks) if of_class else []
    meant = {*named, *(task.task_id for task in in_class)}
    followed = {token: other for other in _others_alive(run) for token in _tokens(other)}
    refused: dict[str, str] = {}

    def is_wanted(record: Record) -> bool:
        task_id = str(record.facts.get("task_id"))
        is_ours = task_id in run.tasks or record.inbox_name == run.inbox
        if not (is_ours if everything else task_id in meant):
            return False
        if record.token in followed:
            refused[_name(run, task_id)] = f"a later run has it: b2luigi cancel --run {followed[record.token].id}"
        return record.token not in followed

    typer.echo(f"Run {run.id} is over; cancelling jobs that it has left.", err=True)
    results = _cancel_orphans(run, is_wanted)
    gone = [one.record for one in results if not one.why_not]
    refused.update({_name(run, str(one.record.facts.get("task_id"))): one.why_not for one in results if one.why_not})
    found = {str(one.record.facts.get("task_id")) for one in results}
    without = [task for task in named.values() if task.task_id not in found and task.name not in refused]
    refused.update({task.name: _why_no_job(task) for task in without})
    if gone:
        _note(run, [record.facts for record in gone])
        _set_aside(run, gone)
    again = " The next run repeats them." if gone else ""
    _report(f"Cancelled {_counted(len(gone))}.{again}", refused)


def _set_aside(run: Run, gone: Sequence[Record]) -> None:
    """Renames what these jobs have written: only the script knows where that is."""
    from b2luigi.batch.attempts.artifacts import set_outputs_aside
    from b2luigi.cli.collect import tasks_of_script
    from b2luigi.core.graph import all_tasks

    records = {str(record.facts.get("task_id")): record for record in gone}
    try:
        tasks = all_tasks(tasks_of_script(Path(run.script), script_arguments(run.arguments)))
        for task in tasks:
            if task.task_id in records:
                for path in set_outputs_aside(task, records.pop(task.task_id)):
                    typer.echo(f"Set aside: {visible(path)}")
    except (Exception, SystemExit) as error:
        typer.echo(f"Could not find out which outputs the tasks have: {visible(headline(error))}", err=True)
    if records:
        names = _listed([_name(run, task_id) for task_id in records])
        typer.echo(f"Outputs may be incomplete; the next run sets them aside: {names}", err=True)


def _why_no_job(task: Task) -> str:
    return "it is done" if task.state is State.done else f"it has no job (it is {task.state.value})"


def _tokens(run: Run) -> Iterable[str]:
    return (attempt.token for task in run.tasks.values() for attempt in task.attempts)


def _cancel_orphans(run: Run, is_wanted: Callable[[Record], bool]) -> Sequence[Cancelled]:
    from b2luigi.batch.workers.orphans import Orphans

    def wait(owner: str) -> None:
        typer.echo(f"Checking for a minute whether a run is still alive: {owner}", err=True)

    try:
        return Orphans(run.task_file_dir, wait=wait).cancel(is_wanted)
    except OSError as error:
        raise CommandError(f"The records of the jobs cannot be written: {error}") from error


def _others_alive(run: Run) -> Iterable[Run]:
    others = [folder for folder in run_folders(run.task_file_dir) if folder.name != run.folder.name]
    return [other for other in map(load_run, others) if other.is_alive]


def _note(run: Run, attempts: Sequence[Mapping[str, Any]]) -> None:
    try:
        note_cancelled(run.folder, attempts, "cancelled by you, after the run")
    except OSError as error:
        typer.echo(f"Could not note this in the journal of the run: {error}", err=True)


def _start_again(run: Run, tasks: Sequence[Task], yes: bool) -> None:
    counts = run.counts()
    wrong = [task for task in tasks if task.state is State.done]
    if wrong:
        raise CommandError(f"{wrong[0].name} is done. To do it again: remove its outputs, then b2luigi run.")
    if not run.script or not os.path.isfile(run.script):
        raise CommandError(f"Run {run.id} is over, and its script is not there: {run.script or 'unknown'}")
    if any(MASK in word for word in run.arguments):
        raise CommandError(
            f"Run {run.id} is over. Its script had secret arguments, which are not kept: start it yourself."
        )
    alive = next(iter(_others_alive(run)), None)
    if alive is not None:
        raise CommandError(f"Run {run.id} is over, and another one is alive: b2luigi retry --run {alive.id}")
    words = words_of(Path(run.script), run.arguments)
    rest = counts.total() - counts[State.done]
    typer.echo(f"Run {run.id} is over. This starts its script again, for all that is not done ({_counted(rest)}):")
    typer.echo(f"  {visible(' '.join(words))}")
    if not yes and not typer.confirm("Start it?"):
        raise typer.Exit(1)
    if run.cwd and os.path.isdir(run.cwd):
        os.chdir(run.cwd)
    os.execv(words[0], words)
