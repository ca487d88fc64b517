"""What the server of `warm_workers` loads: the modules of every kind of worker process, and machine code and catalogue.

A game is begun for the latter, and nothing is kept of it.
"""

import torch  # noqa: F401

import wsabench.agents.loading
import wsabench.evaluation.own_play.supply
import wsabench.evaluation.pool.worker
import wsabench.evaluation.pricing.probe
import wsabench.evaluation.replaying_apart
import wsabench.summary.summarise
import wsabench.training.frames.collection  # noqa: F401
from wsabench.emulator import cartridges, make_vec

envs = make_vec("breakout", 1, seed=0)
envs.reset()
envs.step([0])
envs.close()
cartridges._kept.clear()
