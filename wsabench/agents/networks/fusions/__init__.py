"""Fusions: modules that combine embeddings of encoders into one feature; one file each."""

from wsabench.agents.networks.fusions.adapted import AdaptedFusion
from wsabench.agents.networks.fusions.base import Fused, Fusion, Shapes
from wsabench.agents.networks.fusions.cnn import Convolution
from wsabench.agents.networks.fusions.dpa import DotProductAttention
from wsabench.agents.networks.fusions.fix import FixedSizeConcatenation
from wsabench.agents.networks.fusions.lin import Concatenation
from wsabench.agents.networks.fusions.mix import Mixture
from wsabench.agents.networks.fusions.res import Reservoir
from wsabench.agents.networks.fusions.wsa import WeightSharingAttention

FUSIONS: dict[str, type[Fusion]] = {
    "wsa": WeightSharingAttention,
    "dpa": DotProductAttention,
    "lin": Concatenation,
    "fix": FixedSizeConcatenation,
    "cnn": Convolution,
    "mix": Mixture,
    "res": Reservoir,
}
"""Fusions by name, the `kind` of an agent's specification."""

__all__ = [
    "FUSIONS",
    "AdaptedFusion",
    "Concatenation",
    "Convolution",
    "DotProductAttention",
    "FixedSizeConcatenation",
    "Fused",
    "Fusion",
    "Mixture",
    "Reservoir",
    "Shapes",
    "WeightSharingAttention",
]
