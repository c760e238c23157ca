"""The public address of the words that languages of batch systems use."""

from b2luigi.batch.systems.model import (
    Accepted,
    Answer,
    AnswerError,
    Cause,
    Command,
    JobInfo,
    JobSpec,
    JobStatus,
    Refused,
    Requested,
    Submitted,
    TooMany,
    TryLater,
    Unsure,
)

__all__ = [
    "Accepted",
    "Answer",
    "AnswerError",
    "Cause",
    "Command",
    "JobInfo",
    "JobSpec",
    "JobStatus",
    "Refused",
    "Requested",
    "Submitted",
    "TooMany",
    "TryLater",
    "Unsure",
]
