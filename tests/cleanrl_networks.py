"""Networks of CleanRL, layer by layer and name by name as its scripts make them; `scores` is what decides actions."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def nature(num_frames: int = 4) -> list[nn.Module]:
    convolutions = [nn.Conv2d(num_frames, 32, 8, stride=4), nn.ReLU(), nn.Conv2d(32, 64, 4, stride=2), nn.ReLU()]
    return [*convolutions, nn.Conv2d(64, 64, 3, stride=1), nn.ReLU(), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU()]


class Ppo(nn.Module):
    def __init__(self, num_actions: int = 4) -> None:
        super().__init__()
        self.network = nn.Sequential(*nature())
        self.actor, self.critic = nn.Linear(512, num_actions), nn.Linear(512, 1)

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        return self.actor(self.network(x / 255.0))


class Dqn(nn.Module):
    def __init__(self, num_actions: int = 4) -> None:
        super().__init__()
        self.network = nn.Sequential(*nature(), nn.Linear(512, num_actions))

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x / 255.0)


class C51(nn.Module):
    def __init__(self, num_actions: int = 4) -> None:
        super().__init__()
        self.register_buffer("atoms", torch.linspace(-10, 10, steps=51))
        self.network = nn.Sequential(*nature(), nn.Linear(512, num_actions * 51))

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        shares = torch.softmax(self.network(x / 255.0).view(len(x), -1, 51), dim=2)
        return (shares * self.atoms).sum(2)


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0, self.conv1 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv1(functional.relu(self.conv0(functional.relu(x)))) + x


class Sequence(nn.Module):
    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inward, outward, 3, padding=1)
        self.res_block0, self.res_block1 = Residual(outward), Residual(outward)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = functional.max_pool2d(self.conv(x), kernel_size=3, stride=2, padding=1)
        return self.res_block1(self.res_block0(pooled))


class QDagger(nn.Module):
    def __init__(self, num_actions: int = 4) -> None:
        super().__init__()
        body = [Sequence(4, 16), Sequence(16, 32), Sequence(32, 32), nn.Flatten(), nn.ReLU()]
        self.network = nn.Sequential(*body, nn.Linear(32 * 11 * 11, 256), nn.ReLU(), nn.Linear(256, num_actions))

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x / 255.0)


class ImpalaPpo(nn.Module):
    def __init__(self, num_actions: int = 4) -> None:
        super().__init__()
        body = [Sequence(4, 16), Sequence(16, 32), Sequence(32, 32), nn.Flatten(), nn.ReLU()]
        self.network = nn.Sequential(*body, nn.Linear(32 * 11 * 11, 256), nn.ReLU())
        self.actor, self.critic = nn.Linear(256, num_actions), nn.Linear(256, 1)

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        return self.actor(self.network(x / 255.0))


class LstmPpo(nn.Module):
    def __init__(self, num_actions: int = 4) -> None:
        super().__init__()
        self.network = nn.Sequential(*nature(1))
        self.lstm = nn.LSTM(512, 128)
        self.actor, self.critic = nn.Linear(128, num_actions), nn.Linear(128, 1)
