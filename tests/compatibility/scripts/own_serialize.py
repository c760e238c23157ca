"""A parameter class that names the folders itself, and parameters that are asked for a name."""

import b2luigi


class Dataset(b2luigi.Parameter):
    def serialize_hashed(self, value):
        return "dataset_" + value.strip("/").replace("/", "-")


class Read(b2luigi.Task):
    dataset = Dataset()
    cuts = b2luigi.DictParameter(hashed=True)
    tuned = Dataset(default="/a", hashed=True)

    def output(self):
        yield self.add_to_output("names.txt")

    def run(self):
        with open(self.get_output_file_name("names.txt"), "w") as file:
            file.write(b2luigi.DictParameter(hashed=True).serialize_hashed({"key1": "value1", "key2": 12345}))


if __name__ == "__main__":
    cuts = {"pt": 1.5, "cosTheta": [-1, 1]}
    b2luigi.process([Read(dataset=name, cuts=cuts) for name in ("/mc/run1", "/data/run2")], workers=10, batch=True)
