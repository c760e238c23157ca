"""luigi's own batches: with batch_method, one task runs in place of several; max_grouping_size says of how many."""

import b2luigi


class Newest(b2luigi.Task):
    day = b2luigi.IntParameter(batch_method=max)
    max_grouping_size = 3

    def output(self):
        yield self.add_to_output("newest.txt")

    def run(self):
        with open(self.get_output_file_name("newest.txt"), "w") as file:
            file.write(str(self.day))


class Each(Newest):
    kind = b2luigi.Parameter(default="each")
    max_grouping_size = 1


if __name__ == "__main__":
    b2luigi.process([cls(day=day) for cls in (Newest, Each) for day in range(4)])
