"""An address of b2luigi 1.x: what was here is told by `b2luigi.core.dropped`."""

from b2luigi.core.dropped import dropped

__getattr__ = dropped(__name__)
