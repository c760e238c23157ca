"""`b2luigi graph`, `report`, `settings` and `about`."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from b2luigi.monitor.report.graph import Node, Vertex, drawing, layers
from b2luigi.monitor.report.statistics import Spread, advice
from tests.cli.command.conftest import Call
from tests.monitor.journals import BEGAN, Text

SCRIPT = """
import b2luigi

class Make(b2luigi.Task):
    n = b2luigi.IntParameter()
    queue = "long"
    def output(self):
        yield self.add_to_output("out.txt")
    def run(self):
        raise AssertionError("nothing runs")

class Merge(b2luigi.Task):
    def requires(self):
        return [Make(n=n) for n in range(NUMBER)]
    def output(self):
        yield self.add_to_output("merged.txt")

print("printed by the script")
b2luigi.set_setting("log_dir", "my_logs")
b2luigi.set_setting("env", {"TOKEN": "hunter2"})
b2luigi.process(Merge(), batch=True)
"""


def b2luigi_command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, since the script is run in it as `__main__`."""
    return subprocess.run(
        [sys.executable, "-m", "b2luigi", *words], cwd=folder, capture_output=True, text=True, env={**os.environ}
    )


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "analysis.py"
    path.write_text(SCRIPT.replace("NUMBER", "3"))
    return path


def test_a_tree(script: Path) -> None:
    """Each task below the one that requires it; what the script prints is no part of it, and nothing runs."""
    shown = b2luigi_command(script.parent, "graph", script.name)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines() == ["Merge()", "├─ Make(n=0)", "├─ Make(n=1)", "└─ Make(n=2)"]
    assert not (script.parent / "task_files").exists()


def test_the_state_of_tasks(script: Path) -> None:
    """What is complete is so whatever a run knew of it."""
    (script.parent / "n=1").mkdir()
    (script.parent / "n=1" / "out.txt").touch()
    shown = b2luigi_command(script.parent, "graph", script.name, "--status").stdout
    assert "├─ Make(n=1)  done" in shown.splitlines()
    assert "├─ Make(n=0)  waiting" in shown.splitlines()


def test_large_graphs_are_folded(script: Path) -> None:
    """The classes with how many tasks they have."""
    script.write_text(SCRIPT.replace("NUMBER", "400"))
    shown = b2luigi_command(script.parent, "graph", script.name)
    assert shown.stdout.splitlines() == ["Merge  1 task", "└─ Make  400 tasks"]


def test_a_picture(script: Path) -> None:
    """An SVG that any program reads, with a box for each task and a line for each requirement."""
    assert b2luigi_command(script.parent, "graph", script.name, "--format", "svg", "-o", "graph.svg").returncode == 0
    root = ElementTree.parse(script.parent / "graph.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in root.iter(f"{space}text")]
    assert texts.count("Make") == 3
    assert len(list(root.iter(f"{space}path"))) == 3


def test_dot(script: Path) -> None:
    """For Graphviz; what is required points to what requires it."""
    shown = b2luigi_command(script.parent, "graph", script.name, "--format", "dot", "--tasks", "1").stdout
    assert '"Make" -> "Merge";' in shown


def test_a_script_that_is_not_there(project: Path, call: Call) -> None:
    """A sentence, and 1."""
    result = call("graph", "nowhere.py")
    assert result.exit_code == 1
    assert "nowhere.py" in result.stderr


def test_boxes_stand_below_what_requires_them() -> None:
    """Also with a way around, and with classes that require each other."""
    nodes = [
        Node("a", "a", ("b", "c")),
        Node("b", "b", ("c",)),
        Node("c", "c"),
        Node("d", "d", ("e",)),
        Node("e", "e", ("d",)),
    ]
    rows = [sorted(node.key for node in row) for row in layers(nodes)]
    assert rows[0][0] == "a"
    assert [key for row in rows for key in row if key in "abc"] == ["a", "b", "c"]
    assert sorted(key for row in rows for key in row) == ["a", "b", "c", "d", "e"]


def test_classes_and_their_states() -> None:
    """The counts of a folded graph."""
    vertices = [Vertex(f"M_{n}", "M", {}, [], "done" if n else "failed") for n in range(5)]
    (merge, make) = drawing([Vertex("X", "X", {}, [one.task_id for one in vertices]), *vertices], large=2)
    assert (merge.needs, make.states) == (("M",), {"failed": 1, "done": 4})


def test_a_page(journal: Text, project: Path, call: Call) -> None:
    """One file that loads nothing, in which no text of a task becomes HTML or a script."""
    journal.task("Evil__ff", name="</script><script>alert(1)</script>")
    result = call("report")
    assert result.exit_code == 0, result.output
    page = (project / "report.html").read_text()
    assert "<b>such</b>" not in page
    assert "<script>alert" not in page
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import""", page)
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    rows = json.loads(data)
    assert len(rows) == 6
    assert rows[0][:3] == ["Make(n=2, mode=fast)", "failed", "slurm 12"]
    assert any("</script>" in row[0] for row in rows)


def test_the_settings_of_the_run(project: Path, call: Call) -> None:
    """Those that were changed, with where that was, as the run itself has noted them."""
    text = Text(project, settings=[["log_dir", '"my_logs"', "passed to set_setting"]]).task("Make_1_aa", n="1")
    text.add("settings", 1.0, **{"class": "Make"}, settings=[["queue", '"l"', "attribute of Make"], "nonsense"])
    assert call("report").exit_code == 0
    found = re.findall(
        r"<td>([^<]*)</td><td>([^<]*)</td><td class=\"mono\">&#34;([^<]*)&#34;</td><td class=\"soft\">([^<]*)</td>",
        (project / "report.html").read_text(),
    )
    assert found == [
        ("all", "log_dir", "my_logs", "passed to set_setting"),
        ("Make", "queue", "l", "attribute of Make"),
    ]


def test_a_table(journal: Text, project: Path, call: Call) -> None:
    """The columns of `status --json`, as any program reads them."""
    rows = list(csv.DictReader(io.StringIO(call("report", "--format", "csv", "-o", "-").stdout)))
    (column,) = {tuple(row) for row in rows}
    assert column == tuple(json.loads(call("status", "--json").stdout)["tasks"][0])
    assert rows[0]["parameters"] == "n=1;mode=fast"
    assert float(rows[0]["memory"]) == 450_000_000


def test_a_trace(journal: Text, project: Path, call: Call) -> None:
    """A lane for each job that runs at the same time, in microseconds since the beginning."""
    assert call("report", "-o", "run.trace.json").exit_code == 0
    events = [
        event for event in json.loads((project / "run.trace.json").read_text())["traceEvents"] if event["ph"] == "X"
    ]
    assert [event["name"] for event in events] == ["Make", "Make"]
    assert all(event["ts"] >= 0 and event["dur"] > 0 for event in events)
    assert events[0]["ts"] < BEGAN * 1e6


def test_a_trace_that_perfetto_draws_as_it_was(project: Path, call: Call) -> None:
    """No job begins before the trace, and in a lane none begins before the one before it ended, by no microsecond."""
    text = Text(project)
    for number in range(40):
        task_id, token = f"Make_{number}_aa", f"{number:016x}"
        began = BEGAN + 7 * (number % 9) / 3 - (100 if number == 0 else 0)
        text.task(task_id, n=str(number)).queued(task_id, token)
        text.add("resumed", id=task_id, attempt=1, token=token, batch_system="lsf", job_id="7", submitted=began - 1)
        text.add("running", 0.0, token=token, node="node17", started=began)
        text.ended(token, after=0.1, usage={"started": began, "ended": began + (number % 7) / 3})
    assert call("report", "-o", "run.trace.json").exit_code == 0
    trace = json.loads((project / "run.trace.json").read_text())
    lanes = defaultdict(list)
    for event in trace["traceEvents"]:
        assert {"ph", "name", "pid"} <= event.keys()
        if event["ph"] == "X":
            assert all(type(event[name]) is int and event[name] >= 0 for name in ("ts", "dur", "pid", "tid"))
            lanes[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert sum(map(len, lanes.values())) == 40
    for jobs in lanes.values():
        assert all(after[0] >= before[1] for before, after in itertools.pairwise(sorted(jobs)))


@pytest.mark.parametrize(
    ("used", "asked", "words"),
    [
        ([4e8, 5e8, 5e8], 4e9, "ask for 600 MB instead of 4 GB"),
        ([4e8, 5e8, 5e8], 1e9, ""),
        ([9.5e8] * 3, 1e9, "ask for 1.2 GB: one needed 950 MB of 1 GB"),
        ([4e8, 5e8], 4e9, ""),
        ([], 4e9, ""),
        ([4e8] * 3, None, ""),
    ],
)
def test_what_to_ask_for(used: list[float], asked: float | None, words: str) -> None:
    """Enough for the largest one with some room, if that is much less, or more, than what was asked for."""
    assert advice(Spread.of(used), asked) == words


def test_settings_and_their_sources(script: Path) -> None:
    """settings.json, set_setting, and attributes of the task; values of `env` are nobody's business."""
    (script.parent / "settings.json").write_text('{"shell": "dash"}')
    shown = b2luigi_command(script.parent, "settings", script.name, "Make(n=1)", "--changed").stdout
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.splitlines() if line.strip()}
    assert rows["shell"] == f'"dash" {script.parent / "settings.json"}'
    assert rows["log_dir"] == '"my_logs" passed to set_setting'
    assert rows["queue"] == '"long" attribute of the task Make'
    assert "hunter2" not in shown
    assert rows["env"].startswith('{"TOKEN": "***"}')


def test_settings_of_a_folder(project: Path, call: Call) -> None:
    """Without a script, what would count for one here."""
    assert "batch_system" in call("settings").stdout


def test_what_is_installed(call: Call) -> None:
    """For a bug report: versions and places."""
    shown = call("about").stdout
    assert "b2luigi " in shown
    assert "luigi " in shown
    assert sys.executable in shown


def test_nothing_of_it_is_imported_by_b2luigi() -> None:
    """`import b2luigi`, which every node does, costs what it did."""
    code = "import sys, b2luigi; print([name for name in ('rich', 'typer', 'jinja2', 'click') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
