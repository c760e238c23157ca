"""Other folders and other folder names, by settings in the script, as attributes and as arguments."""

import b2luigi

b2luigi.set_setting("result_dir", "results/all")
b2luigi.set_setting("log_dir", "my logs")
b2luigi.set_setting("task_file_dir", "wrappers")
b2luigi.set_setting("parameter_separator", "_")


class Short(b2luigi.Task):
    number = b2luigi.IntParameter()
    name = b2luigi.Parameter(default="x")
    use_parameter_name_in_output = False

    def output(self):
        yield self.add_to_output("short.txt")

    def run(self):
        with open(self.get_output_file_name("short.txt"), "w") as file:
            file.write("short")


class Elsewhere(b2luigi.Task):
    number = b2luigi.IntParameter()
    result_dir = "other"

    def requires(self):
        return Short(number=self.number)

    def output(self):
        yield self.add_to_output("deep/er.txt")
        yield self.add_to_output("third.txt", result_dir="third")

    def run(self):
        for path in self.get_all_output_file_names():
            with open(path, "w") as file:
                file.write(open(self.get_input_file_name()).read())


if __name__ == "__main__":
    b2luigi.process([Elsewhere(number=number) for number in range(2)], batch=True, workers=10)
