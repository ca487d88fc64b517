"""Frame collection, encoder pre-training, probing; reinforcement learning.

The functions `pretrain` and `probe` are in the modules of the same names.
"""

from wsabench.progress import Reporter, SilentReporter
from wsabench.training.export import export
from wsabench.training.presets import ALGORITHMS, DQN_PRESETS, PRESETS, Algorithm, DQNPreset, PPOPreset, load_preset
from wsabench.training.run import TrainingOptions, plan_training, train, training_dir

__all__ = [
    "ALGORITHMS",
    "DQN_PRESETS",
    "PRESETS",
    "Algorithm",
    "DQNPreset",
    "PPOPreset",
    "Reporter",
    "SilentReporter",
    "TrainingOptions",
    "export",
    "load_preset",
    "plan_training",
    "train",
    "training_dir",
]
