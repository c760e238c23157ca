"""A toy batch system: `commands` is the batch system itself, `language` is how b2luigi talks to it."""
