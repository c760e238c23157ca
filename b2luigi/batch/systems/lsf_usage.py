"""What a job of LSF used, in the words of bjobs.

IBM, bjobs -o (`run_time`, `cpu_used`, `max_mem`): times are `12 second(s)`, or `00:00:12` with LSB_HMS_TIME_FORMAT;
sizes have a unit that fits, as in `5.2 Gbytes`, or `5.2 G` with LSB_UNIT_FOR_JOBS_DISPLAY.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from b2luigi.batch.systems.requests import clock, size

FIELDS = "run_time cpu_used max_mem"


def usage(record: Mapping[str, str]) -> Mapping[str, Any]:
    """Seconds and bytes, as `JobInfo.usage` has them; nothing that bjobs does not say.

    LSF samples the memory now and then: that of a short job is 0, which means nothing.
    """
    wall, cpu = (_seconds(str(record.get(name, ""))) for name in ("RUN_TIME", "CPU_USED"))
    memory = size(re.sub(r"bytes?\s*$", "", str(record.get("MAX_MEM", "")), flags=re.IGNORECASE), "")
    known = {"wall": wall, "cpu": cpu, "memory": memory}
    found = {name: value for name, value in known.items() if value is not None}
    return {**found, "memory_from": "batch system"} if memory else found


def _seconds(text: str) -> float | None:
    plain = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*second.*", text)
    return float(plain[1]) if plain else clock(text, 1)
