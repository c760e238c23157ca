"""The user's script of the recorded runs. Files in its folder choose what its tasks do: see `run`."""

import os
import signal
import time
from pathlib import Path

import b2luigi

PARTS = 3


class Part(b2luigi.Task):
    n = b2luigi.IntParameter()

    @property
    def priority(self):
        return 10 - self.n

    @property
    def worker_timeout(self):
        return 1 if self.n == 0 and os.path.exists("impatient") else None

    def output(self):
        yield self.add_to_output("part.txt")

    def run(self):
        if os.path.exists("stubborn"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open(self.get_output_file_name("part.txt"), "w") as file:
            file.write("half of ")
            file.flush()
            with open("ran.log", "a") as log:
                log.write(f"{self.n}\n")
            while not os.path.exists("finish"):
                time.sleep(0.05)
            if self.n == 1 and os.path.exists("fail"):
                raise ZeroDivisionError("one divided by nothing")
            file.write("the whole")


class Whole(b2luigi.Task):
    def requires(self):
        return [Part(n=n) for n in range(PARTS)]

    def output(self):
        yield self.add_to_output("whole.txt")

    def run(self):
        parts = [Path(name).read_text() for name in self.get_all_input_file_names()]
        with open(self.get_output_file_name("whole.txt"), "w") as file:
            file.write("|".join(parts))


if __name__ == "__main__":
    b2luigi.set_setting("poll_interval", 3)
    b2luigi.set_setting("result_grace", 4)
    b2luigi.set_setting("local_slots", 2)
    b2luigi.process(Whole(), batch=True)
