"""Working through many runs: a file says which, a folder keeps them."""

from wsabench.training.queue.handover import adopt, bring_back, export_queue, read_records, records_path, write_records
from wsabench.training.queue.on_ray import run_queue_on_ray
from wsabench.training.queue.options import check_queue
from wsabench.training.queue.places import Places, default_out
from wsabench.training.queue.running import QueueOptions, Result, check_records, failure, run_queue
from wsabench.training.queue.spec import Queue, QueueRun, of_shard, parse_shard, read_queue
from wsabench.training.queue.status import QueueStatus, RunStatus, queue_status
from wsabench.training.queue.table import write_runs

__all__ = [
    "Places",
    "Queue",
    "QueueOptions",
    "QueueRun",
    "QueueStatus",
    "Result",
    "RunStatus",
    "adopt",
    "bring_back",
    "check_queue",
    "check_records",
    "default_out",
    "export_queue",
    "failure",
    "of_shard",
    "parse_shard",
    "queue_status",
    "read_queue",
    "read_records",
    "records_path",
    "run_queue",
    "run_queue_on_ray",
    "write_records",
    "write_runs",
]
