"""The unavoidable cost: luigi creates N tasks, and their outputs are checked for and written. No scheduler, no worker.

Arguments: N, and the folder for the temporary folder of the outputs (or an empty string for the default).
"""

import json
import os
import sys
import tempfile
import time

import luigi


class Leaf(luigi.Task):
    i = luigi.IntParameter()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[2] or None) as folder:
        began = time.process_time()
        for i in range(int(sys.argv[1])):
            task = Leaf(i=i)
            path = os.path.join(folder, task.task_id)
            if not os.path.exists(path):
                with open(path, "w"):
                    pass
        print(json.dumps({"cpu": time.process_time() - began}))
