"""Module of b2luigi 1.x; `b2luigi.core.dropped` says what to use instead of its names."""

from b2luigi.core.dropped import dropped

__getattr__ = dropped(__name__)
