"""What all commands and the supervisor share: the folder, its knobs (`conf.json`) and its database."""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEFAULTS: dict[str, object] = {
    "cluster": "fake",
    "version": "10.1.0.13",
    "hosts": ["hostA"],
    "queues": {
        "normal": {"default": True},
        "s": {},
        "l": {},
        "closed": {"closed": True},
        "restricted": {"users": ["nobody-else"]},
    },
    "slots": 4,
    "max_slots_per_job": None,
    "tick_s": 0.05,
    "dispatch_delay_s": 0.05,
    "output_delay_s": 0,
    "minute_s": 60,  # length of a minute of -W: tests cannot wait for real ones
    "job_terminate_interval_s": 10,
    "clean_period_s": 3600,
    "first_jobid": 1,
    "max_jobid": 999999,
    "id_gap": 0,
    "max_job_array_size": 1000,
    "max_pack_jobs": 0,  # LSB_MAX_PACK_JOBS: 0 is no packs at all
    "pack_skip_error": False,
    "glued_env": "accept",  # accept | reject: options and value in one word, `"-env all"`
    "rc_profile": "lsf10",  # lsf10 | consistent | openlava
    "rc_missing_id": 255,
    "json_empty": "document",  # document | text | empty
    "esub_chatter": [],
    "bsub_latency_s": 0,
    "bjobs_latency_s": 0,
    "bkill_latency_s": 0,
    "idle_exit_s": 3600,
}

SCHEMA = """
CREATE TABLE counter (name TEXT PRIMARY KEY, value REAL);
CREATE TABLE job (
    jobid INTEGER PRIMARY KEY, name TEXT, user TEXT, queue TEXT, project TEXT, command TEXT,
    sub_cwd TEXT, cwd TEXT, slots INTEGER, array_limit INTEGER, output TEXT, output_append INTEGER,
    error TEXT, error_append INTEGER, run_limit_s REAL, rerunnable INTEGER, submit_time REAL,
    depends TEXT, description TEXT);
CREATE TABLE element (
    jobid INTEGER, idx INTEGER, stat TEXT, host TEXT, start_time REAL, finish_time REAL,
    exit_code INTEGER, exit_reason TEXT, kill_reason TEXT, ladder TEXT, ladder_next REAL,
    signal INTEGER, zombi INTEGER DEFAULT 0, PRIMARY KEY (jobid, idx));
CREATE INDEX element_stat ON element (stat);
CREATE TABLE fault (number INTEGER PRIMARY KEY, kind TEXT, params TEXT, remaining INTEGER, until REAL);
PRAGMA user_version = 1;
"""

FINAL = ("DONE", "EXIT")


def folder() -> Path:
    """The folder that is the cluster. A job knows it by LSF_ENVDIR, even when submitted with `-env none`."""
    found = os.environ.get("FAKELSF_DIR") or os.environ.get("LSF_ENVDIR")
    if not found:
        raise SystemExit("fakelsf: FAKELSF_DIR is not set")
    return Path(found)


def read_conf(where: Path) -> dict[str, Any]:
    """The knobs: the defaults, changed by the folder's conf.json."""
    try:
        return {**DEFAULTS, **json.loads((where / "conf.json").read_text())}
    except FileNotFoundError:
        return dict(DEFAULTS)


def set_conf(where: Path, key: str, value: object) -> None:
    """Change one knob; commands and supervisor see the old file or the new one, never half of it."""
    if key not in DEFAULTS:
        raise SystemExit(f"fakelsf: unknown key {key}; known: {' '.join(sorted(DEFAULTS))}")
    path = where / "conf.json"
    changed = json.loads(path.read_text()) if path.exists() else {}
    write_atomically(path, json.dumps({**changed, key: value}, indent=2))


def write_atomically(path: Path, text: str) -> None:
    """Write beside and rename: a reader finds the whole text or none."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    beside.write_text(text)
    beside.replace(path)


def connect(where: Path) -> sqlite3.Connection:
    """The database of the folder, made at first use."""
    where.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(where / "state.sqlite", timeout=60, isolation_level=None)
    db.row_factory = sqlite3.Row
    if db.execute("PRAGMA user_version").fetchone()[0] == 0:
        db.execute("PRAGMA journal_mode = WAL")
        with writing(db):
            # another process may have been quicker
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in SCHEMA.split(";\n"):
                    db.execute(statement)
    # a test's cluster need not outlive a power cut
    db.execute("PRAGMA synchronous = OFF")
    return db


@contextlib.contextmanager
def writing(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction, locked from its beginning: what it reads is still so when it writes."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def counter(db: sqlite3.Connection, name: str, default: float = 0) -> float:
    """A number kept in the database."""
    row = db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
    return row[0] if row else default


def set_counter(db: sqlite3.Connection, name: str, value: float) -> None:
    """Keep a number in the database."""
    db.execute("INSERT OR REPLACE INTO counter VALUES (?, ?)", (name, value))


def next_jobid(db: sqlite3.Connection, conf: dict[str, Any]) -> int:
    """The next id; it counts up with gaps, and wraps to ids that are free."""
    jobid = int(counter(db, "jobid", conf["first_jobid"] - 1 - conf["id_gap"])) + 1 + int(conf["id_gap"])
    while True:
        if jobid > conf["max_jobid"]:
            jobid = 1
        if not db.execute("SELECT 1 FROM job WHERE jobid = ?", (jobid,)).fetchone():
            set_counter(db, "jobid", jobid)
            return jobid
        jobid += 1


ROWS = "SELECT * FROM element JOIN job USING (jobid) "


def rows(
    db: sqlite3.Connection, conf: dict[str, Any], where: str = "1", values: tuple[object, ...] = ()
) -> list[sqlite3.Row]:
    """The jobs (array elements singly) that the batch system still remembers."""
    oldest = time.time() - conf["clean_period_s"]
    return db.execute(
        f"{ROWS} WHERE (finish_time IS NULL OR finish_time > ?) AND ({where}) ORDER BY jobid, idx",
        (oldest, *values),
    ).fetchall()


def lost(db: sqlite3.Connection, row: sqlite3.Row) -> float:
    """Whether bjobs has lost a job (1), and bhist, too (2)."""
    return counter(db, f"lost {row['jobid']} {row['idx']}")


def job_name(row: sqlite3.Row | dict[str, Any]) -> str:
    """A job's name as shown: an array element's carries its index."""
    return f"{row['name']}[{row['idx']}]" if row["idx"] else row["name"]


def job_label(jobid: int, idx: int) -> str:
    """`12` for a plain job, `12[3]` for an element."""
    return f"{jobid}[{idx}]" if idx else str(jobid)


def job_folder(where: Path, jobid: int, idx: int) -> Path:
    """Where the traces of one job lie."""
    return where / "jobs" / (f"{jobid}.{idx}" if idx else str(jobid))


def parse_ids(word: str) -> tuple[int, set[int] | None]:
    """`12`, `12[3]`, `12[1-5,7]` as id and indices; no brackets: all elements (None)."""
    number, bracket, rest = word.partition("[")
    if not bracket:
        return int(number), None
    if not rest.endswith("]"):
        raise ValueError(word)
    return int(number), set(parse_indices(rest[:-1]))


def parse_indices(text: str) -> list[int]:
    """`1-10:2,12` as numbers, in order."""
    found: list[int] = []
    for part in text.split(","):
        span, _, step = part.partition(":")
        first, dash, last = span.partition("-")
        found.extend(range(int(first), int(last if dash else first) + 1, int(step or 1)))
    if not found or min(found) < 1:
        raise ValueError(text)
    return found


def name_matches(name: str, pattern: str) -> bool:
    """Job names match by `*` alone; brackets are no character class here."""
    import re

    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None
