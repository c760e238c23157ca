"""Why a job died that left no outcome: the log of the job, and what it used, often say more than its exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from b2luigi.batch.attempts.judge import ADVICE, Fail
from b2luigi.batch.messages.deaths import explain, without_notes
from b2luigi.batch.messages.failure import summary
from b2luigi.batch.messages.job_failures import is_of_memory
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import Cause, JobInfo, JobSpec, JobStatus, Requested
from b2luigi.core.job_script import BEGUN_LINE, MEMORY_LINE

GB = 10**9
IMPORT = """Traceback (most recent call last):
  File "analysis.py", line 3, in <module>
    import uproot
ModuleNotFoundError: No module named 'uproot'"""
EXITED = Fail(Cause.ended, "the job ended with exit code 1 and left no outcome", "Look into the log folder.")
KILLED = Fail(
    Cause.infrastructure, "the job was killed by signal 9 (exit code 137) and left no outcome", "Run it again."
)


@pytest.fixture
def ticket(tmp_path: Path) -> Ticket:
    """Of a job that ran on node17, and asked for 4 GB."""
    spec = JobSpec("ab" * 8, "name", tmp_path / "job.sh", tmp_path, tmp_path, tmp_path)
    info = JobInfo(JobStatus.aborted, "FAILED", node="node17")
    return Ticket(spec, info=info, requested=Requested(memory=4 * GB))


class TestBeforeTheTask:
    """The script itself failed on the node."""

    def test_a_module_that_is_missing_there_names_node_and_settings(self, ticket: Ticket) -> None:
        found = explain(ticket, EXITED, IMPORT)
        where = "(on node17, before the task began; settings executable, env_script)"
        assert found.what == f"ModuleNotFoundError: No module named 'uproot' {where}"
        assert "executable and env_script" in found.advice

    def test_any_other_error_names_the_node(self, ticket: Ticket) -> None:
        found = explain(ticket, EXITED, IMPORT.replace("ModuleNotFoundError: No", "RuntimeError: no"))
        assert found.what == "RuntimeError: no module named 'uproot' (on node17, before the task began)"

    def test_an_exception_that_the_task_printed_is_not_taken_for_it(self, ticket: Ticket) -> None:
        words = f"{IMPORT}\nb2luigi: {BEGUN_LINE} 1000"
        assert explain(ticket, EXITED, words) == EXITED
        assert without_notes(words) == IMPORT

    def test_nor_is_any_other_last_line(self, ticket: Ticket) -> None:
        assert explain(ticket, EXITED, "Traceback\n  goes on\nall is lost") == EXITED

    def test_the_same_on_many_nodes_is_one_kind_of_failure(self, ticket: Ticket) -> None:
        first = f"Task A failed: {explain(ticket, EXITED, IMPORT).what}"
        nodes = ("albatross", "booby", "cormorant", "dodo", "egret")
        stories = {node: first.replace("node17", node) for node in nodes}
        assert "4 more failed in the same way" in summary(stories)


CRASH = """Fatal Python error: Segmentation fault

Current thread 0x00007f (most recent call first):
  File "/home/me/analysis.py", line 8 in run
  File "/lib/luigi/worker.py", line 145 in _run_get_new_deps"""


def test_a_crash_is_placed_in_its_first_line(ticket: Ticket) -> None:
    """The task had begun; a library crashed in it, and Python says where it was called."""
    crashed = Fail(Cause.ended, "the program crashed: SIGSEGV (exit code 139)", "Look into the log folder.")
    found = explain(ticket, crashed, f"{CRASH}\nb2luigi: {BEGUN_LINE} 1000")
    assert found.what == f'{crashed.what}, in "/home/me/analysis.py", line 8 in run'


class TestKilled:
    """kill -9 has no words; the memory of the job has."""

    def test_a_cgroup_that_was_full_is_named(self, ticket: Ticket) -> None:
        words = f"b2luigi: {MEMORY_LINE} 3900000000, limit 4000000000, killed 0"
        found = explain(ticket, KILLED, words)
        assert found.what == f"probably out of memory, peak 3.9 of 4 GB: {KILLED.what}"
        assert found.advice == ADVICE[Cause.memory]
        assert found.cause is Cause.infrastructure

    def test_so_is_one_in_which_the_kernel_killed(self, ticket: Ticket) -> None:
        words = f"b2luigi: {MEMORY_LINE} 2000000000, limit 4000000000, killed 1"
        assert explain(ticket, KILLED, words).what.startswith("probably out of memory, peak 2 of 4 GB: ")

    def test_the_size_of_the_process_is_compared_with_what_was_asked_for(self, ticket: Ticket) -> None:
        found = explain(ticket, KILLED, f"b2luigi: {BEGUN_LINE} 3950000000")
        assert found.what.startswith("probably out of memory, peak 4 of 4 GB: ")

    def test_so_is_what_the_batch_system_has_seen(self, ticket: Ticket) -> None:
        ticket.info = JobInfo(JobStatus.aborted, "FAILED", usage={"memory": 3_900_000_000})
        found = explain(ticket, KILLED, f"b2luigi: {BEGUN_LINE} 1000")
        assert found.what.startswith("probably out of memory, peak 3.9 of 4 GB: ")

    def test_a_small_job_was_killed_by_somebody_else(self, ticket: Ticket) -> None:
        assert explain(ticket, KILLED, f"b2luigi: {BEGUN_LINE} 30000000") == KILLED

    def test_where_nothing_is_known_memory_is_a_guess(self, ticket: Ticket) -> None:
        found = explain(ticket, KILLED, f"b2luigi: {BEGUN_LINE} unknown")
        assert found.what == KILLED.what
        assert "out of memory: then" in found.advice

    def test_without_a_limit_the_advice_has_the_size(self, ticket: Ticket) -> None:
        """On this machine nobody asks for memory."""
        ticket.requested = Requested()
        found = explain(ticket, KILLED, f"b2luigi: {BEGUN_LINE} 6100000000")
        assert found.what == KILLED.what
        assert "out of memory (its largest process had 6.1 GB when last seen): then ask" in found.advice


@pytest.mark.parametrize(
    ("headline", "is_memory"),
    [
        ("MemoryError", True),
        ("MemoryError: no more", True),
        ("_ArrayMemoryError: Unable to allocate 8 TiB", True),
        ("RuntimeError: std::bad_alloc", True),
        ("ValueError: MemoryError", False),
    ],
)
def test_exceptions_that_mean_memory(headline: str, is_memory: bool) -> None:
    """Python's own, numpy's, and that of C++ libraries."""
    assert is_of_memory(headline) is is_memory
