"""A batch system that a test plays: a language of a few words, and commands that answer when the test wants it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import (
    Accepted,
    Answer,
    AnswerError,
    Command,
    JobInfo,
    JobSpec,
    JobStatus,
    Refused,
    Submitted,
    TooMany,
    TryLater,
    Unsure,
)

RESULTS: dict[str, Callable[[str], Submitted]] = {
    "accepted": Accepted,
    "refused": Refused,
    "later": TryLater,
    "a few times": lambda text: TryLater(text, 3),
    "too many": TooMany,
    "unsure": Unsure,
}


class Fake(BatchSystem):
    """Says `verb word word ...`; reads what `Site` answers. `broken` names methods that raise."""

    name = "fake"
    probe = "fake"

    def __init__(self, bulk: int = 100, past: bool = True, broken: Sequence[str] = ()) -> None:
        self.past, self.broken = past, set(broken)
        vars(self)["bulk"] = bulk  # a constant of its class for others

    def options(self, setting: Callable[[str], Any]) -> Mapping[str, Any]:
        return {}

    def _say(self, verb: str, words: Sequence[str]) -> Command:
        if verb in self.broken:
            raise KeyError(f"{verb} is broken")
        return Command((verb, *words))

    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        return self._say("submit", [job.token for job in jobs])

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        if "parse_submit" in self.broken:
            raise KeyError("parse_submit is broken")
        return [RESULTS[kind](text) for kind, text in json.loads(answer.stdout)]

    def query(self, job_ids: Sequence[str]) -> Command:
        return self._say("query", job_ids)

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        if "parse_query" in self.broken:
            raise KeyError("parse_query is broken")
        if answer.rc:
            raise AnswerError(answer.words)
        found = json.loads(answer.stdout)
        return {job_id: JobInfo(JobStatus(state), state, token=token) for job_id, (state, token) in found.items()}

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return self._say("cancel", job_ids)

    def parse_cancel(self, answer: Answer) -> str:
        if "parse_cancel" in self.broken:
            raise KeyError("parse_cancel is broken")
        return answer.stderr

    def find(self, jobs: Sequence[JobSpec]) -> Command:
        return self._say("find", [job.token for job in jobs])

    def history(self, job_ids: Sequence[str]) -> Command | None:
        return self._say("history", job_ids) if self.past else None


class Branched(Fake):
    """Knows several batch servers. Commands for another one than that of the machine begin with `@name`.

    `can_reach`: whether there are such commands at all.
    """

    def __init__(self, server: str = "", *, can_reach: bool = True, bulk: int = 100, past: bool = True) -> None:
        super().__init__(bulk, past)
        self.server, self.can_reach = server, can_reach

    def _say(self, verb: str, words: Sequence[str]) -> Command:
        at = (f"@{self.server}",) if self.server else ()
        return Command((*at, verb, *words))

    def ask_server(self, answers: Sequence[Answer]) -> Command | None:
        return None if answers or "," in self.server else self._say("server", [])

    def parse_server(self, answers: Sequence[Answer]) -> str:
        if answers[0].rc:
            raise AnswerError(answers[0].words)
        return answers[0].stdout

    def at(self, server: str) -> Branched | None:
        return Branched(server, past=self.past) if self.can_reach else None


@dataclass
class Call:
    """A command that was started."""

    argv: tuple[str, ...]
    at: float
    answer: Answer | None = None

    def poll(self) -> Answer | None:
        return self.answer


@dataclass
class Site:
    """The cluster behind the commands. It answers at once, unless a test says `hang` or puts an answer in `replies`."""

    now: float = 0.0
    server: str = ""
    """What the cluster calls itself."""
    others: dict[str, Site] = field(default_factory=dict)
    """Clusters that commands reach which begin with `@name`; those of names that are not here fail."""
    calls: list[Call] = field(default_factory=list)
    jobs: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """By id: state and token, as a query or a search shows them."""
    past: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """By id: state and token, as the history shows them."""
    replies: dict[str, list[Answer | list[tuple[str, str]]]] = field(default_factory=dict)
    """By verb: answers for the next commands; a list of results for submissions."""
    submissions: Callable[[tuple[str, ...]], list[tuple[str, str]] | None] = lambda tokens: None
    """What becomes of a submission of these tokens; None: they are accepted."""
    hang: set[str] = field(default_factory=set)
    """Verbs whose commands do not answer."""
    events: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    """What happens, and when, while somebody sleeps."""

    def start(self, command: Command) -> Call:
        if command.argv[0].startswith("@"):
            return self._elsewhere(command)
        call = Call(command.argv, self.now)
        self.calls.append(call)
        if call.argv[0] not in self.hang:
            self.answer(call)
        return call

    def _elsewhere(self, command: Command) -> Call:
        name, *argv = command.argv
        if name[1:] in self.others:
            self.others[name[1:]].now = self.now
            return self.others[name[1:]].start(Command(tuple(argv)))
        self.calls.append(Call(command.argv, self.now, Answer(1, "", f"cannot connect to {name[1:]}")))
        return self.calls[-1]

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [act for at, act in self.events if at <= self.now]
        self.events = [event for event in self.events if event[0] > self.now]
        for act in due:
            act()

    def commands(self, verb: str) -> list[tuple[str, ...]]:
        """The words of all commands of a verb."""
        return [call.argv[1:] for call in self.calls if call.argv[0] == verb]

    def times(self, verb: str) -> list[float]:
        return [call.at for call in self.calls if call.argv[0] == verb]

    def answer(self, call: Call, reply: Answer | list[tuple[str, str]] | None = None) -> None:
        """Lets a command answer: with `reply`, as `replies` has it, or as the state of the cluster is."""
        verb = call.argv[0]
        if reply is None and self.replies.get(verb):
            reply = self.replies[verb].pop(0)
        if reply is None and verb == "submit":
            reply = self.submissions(call.argv[1:])
        call.answer = self._truth(call) if reply is None else _answer(reply)

    def _truth(self, call: Call) -> Answer:
        verb, *words = call.argv
        if verb == "server":
            return Answer(0, self.server, "")
        if verb == "submit":
            self.jobs.update({f"#{token}": ("idle", token) for token in words})
            return _answer([("accepted", f"#{token}") for token in words])
        if verb == "cancel":
            for job_id in words:
                self.jobs.pop(job_id, None)
            return Answer(0, "", "")
        return Answer(0, json.dumps(self.past if verb == "history" else self.jobs), "")


def _answer(reply: Answer | list[tuple[str, str]]) -> Answer:
    return reply if isinstance(reply, Answer) else Answer(0, json.dumps(reply), "")
