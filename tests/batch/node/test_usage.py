"""What a job used, measured by itself; and what is done so that a crash can be understood."""

from __future__ import annotations

import faulthandler
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from b2luigi.batch.node.streams import prepare_streams
from b2luigi.batch.node.usage import PeakNotes, cgroup_peak, job_memory, measure
from b2luigi.core.job_script import MEMORY_LINE
from tests.machine import no_room

MB = 1024 * 1024


class TestUsage:
    """Time, CPU, memory."""

    def test_counts_this_process_and_its_children(self) -> None:
        before = measure()
        subprocess.run([sys.executable, "-c", "sum(range(3_000_000)); x = b'1' * 200_000_000"], check=True)
        after = measure()
        assert after["cpu"] > before["cpu"]
        assert after["memory"] > 190_000_000
        assert after["memory_from"] == "largest process"
        assert after["started"] < before["ended"] <= after["ended"]
        assert after["wall"] == pytest.approx(after["ended"] - after["started"], abs=0.01)

    @pytest.mark.parametrize(
        ("group", "file"),
        [
            ("0::/system.slice/slurmstepd.scope/job_12/step_batch/user/task_0", "job_12/memory.peak"),
            ("0::/htcondor/condor_var_lib_execute_slot1_2@node17", "condor_var_lib_execute_slot1_2@node17/memory.peak"),
            ("4:memory:/slurm/uid_500/job_12/step_batch", "job_12/memory.max_usage_in_bytes"),
            ("7:cpu,memory:/lsf/cluster/job.12.1.99", "job.12.1.99/memory.max_usage_in_bytes"),
        ],
    )
    def test_the_cgroup_of_the_job_has_the_peak_of_all_its_processes(
        self, tmp_path: Path, group: str, file: str
    ) -> None:
        path = group.rpartition(":")[2].strip("/")
        base = tmp_path / "sys/fs/cgroup" / ("" if group.startswith("0::") else "memory")
        (base / path).mkdir(parents=True)
        for folder in (path, *map(str, Path(path).parents)):
            (base / folder / Path(file).name).write_text("999\n")
        (base / path[: path.index(file.split("/")[0])] / file).write_text(f"{700 * MB}\n")
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(f"1:cpuset:/x\n{group}\n")
        assert cgroup_peak(tmp_path) == 700 * MB
        assert measure(tmp_path)["memory_from"] == "cgroup"

    @pytest.mark.parametrize(
        ("group", "names"),
        [
            ("0::/slurm/job_12/step_batch", ("memory.peak", "memory.max", "memory.events")),
            (
                "4:memory:/slurm/job_12/step_batch",
                ("memory.max_usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control"),
            ),
        ],
    )
    def test_kills_for_lack_of_memory_are_counted_for_each_task_of_a_job(
        self, tmp_path: Path, group: str, names: tuple[str, str, str]
    ) -> None:
        folder = tmp_path / "sys/fs/cgroup" / ("" if group.startswith("0::") else "memory") / "slurm/job_12"
        folder.mkdir(parents=True)
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(f"{group}\n")
        for name, text in zip(names, (f"{3 * MB}\n", f"{4 * MB}\n", "max 7\noom_kill 2\n"), strict=True):
            (folder / name).write_text(text)
        memory = job_memory(tmp_path)
        assert memory is not None
        assert memory.note() == f"{MEMORY_LINE} {3 * MB}, limit {4 * MB}, killed 2"
        assert memory.note(earlier_kills=2).endswith("killed 0")
        (folder / names[1]).write_text("max\n")
        assert job_memory(tmp_path) is None

    def test_the_name_of_a_cgroup_may_be_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_bytes(b"0::/user.slice/M\xfcller\n")
        assert cgroup_peak(tmp_path) is None

    @pytest.mark.parametrize("group", ["0::/", "0::/user.slice/user-0.slice", "4:memory:/docker/ab12", "nonsense"])
    def test_one_that_others_share_says_nothing(self, tmp_path: Path, group: str) -> None:
        folder = tmp_path / "sys/fs/cgroup" / group.rpartition(":")[2].strip("/")
        folder.mkdir(parents=True)
        (folder / "memory.peak").write_text("999\n")
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(f"{group}\n")
        assert cgroup_peak(tmp_path) is None

    def test_the_peak_so_far_is_in_a_file_for_who_is_killed(self, tmp_path: Path) -> None:
        path = tmp_path / "begun"
        path.touch()
        notes = PeakNotes(path)
        notes.look()
        assert int(path.read_text()) > 10_000_000
        path.unlink()
        PeakNotes(path).look()
        assert not path.exists()

    def test_a_node_with_no_room_for_a_thread_runs_the_task_all_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(threading.Thread, "start", no_room)
        with PeakNotes(tmp_path / "begun") as notes:
            assert isinstance(notes, PeakNotes)


class TestStreams:
    """What a task prints is there when it dies."""

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        """Code in a process whose output goes into a pipe."""
        start = "from b2luigi.batch.node.streams import prepare_streams\n"
        return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=False)

    def test_a_line_is_there_when_it_was_printed(self) -> None:
        ran = self.run("prepare_streams(); print('a line'); import os; os._exit(0)")
        assert ran.stdout == "a line\n"

    def test_a_crash_leaves_a_traceback(self) -> None:
        ran = self.run("prepare_streams(); import ctypes; ctypes.string_at(0)")
        assert "Fatal Python error: Segmentation fault" in ran.stderr
        assert 'File "<string>", line 2' in ran.stderr

    def test_the_handler_of_a_library_stays(self) -> None:
        code = """
import ctypes, faulthandler
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: None)
ctypes.CDLL(None).signal(8, handler)
prepare_streams()
print(faulthandler.is_enabled())
"""
        ran = self.run(code)
        assert ran.stdout == "False\n"

    def test_streams_that_are_closed_or_replaced_are_no_reason_to_fail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        was_enabled = faulthandler.is_enabled()
        monkeypatch.setattr(sys, "stdout", None)
        monkeypatch.setattr(sys, "stderr", None)
        prepare_streams()
        assert faulthandler.is_enabled() is was_enabled
