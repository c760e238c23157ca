"""`bjobs`: which jobs, which fields, which form; and LSF's ways of saying that there is nothing."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from . import dependencies, faults, state
from .bsub import user
from .command import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from .command import Call

Row = sqlite3.Row
Job = dict[str, Any]
"""A row, and what only bjobs shows of it."""
WITH_VALUE = ("-o", "-J", "-u", "-q")
FLAGS = ("-a", "-d", "-r", "-p", "-s", "-w", "-noheader", "-json")
USAGE = "Usage: bjobs [options] [job_ID ...]\n"
UNFINISHED = ("PEND", "PSUSP", "RUN", "SSUSP", "USUSP", "WAIT", "UNKWN", "ZOMBI", "PROV")
# option: the states it selects, and the message if there are none
SELECTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "": (UNFINISHED, "No unfinished job found"),
    "-a": ((*UNFINISHED, "DONE", "EXIT"), "No job found"),
    "-d": (("DONE", "EXIT"), "No DONE/EXIT job found"),
    "-r": (("RUN",), "No running job found"),
    "-p": (("PEND", "PSUSP"), "No pending job found"),
    "-s": (("PSUSP", "SSUSP", "USUSP"), "No suspended job found"),
}
NOTHING_RC = {"lsf10": 0, "consistent": 255, "openlava": 254}
ORDER = {stat: place for place, stat in enumerate((*UNFINISHED, "DONE", "EXIT"))}
JSON_WITHOUT_FIELDS = (
    "bjobs: You cannot use the -json option when the -o option is not specified"
    " or the LSB_BJOBS_FORMAT parameter is not defined.\n"
)


class Unusable(Exception):
    """The command line cannot be read: usage."""


def run(call: Call) -> Answer:
    """Answer one query."""
    try:
        options, ids = _read_options(call.argv)
        if "-json" in options and "-o" not in options:
            return Answer(255, "", JSON_WITHOUT_FIELDS + USAGE)
        found, missing = _by_ids(call, options, ids) if ids else (_selected(call, options), [])
        form = _form(options)
    except Unusable as error:
        return Answer(255, "", f"bjobs: {error}\n{USAGE}")
    left_out = faults.omitted(call)
    found = [row for row in found if not {str(row["jobid"]), state.job_label(row["jobid"], row["idx"])} & left_out]
    missing = [word for word in missing if word not in left_out]
    found.sort(key=lambda row: (ORDER[row["shown"]], row["jobid"], row["idx"]))
    if "-json" in options:
        assert isinstance(form, Form)
        return _json_answer(call, form, found, missing, nothing=None if ids else _nothing(options))
    if not found and not ids:
        if "-J" in options:
            return Answer(255, "", f"Job <{options['-J']}> is not found\n")
        return Answer(NOTHING_RC[call.conf["rc_profile"]], "", _nothing(options) + "\n")
    err = "".join(f"Job <{word}> is not found\n" for word in missing)
    return Answer(call.conf["rc_missing_id"] if missing else 0, form.text(found) if found else "", err)


def _read_options(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word not in WITH_VALUE and word not in FLAGS:
            raise Unusable(f"illegal option -- {word.lstrip('-')}")
        if word in WITH_VALUE and not rest:
            raise Unusable(f"option requires an argument -- {word.lstrip('-')}")
        options[word] = rest.pop(0) if word in WITH_VALUE else ""
    return options, rest


# ---------------------------------------------------------------------------------------------- which jobs


def shown_stat(row: Job, host_down: bool) -> str:
    """The state as seen from mbatchd, which may have lost the host."""
    if host_down and row["stat"] in ("RUN", "USUSP", "SSUSP"):
        return "ZOMBI" if row["zombi"] else "UNKWN"
    stat: str = row["stat"]
    return stat


def _remembered(call: Call, where: str = "1", values: tuple[object, ...] = ()) -> list[Job]:
    down = bool(state.counter(call.db, "host_down"))
    found = state.rows(call.db, call.conf, where, values)
    host, then = call.conf["hosts"][0], faults.snapshot_time(call)
    kept = [row for row in found if not state.lost(call.db, row)]
    known = map(dict, kept) if then is None else [_as_of(then, row) for row in kept if row["submit_time"] <= then]
    return [
        {
            **row,
            "shown": shown_stat(row, down),
            "from_host": host,
            "pend_reason": dependencies.pend_reason(call.db, row),
        }
        for row in known
    ]


def _as_of(then: float, row: Row) -> Job:
    """What was known of a job at a time."""
    ended = row["finish_time"] is not None and row["finish_time"] > then
    started = row["start_time"] is not None and row["start_time"] <= then
    before = {"exit_code": None, "exit_reason": None, "finish_time": None}
    if started:
        return {**dict(row), **before, "stat": "RUN"} if ended else dict(row)
    return {**dict(row), **before, "stat": "PEND", "host": None, "start_time": None}


def _by_ids(call: Call, options: dict[str, str], ids: list[str]) -> tuple[list[Job], list[str]]:
    """Jobs named by id are shown whatever their state, until they are cleaned; and the ids not found."""
    found: dict[tuple[int, int], Job] = {}
    missing: list[str] = []
    for word in ids:
        try:
            jobid, indices = state.parse_ids(word)
        except ValueError:
            raise Unusable(f"{word}: Illegal job ID.") from None
        rows = [row for row in _remembered(call, "jobid = ?", (jobid,)) if indices is None or row["idx"] in indices]
        found.update({(row["jobid"], row["idx"]): row for row in rows})
        if not rows:
            missing.append(word)
    return list(found.values()), missing


def _selected(call: Call, options: dict[str, str]) -> list[Job]:
    selection = next((option for option in SELECTIONS if option in options), "")
    stats, owner = SELECTIONS[selection][0], options.get("-u", user())
    rows = [row for row in _remembered(call) if row["shown"] in stats]
    if owner != "all":
        rows = [row for row in rows if row["user"] == owner]
    if "-q" in options:
        rows = [row for row in rows if row["queue"] == options["-q"]]
    if "-J" in options:
        pattern = options["-J"]
        rows = [
            row
            for row in rows
            if state.name_matches(row["name"], pattern) or state.name_matches(state.job_name(row), pattern)
        ]
    return rows


def _nothing(options: dict[str, str]) -> str:
    selection = next((option for option in SELECTIONS if option in options), "")
    return SELECTIONS[selection][1] + (f" in queue <{options['-q']}>" if "-q" in options else "")


# ---------------------------------------------------------------------------------------------- fields


def _when(seconds: float | None) -> str:
    if seconds is None:
        return ""
    there = time.localtime(seconds)
    return f"{time.strftime('%b', there)} {there.tm_mday:2d} {time.strftime('%H:%M', there)}"


def _hosts(row: Job) -> str:
    return ":".join([row["host"]] * row["slots"]) if row["host"] else ""


def _run_time(row: Job) -> str:
    if row["start_time"] is None:
        return "0 second(s)"
    return f"{int((row['finish_time'] or time.time()) - row['start_time'])} second(s)"


def _used(row: Job) -> dict[str, float]:
    """What the runner measured; nothing of a job that has not ended."""
    try:
        found: dict[str, float] = json.loads(
            (state.job_folder(state.folder(), row["jobid"], row["idx"]) / "rc").read_text()
        )
    except (OSError, ValueError):
        return {}
    return found


def _cpu_used(row: Job) -> str:
    return f"{_used(row).get('cpu', 0.0):.1f} second(s)"


def _max_mem(row: Job) -> str:
    used = _used(row)
    return f"{used['memory_mb']:.0f} Mbytes" if "memory_mb" in used else ""


def _exit_code(row: Job) -> str:
    return str(row["exit_code"]) if row["exit_code"] else ""


# field: its width in a table, and its text
FIELDS: dict[str, tuple[int, Callable[[Job], str]]] = {
    "jobid": (7, lambda row: str(row["jobid"])),
    "jobindex": (8, lambda row: str(row["idx"])),
    "stat": (5, lambda row: row["shown"]),
    "user": (7, lambda row: row["user"]),
    "queue": (10, lambda row: row["queue"]),
    "job_name": (10, state.job_name),
    "job_description": (17, lambda row: row["description"] or ""),
    "command": (15, lambda row: row["command"].strip()),
    "exit_code": (10, _exit_code),
    "exit_reason": (50, lambda row: row["exit_reason"] or ""),
    "pend_reason": (11, lambda row: row["pend_reason"]),
    "from_host": (11, lambda row: row["from_host"]),
    "exec_host": (11, _hosts),
    "first_host": (11, lambda row: row["host"] or ""),
    "nexec_host": (10, lambda row: "1" if row["host"] else ""),
    "slots": (5, lambda row: str(row["slots"])),
    "submit_time": (15, lambda row: _when(row["submit_time"])),
    "start_time": (15, lambda row: _when(row["start_time"])),
    "finish_time": (16, lambda row: _when(row["finish_time"])),
    "run_time": (15, _run_time),
    "cpu_used": (10, _cpu_used),
    "max_mem": (10, _max_mem),
    "proj_name": (11, lambda row: row["project"]),
    "output_file": (15, lambda row: row["output"] or ""),
    "error_file": (15, lambda row: row["error"] or ""),
    "sub_cwd": (15, lambda row: row["sub_cwd"]),
    "exec_cwd": (15, lambda row: row["cwd"]),
}
ALIASES = {
    "id": "jobid",
    "name": "job_name",
    "description": "job_description",
    "exitcode": "exit_code",
    "index": "jobindex",
    "proj": "proj_name",
}


class Form:
    """Chosen fields (`-o`), as a table with or without a delimiter."""

    def __init__(self, text: str, header: bool) -> None:
        """Read the value of -o: `jobid stat:6 exit_code delimiter='|'`."""
        import shlex

        self.header, self.delimiter = header, ""
        self.columns: list[tuple[str, int]] = []
        for word in shlex.split(text):
            name, _, width = word.partition(":")
            name = ALIASES.get(name.lower(), name.lower())
            if word.startswith("delimiter="):
                self.delimiter = word[len("delimiter=") :]
            elif name not in FIELDS or (width and not width.lstrip("-").isdecimal()):
                raise Unusable(f"Unknown field name: {word}")
            else:
                self.columns.append((name, int(width or FIELDS[name][0])))

    def values(self, row: Job) -> list[str]:
        """The texts of one job; empty where there is no value."""
        return [FIELDS[name][1](row) for name, _ in self.columns]

    def text(self, rows: list[Job]) -> str:
        """All rows as LSF prints them."""
        lines = [[name.upper() for name, _ in self.columns]] if self.header else []
        lines += [[value or "-" for value in self.values(row)] for row in rows]
        return "".join(self._line(line) + "\n" for line in lines)

    def _line(self, values: list[str]) -> str:
        if self.delimiter:
            return self.delimiter.join(values)
        return " ".join(_fitted(value, width) for value, (_, width) in zip(values, self.columns, strict=True))


def _fitted(value: str, width: int) -> str:
    """Padded to the column, or cut to its tail with `*` in front."""
    short = value if len(value) <= abs(width) else "*" + value[-(abs(width) - 1) :]
    return short.rjust(-width) if width < 0 else short.ljust(width)


class Table:
    """The classic table; `-w`: nothing cut."""

    HEADER = ("JOBID", "USER", "STAT", "QUEUE", "FROM_HOST", "EXEC_HOST", "JOB_NAME", "SUBMIT_TIME")
    WIDTHS = (7, 7, 5, 10, 11, 11, 10, 12)

    def __init__(self, wide: bool, header: bool) -> None:
        """Note what was asked for."""
        self.wide, self.header = wide, header

    def text(self, rows: list[Job]) -> str:
        """All rows under one header."""
        lines: list[tuple[str, ...]] = [self.HEADER] if self.header else []
        lines += [self._cells(row) for row in rows]
        return "".join(" ".join(map(str.ljust, line, self.WIDTHS)).rstrip() + "\n" for line in lines)

    def _cells(self, row: Job) -> tuple[str, ...]:
        host = f"{row['slots']}*{row['host']}" if row["host"] and row["slots"] > 1 else row["host"] or ""
        cells = (
            str(row["jobid"]), row["user"], row["shown"], row["queue"], row["from_host"],
            host, state.job_name(row), _when(row["submit_time"]),
        )  # fmt: skip
        if self.wide:
            return (*cells[:5], host or "   -     ", *cells[6:])
        jobid, job_user, stat, queue, from_host, exec_host, name, when = cells
        # the id loses its first digits, without a sign of it
        return (
            jobid[-7:],
            job_user[:7],
            stat,
            queue[:10],
            from_host,
            exec_host[:11],
            _fitted(name, 10),
            when,
        )


def _form(options: dict[str, str]) -> Form | Table:
    header = "-noheader" not in options
    return Form(options["-o"], header) if "-o" in options else Table("-w" in options, header)


# ---------------------------------------------------------------------------------------------- JSON


def _json_answer(call: Call, form: Form, found: list[Job], missing: list[str], nothing: str | None) -> Answer:
    """All values are strings, none is missing; an unknown id is a record of its own, on stdout."""
    names = [name.upper() for name, _ in form.columns]
    records = [dict(zip(names, form.values(row), strict=True)) for row in found]
    records += [{"JOBID": word, "ERROR": f"Job <{word}> is not found"} for word in missing]
    rc = call.conf["rc_missing_id"] if missing else 0
    if not records and nothing:
        rc = NOTHING_RC[call.conf["rc_profile"]]
        if call.conf["json_empty"] != "document":
            return Answer(rc, "", nothing + "\n" if call.conf["json_empty"] == "text" else "")
    return Answer(rc, json_text(records))


def json_text(records: list[dict[str, str]]) -> str:
    """LSF's own layout: two blanks, none after the colon."""
    shown = []
    for record in records:
        pairs = ",\n".join(f"      {json.dumps(name)}:{json.dumps(value)}" for name, value in record.items())
        shown.append(f"    {{\n{pairs}\n    }}")
    inside = ",\n".join(shown) + "\n" if shown else ""
    return f'{{\n  "COMMAND":"bjobs",\n  "JOBS":{len(records)},\n  "RECORDS":[\n{inside}  ]\n}}\n'
