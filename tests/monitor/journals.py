"""Journals as text, written by hand: what a run of the release that documents the format would have left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BEGAN = 1_764_105_453.0
"""When the runs of these journals began."""
NAME = "20251125-211733-ab12cd"


class Text:
    """A journal in the making: `task_files/runs/<name>/journal.jsonl` below a project folder."""

    def __init__(self, project: Path, name: str = NAME, script: str = "analysis.py", **header: Any) -> None:
        self.folder = project / "task_files" / "runs" / name
        self.folder.mkdir(parents=True)
        self.path = self.folder / "journal.jsonl"
        self.now = BEGAN
        run = {"id": name, "script": str(project / script), "arguments": ["--batch"], "user": "me", "host": "submit"}
        versions = {"b2luigi": "2.0", "luigi": "3.8", "python": "3.11.2"}
        more = {"pid": 17, "started": BEGAN, "folder": str(self.folder), "inbox": "inbox-0123456789ab"}
        self.raw(json.dumps({"format": 1, "run": {**run, **versions, **more, **header}}) + "\n")

    def raw(self, text: str) -> Text:
        """Appends a text as it is."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text)
        return self

    def add(self, kind: str, after: float = 1.0, **facts: Any) -> Text:
        """Appends an event, so many seconds after the one before it."""
        self.now += after
        return self.raw(json.dumps({"t": self.now, "e": kind, **facts}) + "\n")

    def task(self, task_id: str, needs: tuple[str, ...] = (), status: str = "pending", **parameters: str) -> Text:
        """A task is met, and its status reported."""
        name, folder = task_id.partition("_")[0], f"logs/{task_id}"
        facts = {"class": name, "module": "analysis", "parameters": parameters, "needs": list(needs)}
        self.add("task", 0.0, id=task_id, **facts, log_dir=folder, external=False)
        return self.add("status", 0.0, id=task_id, status=status)

    def queued(self, task_id: str, token: str, job_id: str = "4711", attempt: int = 1) -> Text:
        """The task gets a job."""
        asked = {"memory_requested": 4_000_000_000, "time_requested": 3600}
        self.add("submitting", id=task_id, attempt=attempt, token=token, batch_system="slurm", **asked)
        return self.add("queued", token=token, job_id=job_id, server="")

    def running(self, token: str, node: str = "node17") -> Text:
        """The job begins."""
        return self.add("running", token=token, node=node, started=None)

    def ended(self, token: str, end: str = "done", after: float = 60.0, **facts: Any) -> Text:
        """The job ends."""
        return self.add("ended", after, token=token, end=end, **{"cause": "", "reason": "", "exit_code": 0, **facts})
