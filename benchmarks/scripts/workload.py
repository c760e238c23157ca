"""The workload of all measurements, for both packages: KIND and N in the environment, flags of b2luigi as arguments.

The last line of its output is JSON: cpu (s, without imports), wall (s), rss (MB), files.
"""

import atexit
import json
import os
import resource
import sys
import tempfile
import threading
import time
import warnings

import b2luigi

KIND, N = os.environ["KIND"], int(os.environ["N"])
SECONDS = float(os.environ.get("SECONDS", "0"))  # maximum duration of a job
batch_writes = os.environ.get("SYSTEM") != "instant"


class Base(b2luigi.Task):
    batch_system = os.environ.get("SYSTEM", "custom")
    if batch_system == "custom":
        from simulated import Simulated as process_class
    htcondor_settings = {"getenv": "true"}  # this script is configured by environment variables

    def output(self):
        if batch_writes:
            yield self.add_to_output(f"{type(self).__name__}.txt")

    if "ONE_LOG" in os.environ:  # a million folders for logs are more files than a small machine has room for

        def get_log_file_dir(self):
            return os.path.join(folder, "log_dir")

    if not batch_writes:

        def complete(self):  # only here: what a user's own `complete` would look at is not known in advance
            return False

    def run(self):
        time.sleep(getattr(self, "wait", 0))
        for name in [f"{type(self).__name__}.txt"] if batch_writes else []:
            with open(self.get_output_file_name(name), "w") as file:
                file.write(f"{os.environ.get('LSB_JOBID')} {os.environ.get('LSB_JOBINDEX', 0)}")


class Leaf(Base):
    i = b2luigi.IntParameter()


class Merge(Base):
    n = b2luigi.IntParameter()

    def requires(self):
        return [Leaf(i=i) for i in range(self.n)]


class Chain(Base):
    i = b2luigi.IntParameter()

    def requires(self):
        return Chain(i=self.i - 1) if self.i else []


class Grid(Base):
    layer = b2luigi.IntParameter()
    k = b2luigi.IntParameter()

    def requires(self):
        return [Grid(layer=self.layer - 1, k=k) for k in range(100)] if self.layer else []


class Top(Base):
    n = b2luigi.IntParameter()

    def requires(self):
        return [Grid(layer=self.n - 1, k=k) for k in range(100)]


class First(Base):
    i = b2luigi.IntParameter()

    @property
    def wait(self):
        return SECONDS * (self.i * 7 % N) / N


class Second(Base):
    i = b2luigi.IntParameter()

    def requires(self):
        return First(i=self.i)


class Pairs(Base, b2luigi.WrapperTask):
    n = b2luigi.IntParameter()

    def requires(self):
        return [Second(i=i) for i in range(self.n)]


class Sleep(Base):
    i = b2luigi.IntParameter()
    wait = 600


class Sleeps(Base):
    n = b2luigi.IntParameter()

    def requires(self):
        return [Sleep(i=i) for i in range(self.n)]


def root():
    if KIND == "chain":
        return Chain(i=N - 1)
    return {"grid": Top, "pairs": Pairs, "sleep": Sleeps}.get(KIND, Merge)(n=N)


def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def report(**more):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    took = {"cpu": time.process_time() - cpu, "wall": time.time() - wall}
    files = sum(len(names) for _, _, names in os.walk(folder)) if "COUNTED" not in os.environ else None
    print("\n" + json.dumps({**took, "rss": peak, "files": files, **more}), flush=True)


def watch():
    """Measures twenty quiet seconds while all jobs are running."""
    time.sleep(float(os.environ.get("SETTLE", "10")))
    before, memory = time.process_time(), rss()
    time.sleep(20)
    report(share=(time.process_time() - before) / 20, growth=(rss() - memory) / 20)
    os._exit(0)


def submissions():
    """The submissions so far: when each was made, and how many jobs went with it."""
    if not os.path.exists(os.environ["SUBMITS"]):
        return []
    with open(os.environ["SUBMITS"]) as file:
        lines = [line.split() for line in file]
    return [(float(moment), int(jobs)) for moment, jobs in lines]


def watch_submissions():
    """Measures, from the beginning of luigi's loop, when the first job was submitted, and the last of the leaves."""
    from b2luigi.batch.workers import SendJobWorker

    began = []
    loop = SendJobWorker.run

    def run(worker):
        began.append(time.time())
        return loop(worker)

    def wait():
        while sum(jobs for _, jobs in submissions()) < N:
            time.sleep(0.05)
        made = submissions()
        report(first=made[0][0] - began[0], last=made[-1][0] - began[0], submissions=len(made))
        os._exit(0)

    SendJobWorker.run = run
    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    folder = os.environ.get("FOLDER") or tempfile.mkdtemp()
    for name in ("result_dir", "log_dir", "task_file_dir"):
        b2luigi.set_setting(name, os.path.join(folder, name))
    if "DISK" in os.environ:  # seconds per existence check of an output
        from simulated import slow_disk

        slow_disk(os.path.join(folder, "result_dir"), float(os.environ["DISK"]))
    if "FIRST" in os.environ:
        os.environ["BEGAN"] = str(time.time())
    cpu, wall = time.process_time(), time.time()
    flags = [flag for flag in ("--batch-runner", "--dry-run", "--show-output") if flag in sys.argv]
    if KIND in ("idle", "idle_queue"):
        threading.Thread(target=watch, daemon=True).start()
    if "SUBMITS" in os.environ:
        watch_submissions()
    elif "--batch-runner" not in flags:
        atexit.register(report)
    workers = int(os.environ.get("WORKERS", "200"))
    b2luigi.process(root(), batch=not flags, workers=workers, log_level=os.environ.get("LOG", "INFO"))
