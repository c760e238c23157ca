"""luigi's Worker, whose tasks run as jobs: the loop from which everything is looked after."""

from b2luigi.batch.workers.assignment import check_batch_system
from b2luigi.batch.workers.names import BatchSystems
from b2luigi.batch.workers.worker import SendJobWorker, SendJobWorkerSchedulerFactory

__all__ = ["BatchSystems", "SendJobWorker", "SendJobWorkerSchedulerFactory", "check_batch_system"]
