"""How many greedy actions of an agent change when its frozen encoders compute in fewer bits.

`python benchmarks/half_precision_play.py --agent FOLDER` plays an agent on encoders of the paper's size and evaluates
what it saw again, heads and adapters in float32: with encoders in float32; in bfloat16, with and without the
correction of the means; and `sr`, `oke` and `okk` with their convolutions in 8-bit integers, an experiment that
wsabench does not use (`eight_bits.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from eight_bits import EightBits
from torch import Tensor, nn

import wsabench
from wsabench.agents import AgentPolicy, load_agent
from wsabench.encoders import Encoder, EncoderBank, find_encoder, fold_batch_norm, measure_standardisation
from wsabench.encoders.pretrained.sr import HEIGHT, WIDTH
from wsabench.seeding import generator
from wsabench.types import LaneBatch

LANES = 16
Embeddings = dict[str, Tensor]


def embed_in_eight_bits(encoder: Encoder, frames: Tensor, calibration: Tensor) -> Tensor:
    """Return embeddings, float32, not standardised, of an encoder whose `trunk` computes in 8 bits."""
    encoder = fold_batch_norm(encoder)
    trunk = encoder.trunk
    if not isinstance(trunk, nn.Sequential):
        raise TypeError(f"{encoder.name} has no chain of convolutions")

    def pixels(stack: Tensor) -> Tensor:
        if encoder.reads == "newest":
            return stack[:, -1:]
        return nn.functional.interpolate(stack, size=(HEIGHT, WIDTH), mode="bilinear")

    chain = EightBits(trunk, pixels(calibration))
    # The rest of the encoder follows as it is: what calls its trunk gets these maps.
    found = []
    for part in frames.split(LANES):
        encoder.trunk = _Given(chain(pixels(part)))
        found.append(encoder((part if encoder.reads == "stack" else part[:, -1:]).float() / 255))
    return torch.cat(found)


class _Given(nn.Module):
    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self._maps = maps

    def forward(self, pixels: Tensor) -> Tensor:
        """Return what was computed before."""
        del pixels
        return self._maps


def play(policy: AgentPolicy | None, game: str, count: int, seed: int) -> Tensor:
    """Return observations of an agent's sampled play, or of random play, uint8, shape (count, 4, 84, 84)."""
    ids = np.arange(LANES)
    batch = LaneBatch(ids, tuple(generator(lane, "play") for lane in ids), ids < 0, ((),) * LANES)
    random = generator(seed, "random-play")
    envs = wsabench.make_vec(game, LANES, seed=seed, protocol=wsabench.Protocol.evaluation())
    observations, _ = envs.reset(seed=seed)
    num_actions = int(envs.single_action_space.n)  # pyright: ignore[reportAttributeAccessIssue]
    seen = []
    for _ in range(-(-count // LANES)):
        seen.append(observations.copy())
        drawn = random.integers(num_actions, size=LANES)
        observations, *_ = envs.step(drawn if policy is None else policy.act(observations, batch).actions)
    envs.close()
    return torch.from_numpy(np.concatenate(seen))[:count]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", type=Path, required=True, help="folder of a training run, with its encoders")
    parser.add_argument("--observations", type=int, default=5008)
    parser.add_argument("--calibration", type=int, default=640)
    options = parser.parse_args()
    torch.set_num_threads(1)
    policy = load_agent(options.agent)
    spec, game, folder = policy.spec, policy.meta.game, options.agent / "encoders"
    frames = play(policy, game, options.observations, seed=0)
    random_frames = play(None, game, options.calibration, seed=9)
    loaded = {name: find_encoder(game, name, folder) for name in spec.all_encoders}

    def embed(dtype: torch.dtype, *, corrected: bool) -> Embeddings:
        pairs = {}
        for name, item in loaded.items():
            shift = measure_standardisation(item.encoder, random_frames).half_shift if corrected else None
            pairs[name] = (item.encoder, item.standardisation._replace(half_shift=shift))
        bank = EncoderBank(pairs, names=spec.encoders, context=spec.bank_context, hashes={}, source="", dtype=dtype)
        parts = [bank.embed(part) for part in frames.split(LANES)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def greedy(embeddings: Mapping[str, Tensor]) -> Tensor:
        rows = [{name: value[at : at + LANES].float() for name, value in embeddings.items()} for at in starts]
        laid_out = ({n: v.permute(0, 2, 3, 1) if v.dim() == 4 else v for n, v in row.items()} for row in rows)
        return torch.cat([policy._model(row).logits.argmax(1) for row in laid_out])

    starts = range(0, len(frames), LANES)
    with torch.inference_mode():
        exact, plain, corrected = (
            embed(torch.float32, corrected=False),
            embed(torch.bfloat16, corrected=False),
            embed(torch.bfloat16, corrected=True),
        )
        eight: Embeddings = {}
        for name in {"sr", "oke", "okk"} & set(loaded):
            mean, scale, _ = loaded[name].standardisation
            fresh = find_encoder(game, name, folder).encoder
            eight[name] = (embed_in_eight_bits(fresh, frames, random_frames) - mean) / scale
        actions = greedy(exact)

        def changed(embeddings: Mapping[str, Tensor]) -> str:
            return f"{100 * float((greedy(embeddings) != actions).float().mean()):.2f} %"

        heads = ("encoders in fewer bits", "bfloat16, means not corrected", "bfloat16", "8 bits")
        print(f"| {' | '.join(heads)} |")
        print("| --- " * len(heads) + "|")
        for name in loaded:
            found = [one[name] for one in (plain, corrected, eight) if name in one]
            cells = [changed({**exact, name: embedding}) for embedding in found]
            print(f"| `{name}` | {' | '.join([*cells, ''][:3])} |")
        mixes = [plain, corrected, {**corrected, **eight}]
        print(f"| all (8 bits: `vos` and `ae` in bfloat16) | {' | '.join(changed(mix) for mix in mixes)} |")
        eight.pop("sr", None)
        print(f"| all (8 bits: `sr` in bfloat16 too) | | | {changed({**corrected, **eight})} |")


if __name__ == "__main__":
    main()
