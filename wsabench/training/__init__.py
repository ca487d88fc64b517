"""Frame collection, encoder pre-training, probing; reinforcement learning.

The functions `pretrain` and `probe` are in the modules of the same names.
"""

from wsabench.training.export import export
from wsabench.training.presets import PRESETS, PPOPreset, load_preset
from wsabench.training.progress import Reporter, SilentReporter
from wsabench.training.run import train, training_dir

__all__ = [
    "PRESETS",
    "PPOPreset",
    "Reporter",
    "SilentReporter",
    "export",
    "load_preset",
    "train",
    "training_dir",
]
