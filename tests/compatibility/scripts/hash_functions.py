"""Toy fits: hash functions that name folders, clone, many insignificant parameters, a setting with a plus sign."""

import json

import b2luigi


def text(value):
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def joined(values):
    return "none" if values is None else "_".join(map(text, values))


class Toys(b2luigi.Task):
    queue = "l"
    workspace = b2luigi.Parameter(default="ws.json", hashed=True, description="relative path")
    fixed = b2luigi.ListParameter(default=[], significant=True, hashed=True, hash_function=joined)
    start = b2luigi.ListParameter(default=[1, 1.5], hashed=True, hash_function=joined)
    other = b2luigi.Parameter(default="other.json", significant=False, hashed=True)
    n_toys = b2luigi.IntParameter(default=10, significant=False)
    part = b2luigi.IntParameter(default=0)
    htcondor_settings = {"request_cpus": 1, "+RequestRuntime": 3600 * 3}

    def output(self):
        yield self.add_to_output("toys.json")

    def run(self):
        with open(self.get_output_file_name("toys.json"), "w") as file:
            json.dump({"start": list(self.start), "n": self.n_toys, "part": self.part}, file)


class Fit(b2luigi.Task):
    workspace = b2luigi.Parameter(default="ws.json", hashed=True)
    fixed = b2luigi.ListParameter(default=[], hashed=True, hash_function=joined)
    start = b2luigi.ListParameter(default=[1, 1.5], hashed=True, hash_function=joined)
    shift = b2luigi.OptionalFloatParameter(default=None, hashed=True, hash_function=text)
    n_total = b2luigi.IntParameter(default=30, significant=False)

    def requires(self):
        for part in range(self.n_total // 10):
            yield self.clone(Toys, part=part, n_toys=10)

    def output(self):
        yield self.add_to_output("all.json")
        for number in range(len(self.start) - len(self.fixed)):
            yield self.add_to_output(f"pull_{number}.txt")

    def run(self):
        parts = [json.load(open(name))["part"] for name in self.get_input_file_names("toys.json")]
        for path in self.get_all_output_file_names():
            with open(path, "w") as file:
                json.dump(sorted(parts), file)


class Fits(b2luigi.WrapperTask):
    fixed = b2luigi.ListParameter(default=[], hashed=True, hash_function=joined)

    def requires(self):
        yield self.clone(Fit, start=[1, 1.5, 0.1])
        yield self.clone(Fit, start=[0.123456, 2, 1], n_total=20, shift=0.5)


if __name__ == "__main__":
    b2luigi.process(Fits(fixed=["bkg_a"]), workers=20, batch=True)
