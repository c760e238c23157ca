"""The public address of the language of a batch system, for systems of your own."""

from b2luigi.batch.systems.base import AnswerError, BatchSystem, Setting

__all__ = ["AnswerError", "BatchSystem", "Setting"]
