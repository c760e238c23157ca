"""Jobs in a container of Apptainer or Singularity.

    $ python examples/containers/containers.py --batch
    All 3 tasks done in 6.6 s.
    Log: /home/me/b2luigi/examples/containers/task_files/runs/20261126-010502-5276c2/run.log
    $ cat examples/containers/results/n=*/square.txt
    0 * 0 = 0, computed on Debian GNU/Linux 12 (bookworm)
    1 * 1 = 1, computed on Debian GNU/Linux 12 (bookworm)
    2 * 2 = 4, computed on Debian GNU/Linux 12 (bookworm)

Which container is said in settings.json, beside this script: put the path of your image there. The image needs a Python
with this b2luigi (`executable` names it). The folders of the project, its results and its logs are in the container
without further ado; list in `apptainer_mounts` what else it has to show. Without --batch, tasks run outside of it.
"""

import platform

import b2luigi


class Square(b2luigi.Task):
    n = b2luigi.IntParameter()

    def output(self):
        yield self.add_to_output("square.txt")

    def run(self):
        linux = platform.freedesktop_os_release()["PRETTY_NAME"]  # of the container, not of the node
        with open(self.get_output_file_name("square.txt"), "w") as file:
            file.write(f"{self.n} * {self.n} = {self.n**2}, computed on {linux}\n")


if __name__ == "__main__":
    b2luigi.process([Square(n=n) for n in range(3)])
