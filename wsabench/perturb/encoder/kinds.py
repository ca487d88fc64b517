"""The kinds of the family `encoder`.

`encoders` is a list of encoders' names; where it is said, also the words `fused` (all that are fused) and `context`.
All that is drawn comes from a generator of the lane's own, apart from the one that actions are drawn from.
"""

from __future__ import annotations

from collections.abc import Callable

from wsabench.perturb.encoder.embeddings import NoisyEncoders, StaleEncoders, ZeroDrawn, ZeroEncoders
from wsabench.perturb.encoder.masks import DropDrawn, DropEncoders, FlickerEncoders
from wsabench.perturb.encoder.own_play import OwnMeanDrawn, OwnMeanEncoders, SwapDrawn, SwapEncoders
from wsabench.perturb.encoder.places import JoinEncoders, PermuteEncoders
from wsabench.perturb.kinds import KINDS, Kind, Parameter, ParameterValue, fixed, names, number, seed, whole_number
from wsabench.perturb.stages import EncoderStage
from wsabench.types import EncoderOperation


def _add(name: str, parameters: dict[str, Parameter], make: Callable[..., EncoderOperation], summary: str) -> None:
    def build(**values: ParameterValue) -> EncoderStage:
        return EncoderStage(make(**values))

    KINDS.add(f"encoder.{name}", Kind("encoder", parameters, fixed(build), summary))


_add(
    "drop",
    {"encoders": names()},
    DropEncoders,
    "Leave the named encoders out of the fusion in every step. In attention their scores become -inf before the "
    "softmax, so their weights are 0 and the others' w_i = exp(a_i) / sum_kept exp(a_j): as if the agent had been "
    "built without them (Piccoli et al. 2026: the number of models can change after training).",
)
_add(
    "drop_drawn",
    {"count": whole_number(0, 64)},
    DropDrawn,
    "Leave `count` encoders out of the fusion, drawn at the start of each episode, every set equally likely; otherwise "
    "as `encoder.drop`. In the same episode those missing at one count are also missing at every greater count.",
)
_add(
    "zero",
    {"encoders": names()},
    ZeroEncoders,
    "Feed zeros instead of the standardised embeddings: e = 0, the mean over random play. The encoder keeps its place "
    "and gets the weight that its zeros earn: where a fusion attends, this mostly measures that zeros capture the "
    "attention, not that information is lost (compare `encoder.own_mean`). `encoders`: names, `fused`, `context`.",
)
_add(
    "zero_drawn",
    {"count": whole_number(0, 64)},
    ZeroDrawn,
    "Feed zeros for `count` fused encoders, drawn at the start of each episode: the same ones as `encoder.drop_drawn`.",
)
_add(
    "own_mean",
    {"encoders": names()},
    OwnMeanEncoders,
    "Feed the encoder's mean embedding over the agent's own clean play, e = mean_t e_t over whole episodes of at least "
    "5,000 steps in all: nothing of the present step, and nearer to what the agent meets than zeros are. `encoders`: "
    "names, `fused`, `context`.",
)
_add(
    "own_mean_drawn",
    {"count": whole_number(0, 64)},
    OwnMeanDrawn,
    "As `encoder.own_mean` for `count` fused encoders, drawn at the start of each episode: the same ones as "
    "`encoder.drop_drawn`.",
)
_add(
    "swap",
    {"encoders": names()},
    SwapEncoders,
    "Feed the encoder's embedding of another step, e_u with u uniform among 1,024 random steps of the agent's own "
    "clean play, drawn anew for every encoder and step: real embeddings that say nothing of the present. `encoders`: "
    "names, `fused`, `context`.",
)
_add(
    "swap_drawn",
    {"count": whole_number(0, 64)},
    SwapDrawn,
    "As `encoder.swap` for `count` fused encoders, drawn at the start of each episode: the same ones as "
    "`encoder.drop_drawn`.",
)
_add(
    "noise",
    {"encoders": names(), "share": number(0, 1)},
    NoisyEncoders,
    "Mix Gaussian noise of the embedding's own scale in: sqrt(1 - share) e + sqrt(share) z, with z ~ N(0, 1) drawn "
    "anew for every number and step; standardised embeddings have scale 1, so the variance stays and `share` is the "
    "noise's part of it. share = 1: nothing but noise. `encoders`: names, `fused`, `context`. The mix is that of Ho et "
    "al. 2020, eq. 4.",
)
_add(
    "stale",
    {"encoders": names(), "steps": whole_number(0, 10_000)},
    StaleEncoders,
    "Feed the embeddings of `steps` agent steps ago, e_t = e_max(t - steps, 0): until then the episode's first. "
    "`encoders`: names, `fused`, `context`.",
)
_add(
    "flicker",
    {"probability": number(0, 1)},
    FlickerEncoders,
    "Leave each encoder out of the fusion with the probability p, drawn anew every step: u_i < p with u_i uniform. "
    "Where all would go, the one with the greatest u_i stays; so each of N is missing in p - p^N / N of the steps.",
)
_add(
    "permute",
    {"seed": seed()},
    PermuteEncoders,
    "Exchange the places of the adapted embeddings by a fixed cyclic permutation, so that none stays in its place. "
    "Without effect on fusions that treat them as a set (weight sharing attention): a control there.",
)
_add(
    "join",
    {"encoders": names()},
    JoinEncoders,
    "Fuse one more encoder, which the agent runs but never fused, through an untrained adapter: the mean of the "
    "trained adapters' last linear layers, their inputs resampled to the newcomer's by area, each scaled to its own "
    "Frobenius norm (Piccoli et al. 2026: the number of models changes over time).",
)
