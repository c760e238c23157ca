"""The page about trouble: what it says that users see is what they see."""

from __future__ import annotations

import re
from pathlib import Path

from tests.end_to_end.project import Project
from tests.snippets import ROOT, of_page, prose

PAGE = ROOT / "docs" / "trouble.md"
SCRIPT = """
import signal

FAILURES = {
    "module": lambda: __import__("numpi"),
    "output": lambda: None,
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "middle": lambda: os._exit(0),
    "memory": lambda: bytearray(2 ** 62),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "disk": lambda: open("/dev/full", "w", buffering=1).write("no room\\n"),
}

class Analyse(b2luigi.Task):
    how = b2luigi.Parameter()
    n = b2luigi.IntParameter(default=3)
    job_retries = 0

    @property
    def env_script(self):
        return "setup.sh" if self.how == "environment" else ""

    @property
    def executable(self):
        return [sys.executable, "-I", "-S"] if self.how == "python" else [sys.executable]

    def output(self):
        yield self.add_to_output("Analyse.txt")

    def run(self):
        FAILURES[self.how]()

b2luigi.set_setting("batch_system", "local")
b2luigi.process([Analyse(how=how) for how in [*FAILURES, "environment", "python"]], batch=True)
"""


def test_failures_look_as_on_the_page(tmp_path: Path) -> None:
    """Each failure that the page shows, to the letter but for node, folder, line and task id."""
    project = Project(tmp_path, {})
    (tmp_path / "setup.sh").write_text("no_such_command root\n")
    project.write(SCRIPT)
    ended = project.run()
    text = (tmp_path / "task_files").glob("runs/*/run.log").__next__().read_text()
    printed = {_with_wildcards(line, tmp_path) for line in re.findall(r"Task Analyse failed: .*", text)}
    shown = [line for snippet in of_page(PAGE) if snippet.language == "text" for line in snippet.text.splitlines()]
    assert len(shown) == 9
    assert set(shown) - printed == set(), ended.text


def test_messages_on_the_page_are_messages() -> None:
    """What stands there as a message is somewhere in the code, but for its gaps."""
    code = re.sub(r"\"\s*f?\"", "", "".join(path.read_text() for path in (ROOT / "b2luigi").rglob("*.py")))
    quoted = [text for text in re.findall(r"`([^`\n]*)`", prose(PAGE)) if "…" in text or text.endswith(".")]
    parts = [part.strip(" .,") for text in quoted for part in text.split("…")]
    assert len(parts) > 40
    missing = [part for part in parts if len(part) > 2 and part not in code]
    assert missing == [], "\n".join(missing)


def _with_wildcards(line: str, folder: Path) -> str:
    line = line.replace(str(folder / "analysis.py"), "/home/me/project/my_script.py").replace(str(folder), "/home/me")
    line = re.sub(r"how=\w+/", "", re.sub(r"Analyse_\w+_[0-9a-f]{10}", "Analyse_3_ab99dd1074", line))
    return re.sub(
        r"on (node )?[\w.-]+(?=, before| \(exit)", r"on \1node17", re.sub(r"line \d+ in \S+", "line 30 in run", line)
    )
