"""An address of b2luigi 1.x: `b2luigi.core.dropped` names what replaces it."""

from b2luigi.core.dropped import dropped

__getattr__ = dropped(__name__)
