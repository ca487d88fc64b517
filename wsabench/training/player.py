"""What acts and what it acts in: the network with its frozen encoders, the lanes, and the device they meet on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wsabench.agents import ActorCritic, Features, Output, half_precision
from wsabench.training.lanes import TrainingLanes, as_tensors
from wsabench.types import Inputs, Observations

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank


class Player:
    """A network that plays lanes."""

    def __init__(
        self, model: ActorCritic, bank: EncoderBank | None, lanes: TrainingLanes, device: torch.device
    ) -> None:
        """Move network and encoders to `device`; random numbers are always drawn on the CPU."""
        self.device = device
        self.model = model.to(device)
        self.bank = bank if bank is None or device.type == "cpu" else bank.to(device)
        self.lanes = lanes

    def prepare(self, observations: Observations, inputs: Inputs | None = None) -> Features:
        """Return what the network reads, on the device.

        Args:
            observations: uint8, shape (N, 4, 84, 84).
            inputs: The further inputs that the encoders read, of the same rows.
        """
        moved = {name: to_device(value, self.device) for name, value in as_tensors(inputs or {}).items()}
        with torch.no_grad():
            return self.model.prepare(to_device(torch.from_numpy(observations), self.device), self.bank, moved)

    def observe(self) -> Features:
        """Return what the network reads of what the lanes show now."""
        return self.prepare(self.lanes.observations, self.lanes.inputs)

    def evaluate(self, features: Features) -> Output:
        """Run the network without gradients."""
        with torch.no_grad(), half_precision(self.device):
            return self.model(features)

    def attention_names(self) -> tuple[str, ...]:
        """Return the encoders that the attention weighs, in order; empty without attention."""
        return self.model.encoder_names if self.model.has_weights else ()


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a CPU tensor on `device`; to a GPU from pinned memory, beside other work."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor if device.type == "cpu" else tensor.to(device)
