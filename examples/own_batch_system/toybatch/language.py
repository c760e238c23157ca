"""The language of the toy batch system: its commands and how to parse their answers. b2luigi needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from b2luigi.batch.model import Accepted, Answer, AnswerError, Command, JobInfo, JobSpec, JobStatus, Refused, Unsure
from b2luigi.batch.system import BatchSystem, Setting

STATES = {"waiting": JobStatus.idle, "done": JobStatus.successful, "failed": JobStatus.aborted}


class Toy(BatchSystem):
    """Jobs of toysub, toystat and toydel."""

    name: ClassVar[str] = "toy"
    probe: ClassVar[str] = "toysub"

    def options(self, setting: Setting) -> Mapping[str, Any]:
        return {"job_name": str(setting("job_name") or "job")}

    def submit(self, jobs: Sequence[JobSpec]) -> Command:
        (job,) = jobs  # bulk is 1
        return Command(("toysub", job.options["job_name"], job.token, str(job.script)))

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Accepted | Refused | Unsure]:
        if answer.rc < 0:  # killed: it may have been heard
            return [Unsure(answer.words)]
        number = answer.stdout.strip()
        return [Accepted(number) if answer.rc == 0 and number.isdigit() else Refused(answer.words)]

    def query(self, job_ids: Sequence[str]) -> Command:
        return Command(("toystat",))

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        rows = [line.split(" ") for line in answer.stdout.splitlines()]
        if answer.rc != 0 or any(len(row) != 4 for row in rows):
            raise AnswerError(answer.words)
        return {row[0]: _info(*row[1:]) for row in rows}

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return Command(("toydel", *job_ids))

    def parse_cancel(self, answer: Answer) -> str:
        return "" if answer.rc == 0 else answer.words

    def find(self, jobs: Sequence[JobSpec]) -> Command:
        return self.query([])


def _info(token: str, state: str, code: str) -> JobInfo:
    status = STATES.get(state, JobStatus.running)  # an unknown state never fails a job
    return JobInfo(status, state, int(code) if code.isdigit() else None, token=token)
