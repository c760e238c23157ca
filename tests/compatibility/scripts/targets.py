"""Own targets, nested outputs, dictionaries of requirements, and every way to ask for paths."""

import b2luigi


class Upper(b2luigi.LocalTarget):
    def __init__(self, path, suffix=""):
        super().__init__(path + suffix)


class Source(b2luigi.Task):
    part = b2luigi.Parameter()

    def output(self):
        return {**self.add_to_output("table.txt", target_class=Upper, suffix=".upper"), **self.add_to_output("b")}

    def run(self):
        for key in ("table.txt", "b"):
            with open(self.get_output_file_name(key), "w") as file:
                file.write(f"{key} of {self.part}\n")


class Collect(b2luigi.Task):
    def requires(self):
        return {"left": Source(part="l"), "right": [Source(part="r1"), Source(part="r2")]}

    def output(self):
        yield self.add_to_output("collected.txt")

    def run(self):
        right = self.get_input_file_names_from_dict("right", "table.txt")
        left = self.get_input_file_names_from_dict("left")
        with open(self.get_output_file_name("collected.txt"), "w") as file:
            file.write(f"{len(right)} {sorted(left)}\n")
            file.writelines(open(path).read() for path in sorted(right))


if __name__ == "__main__":
    b2luigi.process(Collect(), batch=True, workers=10)
