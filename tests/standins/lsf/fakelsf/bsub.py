"""`bsub`: read the options, refuse or accept, and leave the job to the supervisor."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from . import dependencies, state
from .command import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from .command import Call

WITH_VALUE = (
    "-q",
    "-J",
    "-Jd",
    "-n",
    "-o",
    "-oo",
    "-e",
    "-eo",
    "-cwd",
    "-env",
    "-W",
    "-M",
    "-R",
    "-P",
    "-G",
    "-g",
    "-sp",
    "-app",
    "-u",
    "-m",
    "-L",
    "-w",
)
FLAGS = ("-r", "-rn", "-H", "-x", "-N", "-B")
LATER = ("-K", "-I", "-Is", "-Ip")  # of LSF, not of this stand-in yet
INSTEAD = {
    "-o": "-oo",
    "-oo": "-o",
    "-e": "-eo",
    "-eo": "-e",
    "-r": "-rn",
    "-rn": "-r",
}  # the last one given counts
USAGE = "Usage: bsub [options] command [arguments]\n"
LONGEST = 4094
NEVER_PASSED = (
    "HOME",
    "LS_JOBPID",
    "LSB_HOSTS",
    "LSB_JOBFILENAME",
    "LSB_JOBID",
    "LSB_JOBINDEX",
    "LSB_JOBNAME",
)


class Rejected(Exception):
    """The submission is refused. `costs_id`: mbatchd refused it, after it had taken an id."""

    def __init__(self, text: str, costs_id: bool = False) -> None:
        """Keep the text as LSF says it."""
        super().__init__(text)
        self.costs_id = costs_id


class Unusable(Exception):
    """The command line cannot be read: usage."""


def run(call: Call) -> Answer:
    """Submit one job or array, or a pack of them."""
    if "-pack" in call.argv[:1]:
        from . import pack

        return pack.run(call)
    return answer_to(call, lambda: read_command_line(call.argv, call.conf), chatter_of(call))


def answer_to(call: Call, read: Callable[[], tuple[dict[str, str], str]], chatter: Answer) -> Answer:
    """Submit what is read: options and command."""
    try:
        options, command = read()
        wanted = Request(call.conf, options, command)
        jobid = submit(call, wanted)
    except Unusable as error:
        return unusable(error)
    except Rejected as error:
        if error.costs_id:
            with state.writing(call.db):
                state.next_jobid(call.db, call.conf)
        return Answer(255, "", f"{chatter.err}{error}. Job not submitted.\n")
    kind = "queue" if wanted.queue_given else "default queue"
    line = f"Job <{jobid}> is submitted to {kind} <{wanted.queue}>.\n"
    if call.fault("quiet") or "BSUB_QUIET" in os.environ:
        line = ""
    if "BSUB_STDERR" in os.environ:
        return Answer(0, chatter.out, chatter.err + line)
    return Answer(0, chatter.out + line, chatter.err)


def unusable(why: object) -> Answer:
    """The answer to a command line that cannot be read."""
    return Answer(255, "", f"bsub: {why}\n{USAGE}")


def chatter_of(call: Call) -> Answer:
    """What a site's esub says before the submit line."""
    answer = Answer(0, "".join(f"{line}\n" for line in call.conf["esub_chatter"]))
    if fault := call.fault("chatter"):
        text = fault.get("text", "Job is submitted to <cpp> project.") + "\n"
        if fault.get("stream", "stdout") == "stderr":
            answer.err += text
        else:
            answer.out += text
    return answer


# ---------------------------------------------------------------------------------------------- command line


def read_command_line(argv: list[str], conf: dict[str, Any]) -> tuple[dict[str, str], str]:
    """Options and the job's command text; without a command stdin is the job, with its #BSUB lines."""
    options, words = read_options(argv, conf)
    if words:
        return options, join_command(words)
    text = sys.stdin.read()
    embedded = _embedded_options(text, conf)
    for word in options:
        embedded.pop(INSTEAD.get(word, ""), None)
    if not [line for line in text.splitlines() if line.strip() and not line.startswith("#BSUB")]:
        raise Rejected("No command is specified")
    return {**embedded, **options}, text


def read_options(
    argv: list[str], conf: dict[str, Any], refused: tuple[str, ...] = ()
) -> tuple[dict[str, str], list[str]]:
    """Options up to the first word that is none; the rest is the command. `refused`: options not allowed here."""
    options: dict[str, str] = {}
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word.startswith("-env ") and conf["glued_env"] == "accept":
            word, rest = "-env", [word[len("-env ") :], *rest]
        if word in refused:
            raise Unusable(f"option {word} cannot be used in a pack")
        if word in LATER:
            raise Unusable(f"option {word} is not in this stand-in yet (fakelsf)")
        if word not in WITH_VALUE and word not in FLAGS:
            raise Unusable(f"illegal option -- {word.lstrip('-')}")
        if word in WITH_VALUE and not rest:
            raise Unusable(f"option requires an argument -- {word.lstrip('-')}")
        options.pop(INSTEAD.get(word, ""), None)
        options[word] = rest.pop(0) if word in WITH_VALUE else ""
    return options, rest


def _embedded_options(script: str, conf: dict[str, Any]) -> dict[str, str]:
    import shlex

    words: list[str] = []
    for line in script.splitlines():
        if line.startswith("#BSUB"):
            words += shlex.split(line[len("#BSUB") :], comments=True)
    return read_options(words, conf)[0]


def join_command(words: list[str]) -> str:
    """The command as a line of shell: the first word as it is (it may be a whole line), others quoted."""
    line = " ".join([words[0], *map(quoted, words[1:])])
    if len(line) > LONGEST:
        raise Rejected("Command line is too long")
    return line


def quoted(word: str) -> str:
    """A word as the job's shell is to read it."""
    if word and not set(word) & set(" \t\n\"'`;&|<>()*?[]#~$\\{}"):
        return word
    return f'"{word}"' if '"' not in word else "'" + word.replace("'", "'\\''") + "'"


# ---------------------------------------------------------------------------------------------- request


class Request:
    """What is asked for, checked in the order LSF does: syntax first, then what only mbatchd knows."""

    def __init__(self, conf: dict[str, Any], options: dict[str, str], command: str) -> None:
        """Check and read all options, or raise Rejected."""
        self.options, self.command = options, command
        self.slots = _slots(options.get("-n", "1"))
        self.run_limit_s = _run_limit(options["-W"], conf) if "-W" in options else None
        _check_resources(options.get("-R", ""))
        self.environment = chosen_environment(options.get("-env", "all"), dict(os.environ))
        self.name, self.indices, self.array_limit = array_of(options.get("-J", ""), command)
        if len(self.indices) > conf["max_job_array_size"] or max(self.indices) > conf["max_job_array_size"]:
            raise Rejected("Job array index too large", costs_id=True)
        asked = options.get("-q") or os.environ.get("LSB_DEFAULTQUEUE")
        self.queue_given = asked is not None
        self.queue = usable_queue(asked, conf)
        if conf["max_slots_per_job"] and self.slots > conf["max_slots_per_job"]:
            raise Rejected("Too many processors requested", costs_id=True)
        self.sub_cwd = os.getcwd()
        self.cwd = os.path.join(self.sub_cwd, options["-cwd"]) if "-cwd" in options else self.sub_cwd


def _slots(text: str) -> int:
    smallest = text.split(",")[0]
    if not smallest.isdecimal() or int(smallest) < 1:
        raise Rejected("Bad argument for option -n")
    return int(smallest)


def _run_limit(text: str, conf: dict[str, Any]) -> float:
    parts = text.split("/")[0].split(":")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise Rejected(f"{text}: Bad RUNLIMIT specification")
    minutes = int(parts[-1]) + (60 * int(parts[0]) if len(parts) == 2 else 0)
    return minutes * float(conf["minute_s"])


def _check_resources(text: str) -> None:
    open_brackets: list[str] = []
    for char in text:
        if char in "[(":
            open_brackets.append(char)
        elif char in "])" and (not open_brackets or open_brackets.pop() + char not in ("[]", "()")):
            raise Rejected("Bad resource requirement syntax")
    if open_brackets:
        raise Rejected("Bad resource requirement syntax")


def array_of(name: str, command: str) -> tuple[str, list[int], int | None]:
    """Name, indices and how many may run at once of `name[1-n]%k`; a plain job has the one index 0."""
    if "[" not in name:
        return name or command, [0], None
    head, _, rest = name.partition("[")
    span, bracket, limit = rest.partition("]")
    try:
        if not bracket or (limit and not limit.startswith("%")):
            raise ValueError(name)
        return head, state.parse_indices(span), int(limit[1:]) if limit else None
    except ValueError:
        raise Rejected("Bad job name") from None


def usable_queue(asked: str | None, conf: dict[str, Any]) -> str:
    """The first usable queue of those asked for, or the default one."""
    queues = conf["queues"]
    if asked is None:
        return next((name for name, queue in queues.items() if queue.get("default")), "")
    refusal = Rejected("No such queue", costs_id=True)
    for name in asked.split():
        queue = queues.get(name)
        if queue is None:
            refusal = Rejected(f"{name}: No such queue", costs_id=True)
        elif queue.get("closed"):
            refusal = Rejected("Queue has been closed", costs_id=True)
        elif "users" in queue and user() not in queue["users"]:
            refusal = Rejected(f"{name}: User cannot use the queue", costs_id=True)
        else:
            return name
    raise refusal


def user() -> str:
    """Who submits."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def chosen_environment(text: str, environment: dict[str, str]) -> dict[str, str]:
    """What of the submission's environment the job gets: `none`, `all, ~NAME, NAME=VALUE`, or only these."""
    environment = {name: value for name, value in environment.items() if name not in NEVER_PASSED}
    items = [item.strip() for item in _comma_separated(text)]
    if items == ["none"]:
        return {}
    chosen = dict(environment) if items[0] == "all" else {}
    for item in items[1:] if items[0] == "all" else items:
        name, equals, value = item.partition("=")
        if item.startswith("~"):
            chosen.pop(item[1:], None)
        elif equals:
            chosen[name] = value[1:-1] if value[:1] == value[-1:] == "'" and len(value) > 1 else value
        elif name in environment:
            chosen[name] = environment[name]
    return chosen


def _comma_separated(text: str) -> list[str]:
    """Split at commas outside single quotes."""
    parts, quoted = [""], False
    for char in text:
        quoted ^= char == "'"
        if char == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return parts


# ---------------------------------------------------------------------------------------------- submission


def submit(call: Call, wanted: Request) -> int:
    """Put the job in the database and its script and environment in the folder; its id."""
    options, now = wanted.options, time.time()
    with state.writing(call.db) as db:
        depends = _condition(call, options["-w"]) if "-w" in options else None
        jobid = state.next_jobid(db, call.conf)
        folder = state.job_folder(call.where, jobid, 0)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "job.sh").write_text(wanted.command + ("" if wanted.command.endswith("\n") else "\n"))
        (folder / "env").write_text(json.dumps(wanted.environment))
        job = {
            "jobid": jobid,
            "name": wanted.name,
            "user": user(),
            "queue": wanted.queue,
            "project": options.get("-P", "default"),
            "command": wanted.command,
            "sub_cwd": wanted.sub_cwd,
            "cwd": wanted.cwd,
            "slots": wanted.slots,
            "array_limit": wanted.array_limit,
            "output": options.get("-o", options.get("-oo")),
            "output_append": "-oo" not in options,
            "error": options.get("-e", options.get("-eo")),
            "error_append": "-eo" not in options,
            "description": options.get("-Jd"),
            "run_limit_s": wanted.run_limit_s,
            "rerunnable": "-r" in options,
            "submit_time": now,
            "depends": depends,
        }
        marks = ", ".join("?" * len(job))
        db.execute(f"INSERT INTO job ({', '.join(job)}) VALUES ({marks})", tuple(job.values()))
        stat = "PSUSP" if "-H" in options else "PEND"
        db.executemany(
            "INSERT INTO element (jobid, idx, stat) VALUES (?, ?, ?)",
            [(jobid, idx, stat) for idx in wanted.indices],
        )
    return jobid


def _condition(call: Call, text: str) -> str:
    try:
        return dependencies.resolved(call.db, call.conf, text)
    except dependencies.NoSuchJob as error:
        raise Rejected(f"{error}: No matching job found", costs_id=True) from None
    except dependencies.BadCondition:
        raise Rejected("Dependency condition syntax error") from None
