"""Outputs that appear when they are finished."""

import b2luigi


class Counts(b2luigi.Task):
    n = b2luigi.IntParameter()

    def output(self):
        yield self.add_to_output("counts.txt")
        yield self.add_to_output("log.txt")

    @b2luigi.on_temporary_files
    def run(self):
        for name in ("counts.txt", "log.txt"):
            with open(self.get_output_file_name(name), "w") as file:
                file.write(f"{name} {self.n}\n")


class Sum(b2luigi.Task):
    def requires(self):
        return [Counts(n=n) for n in range(3)]

    def output(self):
        yield self.add_to_output("sum.txt")

    @b2luigi.on_temporary_files
    def run(self):
        lines = [open(path).read() for path in self.get_input_file_names("counts.txt")]
        with open(self.get_output_file_name("sum.txt"), "w") as file:
            file.writelines(sorted(lines))


if __name__ == "__main__":
    b2luigi.process(Sum(), batch=True, workers=10)
