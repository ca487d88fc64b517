"""The actor-critic interface, and the layers and initialisation that all agents share."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from wsabench.encoders import half_precision_is_fast
from wsabench.types import FusionChange

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank

Features = dict[str, Tensor]
"""What the trainable part reads, by name, each with N rows; computed once per step and kept in the rollout."""

RELU_GAIN = math.sqrt(2.0)
Sides = int | tuple[int, int]
"""One number for height and width, or one for each."""
_Layer = TypeVar("_Layer", nn.Linear, nn.Conv2d)


class Comparison(NamedTuple):
    """What the scores of an attention are made of, so that weights can be found again under another context."""

    query: Tensor
    """What the context brings to the scores, float32, shape (N, ...)."""
    keys: Tensor
    """What stands in each place brings to them, float32, shape (N, num_places, ...)."""
    mask: Tensor | None
    """True where a place takes part, bool, shape (N, num_places); None: all do."""
    given: Tensor | None = None
    """Weights that stand whatever the scores are, float32, shape (N, num_places), NaN in rows without; None: none."""


class Output(NamedTuple):
    """What a forward pass gives."""

    logits: Tensor
    """Unnormalised log probabilities of the actions, float32, shape (N, num_actions); with `q` heads action values."""
    value: Tensor
    """Estimated discounted return, float32, shape (N,); with `q` heads the greatest action value."""
    weights: Tensor | None
    """Attention weights of the encoders, newcomers last, float32, shape (N, E); None without attention."""
    comparison: Comparison | None = None
    """What these weights come from; None where no context is read."""


class Newcomer(NamedTuple):
    """An encoder that joined after training."""

    name: str
    adapter: nn.Module


class Lineup(NamedTuple):
    """Which encoders take part in a fusion and where they stand, row by row; E encoders, newcomers last."""

    mask: Tensor | None = None
    """True where an encoder takes part, bool, shape (N, E); at least one per row. None: all do."""
    order: Tensor | None = None
    """The encoder whose adapted embedding stands in each place, int64, shape (N, E). None: each in its own."""
    newcomers: tuple[Newcomer, ...] = ()
    """Encoders that joined after training, in all rows."""
    weights: Tensor | None = None
    """Weights of the encoders instead of those that attention gives, float32, shape (N, E): rows sum to 1 and are 0
    where the mask is False, or are NaN where attention decides. None: it does everywhere."""


AS_TRAINED = Lineup()


class ActorCritic(nn.Module, abc.ABC):
    """A policy and a value function over features that are computed once per step."""

    encoder_names: tuple[str, ...] = ()
    """The encoders in the order of the mask's and the weights' columns."""
    allows: frozenset[FusionChange] = frozenset()
    """What of a lineup it can express."""
    has_weights: bool = False
    """Whether `Output.weights` are given."""

    @abc.abstractmethod
    def prepare(self, stack: Tensor, bank: EncoderBank | None, inputs: Mapping[str, Tensor] | None = None) -> Features:
        """Turn observations into what `forward` reads, without gradients.

        Args:
            stack: Observations, uint8, shape (N, 4, 84, 84), newest last.
            bank: The frozen encoders; None for agents without.
            inputs: The further inputs of the same rows that the bank requires (`rgb84`, `ram`), uint8.
        """

    def for_training(self, features: Features) -> Features:
        """Return what `prepare` gave in the form that `forward` reads fastest, for epochs over the same features."""
        return features

    @abc.abstractmethod
    def forward(self, features: Mapping[str, Tensor], lineup: Lineup = AS_TRAINED) -> Output:
        """Evaluate policy and value.

        Args:
            features: What `prepare` gave, N rows.
            lineup: Which encoders take part; ignored where there are none.
        """


class Initialiser:
    """Makes layers with orthogonal weights and zero biases from one generator; touches no global state."""

    def __init__(self, seed: int | None) -> None:
        """Start the generator at `seed`; None: leave weights undefined, which are loaded or only counted."""
        self._generator = None if seed is None else torch.Generator().manual_seed(seed)

    def linear(self, inputs: int, outputs: int, gain: float = RELU_GAIN, *, bias: bool = True) -> nn.Linear:
        """Return a linear layer, float32."""
        return self._initialise(_without_values(nn.Linear(inputs, outputs, bias=bias, device="meta")), gain)

    def convolution(
        self, inputs: int, outputs: int, kernel: Sides, stride: Sides = 1, *, padding: int = 0
    ) -> nn.Conv2d:
        """Return a 2d convolution, float32; without padding unless told otherwise."""
        layer = _without_values(nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, device="meta"))
        return self._initialise(layer, RELU_GAIN).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def orthogonal(self, size: int, gain: float) -> Tensor:
        """Return a random orthogonal matrix times `gain`, float32, shape (size, size)."""
        return self._orthogonal(torch.empty(size, size), gain)

    def normal(self, rows: int, columns: int, std: float) -> Tensor:
        """Return a matrix of independent normal numbers with mean 0, float32, shape (rows, columns)."""
        matrix = torch.empty(rows, columns)
        return matrix if self._generator is None else nn.init.normal_(matrix, std=std, generator=self._generator)

    def head(self, inputs: int, hidden: Sequence[int], outputs: int, gain: float) -> nn.Sequential:
        """Return hidden ReLU layers followed by a linear layer initialised with `gain`."""
        layers: list[nn.Module] = []
        for units in hidden:
            layers += [self.linear(inputs, units), nn.ReLU()]
            inputs = units
        return nn.Sequential(*layers, self.linear(inputs, outputs, gain))

    def _initialise(self, layer: _Layer, gain: float) -> _Layer:
        self._orthogonal(layer.weight, gain)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        return layer

    def _orthogonal(self, weight: Tensor, gain: float) -> Tensor:
        return weight if self._generator is None else nn.init.orthogonal_(weight, gain, generator=self._generator)


def _without_values(layer: _Layer) -> _Layer:
    """Allocate a layer made on the meta device, so that its default initialisation draws from no generator.

    PyTorch's `to_empty` does so too, but loads SymPy for half a second.
    """
    for name, parameter in list(layer.named_parameters()):
        setattr(layer, name, nn.Parameter(torch.empty(parameter.shape)))
    return layer


class Heads(nn.Module):
    """Policy and value heads on one feature, evaluated in float32.

    Half precision here would add noise to the probability ratios that PPO clips at a few per cent.
    """

    def __init__(self, make: Initialiser, width: int, hidden: Sequence[int], num_actions: int) -> None:
        super().__init__()
        self.policy = make.head(width, hidden, num_actions, gain=0.01)
        self.value = make.head(width, hidden, 1, gain=1.0)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, num_actions) and values (N,), float32."""
        with torch.autocast(feature.device.type, enabled=False):
            wide = feature.float()
            return self.policy(wide), self.value(wide).squeeze(1)


class QHeads(nn.Module):
    """One head that gives the value of every action, evaluated in float32.

    References:
        Mnih et al. 2015, "Human-level control through deep reinforcement learning".
    """

    def __init__(self, make: Initialiser, width: int, hidden: Sequence[int], num_actions: int) -> None:
        super().__init__()
        self.q = make.head(width, hidden, num_actions, gain=1.0)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return action values (N, num_actions) and the greatest of each row (N,), float32."""
        with torch.autocast(feature.device.type, enabled=False):
            values = self.q(feature.float())
            return values, values.max(dim=1).values


HEADS: dict[str, type[Heads] | type[QHeads]] = {"actor_critic": Heads, "q": QHeads}
"""Heads by name, `heads` in an agent's specification."""


def half_precision(device: torch.device | str = "cpu") -> torch.autocast:
    """Return the autocast region that agents run in: bfloat16 on a GPU and where the CPU has it, else float32."""
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=kind != "cpu" or half_precision_is_fast())


def compute_dtype(device: torch.device) -> torch.dtype:
    """Return what products are computed in here: the autocast region's type, float32 outside of any."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32


def storage_dtype(device: torch.device) -> torch.dtype:
    """Return the half precision in which embeddings are kept: the one that needs no conversion where it is used."""
    return torch.bfloat16 if device.type != "cpu" or half_precision_is_fast() else torch.float16
