"""An agent without layers, for tests of what updates do."""

from __future__ import annotations

import torch

from wsabench.agents import ActorCritic, Output


class Table(ActorCritic):
    """Logits and values that are parameters: what the loss does to them can be worked out."""

    def __init__(self, rows: int, num_actions: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.logits = torch.nn.Parameter(torch.randn(rows, num_actions, generator=generator))
        self.values = torch.nn.Parameter(torch.randn(rows, generator=generator))

    def prepare(self, stack, bank, inputs=None):
        return {"row": stack}

    def forward(self, features, mask=None):
        return Output(self.logits[features["row"]], self.values[features["row"]], None)
