"""A stand-in for the encoder bank: cheap, deterministic embeddings, one vector and two maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from wsabench.agents import FUSIONS, AgentMeta, AgentPolicy, AgentSpec
from wsabench.agents.networks.fusions import Fusion, Shapes
from wsabench.agents.networks.network import Initialiser
from wsabench.agents.spec import AgentKind

SHAPES = {"vector": (6,), "map": (3, 12, 12), "context": (2, 4, 4)}


class FakeBank:
    """Embeds by fixed random projections of the downsampled stack."""

    context = "context"
    required_inputs: tuple[str, ...] = ()

    def __init__(self, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> None:
        """Embed in these shapes; the last is the context."""
        self.shapes = dict(shapes)
        self.inputs_of = dict.fromkeys(shapes, "stack")
        self.names = tuple(name for name in shapes if name != self.context)
        self.hashes = {name: str(number) * 64 for number, name in enumerate(shapes, 1)}
        generator = torch.Generator().manual_seed(7)
        self._projections = {
            name: torch.randn(4 * 49, torch.Size(shape).numel(), generator=generator) for name, shape in shapes.items()
        }

    def embed(
        self, stack: torch.Tensor, only: Sequence[str] | None = None, inputs: Mapping[str, torch.Tensor] | None = None
    ) -> dict[str, torch.Tensor]:
        pixels = stack.float().unflatten(2, (7, 12)).unflatten(4, (7, 12)).mean((3, 5)).flatten(1) / 255
        return {
            name: (pixels @ projection).unflatten(1, self.shapes[name]).half()
            for name, projection in self._projections.items()
            if only is None or name in only
        }


def wsa_spec(**changes: object) -> AgentSpec:
    values: dict = {
        "name": "tiny-wsa",
        "kind": "wsa",
        "preset": "compact",
        "width": 8,
        "head_units": (16,),
        "encoders": ("vector", "map"),
        "context": "context",
        "adapter_channels": 2,
        "adapter_cells": 4,
    }
    return AgentSpec(**{**values, **changes})


def as_policy(model: Any, spec: AgentSpec, bank: Any) -> AgentPolicy:
    """Let an untrained model play."""
    meta = AgentMeta(
        spec=spec, game="breakout", train_seed=0, num_actions=3, steps=1, training={}, encoder_hashes={}, versions={}
    )
    return AgentPolicy(model, meta, checkpoint_hash="0", bank=bank)


def build_fusion(
    kind: AgentKind, shapes: Shapes, context: str | None = None, *, seed: int | None = 0, **options: Any
) -> Fusion:
    """Build a fusion alone, over embeddings of any number and shape; `options` are fields of `AgentSpec`."""
    values: dict[str, Any] = {"width": 512, "encoders": tuple(name for name in shapes if name != context)}
    values |= {"context": context} if kind in ("wsa", "dpa") else {}
    spec = AgentSpec(name=kind, kind=kind, preset="measured", **{**values, **options})
    return FUSIONS[kind](spec, shapes, Initialiser(seed))
