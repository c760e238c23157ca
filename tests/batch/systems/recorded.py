"""The recorded answers of batch systems, and job specs to go with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from b2luigi.batch.systems.model import Answer, JobSpec

HERE = Path(__file__).parent
STREAM = re.compile(r"(\.stdout|\.stderr)?\.txt$")


def names(system: str, start: str) -> list[str]:
    """Names of the recorded answers of a system that begin with a word."""
    found = {STREAM.sub("", path.name) for path in (HERE / system).glob(f"{start}*.txt")}
    return sorted(found)


def recorded(system: str, name: str) -> Answer:
    """One recorded answer; its first line gives version and command, its second exit code and stream."""
    streams, code = {"stdout": "", "stderr": ""}, "0"
    paths = [path for path in (HERE / system).glob("*.txt") if STREAM.sub("", path.name) == name]
    assert paths, f"no answer {name} of {system} was recorded"
    for path in paths:
        _, second, text = path.read_text(encoding="utf-8").split("\n", 2)
        head = re.fullmatch(r"# rc=(\w+) stream=(\w+)", second)
        assert head is not None, f"{path} does not say how the program ended"
        code, streams[head[2]] = head[1], text
    if code == "none":
        return Answer(-9, streams["stdout"], streams["stderr"], timed_out=60.0)
    return Answer(int(code), streams["stdout"], streams["stderr"])


def a_job(token: str = "abc", options: Mapping[str, Any] | None = None, folder: str = "/t/f", **more: Any) -> JobSpec:
    """A job of which only what is given matters."""
    home = Path(folder)
    known = {"script": home / "executable_wrapper.sh", "log_folder": home, "inbox": Path("/t/inbox"), **more}
    return JobSpec(token=token, name=f"job-{token}", folder=home, options=options or {}, **known)
