"""The processes that play the jobs of a run on this machine."""
