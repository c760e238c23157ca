"""An address of b2luigi 1.x: `dispatch` and `DispatchableTask` of `b2luigi`."""

from b2luigi.core.moved import moved

__getattr__ = moved(__name__)
