"""Jobs on nodes that do not see the folder of the script: HTCondor carries the files.

    $ python examples/carried_files/carried_files.py --results $PWD/carried --batch
    All 3 tasks done in 5.8 s.
    Log: /home/me/b2luigi/examples/carried_files/task_files/runs/20261126-010441-13bcb9/run.log
    $ cat carried/energy=*/calibrated.txt
    10 GeV is 10.2 GeV
    20 GeV is 20.4 GeV
    50 GeV is 51.0 GeV

HTCondor puts the script, the package `calibration` and the nearest settings.json side by side into the scratch folder
of the job. Results are not carried back: --results must be an absolute path that the nodes can write to. Arguments of
the script reach the nodes, too. Other batch systems need a shared folder; there the same script carries nothing.
"""

import argparse
from pathlib import Path

from calibration import calibrated

import b2luigi


class Calibrate(b2luigi.Task):
    energy = b2luigi.IntParameter()

    def output(self):
        yield self.add_to_output("calibrated.txt")

    def run(self):
        with open(self.get_output_file_name("calibrated.txt"), "w") as file:
            file.write(f"{self.energy} GeV is {calibrated(self.energy):.1f} GeV\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", required=True)
    arguments, _ = parser.parse_known_args()  # the others are b2luigi's

    folder = Path(__file__).resolve().parent
    b2luigi.set_setting("transfer_files", [str(folder / "calibration")])
    b2luigi.set_setting("working_dir", ".")
    b2luigi.set_setting("result_dir", arguments.results)
    tasks = [Calibrate(energy=energy) for energy in (10, 20, 50)]
    b2luigi.process(tasks, ignore_additional_command_line_args=True)
