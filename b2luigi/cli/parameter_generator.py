"""The address of the generators in b2luigi 1.3.0."""

from b2luigi.core.generators import ParameterGenerator, ZippedParameterGenerator

__all__ = ["ParameterGenerator", "ZippedParameterGenerator"]
