"""Weight Sharing Attention as a plain features extractor of Stable-Baselines3, the peer of `wsabench bench train`.

What a user of Stable-Baselines3 would write today for the paper's agent: the four encoders and the context encoder in
the paper's sizes, the paper's adapters, everything float32, layer after layer as the paper describes it. The frozen
encoders run without gradients, but in every epoch again, because the library's rollout buffer holds frames.

It takes the encoders' layers from wsabench, except where those lay out memory for speed, and nothing else;
`tests/bench/test_plain_extractor.py` shows that it computes the same function as wsabench's agent, and has as many
trained parameters.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv
from torch import nn
from torch.nn.functional import interpolate

from wsabench.encoders import build_encoder
from wsabench.encoders.pretrained.vos import UpsamplingStage

ENCODERS = ("sr", "oke", "okk", "vos")
CONTEXT = "ae"
MAP_SIZE = 16


class PlainUpsampling(nn.Module):
    """Twice the height and width, bilinearly; a convolution is added to that."""

    def __init__(self, convolution: nn.Module) -> None:
        """Take over the convolution."""
        super().__init__()
        self.conv = convolution

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps of shape (N, C, 2 H, 2 W)."""
        larger = interpolate(maps, scale_factor=2, mode="bilinear")
        return larger + self.conv(larger)


class PlainWSA(BaseFeaturesExtractor):
    """Frozen encoders, adapters, one shared scoring layer, softmax, weighted sum."""

    def __init__(self, observation_space: gymnasium.Space[Any], width: int = 512, seed: int = 0) -> None:
        """Build with untrained encoders, which cost what trained ones cost.

        Args:
            observation_space: Of stacks, uint8, shape (4, 84, 84).
            width: The common size of adapted embeddings.
            seed: Fixes the encoders' weights.
        """
        super().__init__(observation_space, features_dim=width)
        self.encoders = nn.ModuleDict({name: build_encoder(name, seed, "paper") for name in (*ENCODERS, CONTEXT)})
        self.encoders.requires_grad_(requires_grad=False)
        head = self.encoders["vos"].get_submodule("head")
        for name, layer in list(head.named_children()):
            if isinstance(layer, UpsamplingStage):
                head.register_module(name, PlainUpsampling(layer.conv))
        self.adapters = nn.ModuleDict(
            {
                "sr": nn.Identity(),
                "oke": nn.Sequential(nn.Conv2d(128, 32, 1), nn.Conv2d(32, 32, 6), nn.ReLU()),
                "okk": nn.Sequential(nn.Conv2d(4, 16, 1), nn.Conv2d(16, 16, 6), nn.ReLU()),
                "vos": nn.Sequential(nn.Conv2d(20, 16, 1), nn.Conv2d(16, 16, 5, stride=5), nn.ReLU()),
            }
        )
        sizes = {"sr": 512, "oke": 32 * MAP_SIZE**2, "okk": 16 * MAP_SIZE**2, "vos": 16 * MAP_SIZE**2}
        self.projections = nn.ModuleDict({name: nn.Linear(size, width) for name, size in sizes.items()})
        self.context = nn.Linear(64 * MAP_SIZE**2, width)
        self.score = nn.Linear(2 * width, 1)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return features, shape (N, width), of stacks in [0, 1], shape (N, 4, 84, 84)."""
        newest = observations[:, -1:]
        with torch.no_grad():
            embeddings = {
                name: encoder(observations if name in ("sr", "vos") else newest)
                for name, encoder in self.encoders.items()
            }
        context = torch.relu(self.context(embeddings[CONTEXT].flatten(1)))
        adapted = [
            torch.relu(self.projections[name](self.adapters[name](embeddings[name]).flatten(1))) for name in ENCODERS
        ]
        stacked = torch.stack(adapted, dim=1)
        pairs = torch.cat([context[:, None].expand_as(stacked), stacked], dim=2)
        weights = torch.relu(self.score(pairs)).softmax(dim=1)
        return (weights * stacked).sum(dim=1)

    def train(self, mode: bool = True) -> PlainWSA:
        """Keep the encoders' batch normalisation as it is, whatever the library asks for."""
        super().train(mode)
        self.encoders.eval()
        return self


def make_model(envs: VecEnv, width: int, head_units: list[int], **options: Any) -> PPO:
    """Return the library's PPO on this extractor.

    Args:
        envs: Stacked frames, as `make_atari_env` and `VecFrameStack` give them.
        width: The common size of adapted embeddings.
        head_units: Hidden layers of the policy's head and of the value's.
        options: Of PPO, for example `n_steps`.
    """
    policy = {
        "features_extractor_class": PlainWSA,
        "features_extractor_kwargs": {"width": width},
        "net_arch": {"pi": head_units, "vf": head_units},
        "activation_fn": nn.ReLU,
        "optimizer_kwargs": {"eps": 1e-5},
    }
    return PPO("CnnPolicy", envs, policy_kwargs=policy, **options)
