"""One run in several processes: parts of a plan, jobs shared in one directory, launchers of clusters."""

from wsabench.evaluation.cluster.shards import Shard
from wsabench.evaluation.cluster.sharing import SharedJobs

__all__ = ["Shard", "SharedJobs"]
