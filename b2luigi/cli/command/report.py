"""`b2luigi report`: a run as a page, a table, JSON or a trace."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from b2luigi.cli.command.runs import CommandError, OfRun, in_words, the_run
from b2luigi.monitor import Run


class Form(str, enum.Enum):
    """What is written."""

    html = "html"
    csv = "csv"
    json = "json"
    trace = "trace"


Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; - for standard output.")]
OfForm = Annotated[Form | None, typer.Option("--format", help="By default, by the name of the file, or html.")]
NAMES = {Form.html: "report.html", Form.csv: "report.csv", Form.json: "report.json", Form.trace: "report.trace.json"}


@in_words
def report(
    where: Annotated[Path, typer.Argument(help="Script, project, task_file_dir or run folder.")] = Path(),
    output: Output = None,
    form: OfForm = None,
    run: OfRun = "",
) -> None:
    """Write one page that shows a run: summary, jobs over time, durations and memory, failures by cause, all tasks."""
    found = the_run(where, run)
    chosen = form or _by_name(output)
    path = output or Path(NAMES[chosen])
    text = _writer(chosen)(found)
    if str(path) == "-":
        typer.echo(text)
        return
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise CommandError(f"The report cannot be written: {error}") from error
    typer.echo(f"Wrote {path} ({len(found.tasks):,} tasks).")


def _by_name(output: Path | None) -> Form:
    endings = {".csv": Form.csv, ".json": Form.json}
    if output is not None and output.name.endswith(".trace.json"):
        return Form.trace
    return endings.get(output.suffix, Form.html) if output is not None else Form.html


def _writer(form: Form) -> Callable[[Run], str]:
    match form:
        case Form.html:
            from b2luigi.monitor.report.page import page

            return page
        case Form.csv:
            from b2luigi.monitor.report.export import to_csv

            return to_csv
        case Form.json:
            from b2luigi.monitor.report.export import to_json

            return to_json
        case Form.trace:
            from b2luigi.monitor.report.export import to_trace

            return to_trace
