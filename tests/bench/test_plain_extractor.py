"""The peer of `wsabench bench train` computes what our agent of the paper's size computes."""

from __future__ import annotations

import dataclasses
from types import ModuleType

import gymnasium
import numpy as np
import pytest
import torch

from wsabench.agents import build_agent, count_parameters, load_spec
from wsabench.bench.peers import WSA_PEER, _extractor_module, peer_of, why_missing
from wsabench.encoders import EncoderBank, build_encoder
from wsabench.encoders.pretrained.vos import UpsamplingStage

pytestmark = pytest.mark.oracle

SPACE = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return _extractor_module()


@pytest.mark.extra
def test_the_plain_extractor_gives_our_feature_and_has_as_many_trained_parameters(module: ModuleType) -> None:
    torch.manual_seed(0)
    plain = module.PlainWSA(SPACE, width=256).train()
    spec = dataclasses.replace(load_spec("wsa", "paper-256"), embeddings="raw")
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 4, 84, 84), dtype=np.uint8))
    bank = EncoderBank.random(
        spec.encoders, "ae", seed=1, calibration_frames=frames, size="paper", dtype=torch.float32, embeddings="raw"
    )
    for name, encoder in plain.encoders.items():
        # A seed draws another encoder for each name in a bank, so weights are handed over.
        ours = build_encoder(name, 1, "paper").eval()
        ours.load_state_dict(encoder.state_dict())
        bank._encoders[name] = ours
    agent = build_agent(spec, 4, seed=0, bank=bank)
    copy_weights(plain, agent.fusion)  # pyright: ignore[reportAttributeAccessIssue]
    with torch.no_grad():
        embeddings = {n: e.float() for n, e in bank.embed(frames).items()}
        feature = agent.fusion(embeddings).feature  # pyright: ignore
        theirs = plain(frames.float() / 255)
    # Embeddings pass half precision on our side.
    torch.testing.assert_close(feature, theirs, rtol=2e-3, atol=2e-3 * float(theirs.abs().max()))
    assert count_parameters(plain) == count_parameters(agent.fusion)  # pyright: ignore
    assert not any(encoder.training for encoder in plain.encoders.modules())
    assert not any(isinstance(layer, UpsamplingStage) for layer in plain.modules()), "that one is made for speed"


def copy_weights(plain: torch.nn.Module, fusion: torch.nn.Module) -> None:
    """Give our fusion the extractor's weights; a flattened map has its channels last on our side."""
    state = {}
    for name, projection in plain.projections.items():  # pyright: ignore
        layer = f"adapters.{name}.project.linear" if name != "sr" else "adapters.sr.linear"
        state[f"{layer}.bias"] = projection.bias
        state[f"{layer}.weight"] = channels_last(projection.weight) if name != "sr" else projection.weight
        if name != "sr":
            mix, convolution, _ = plain.adapters[name]  # pyright: ignore
            for part, source in (("mix", mix), ("convolution", convolution)):
                state |= {f"adapters.{name}.{part}.{key}": value for key, value in source.state_dict().items()}
    state |= {"context.linear.weight": channels_last(plain.context.weight), "context.linear.bias": plain.context.bias}  # pyright: ignore
    state |= {f"score.{key}": value for key, value in plain.score.state_dict().items()}  # pyright: ignore
    fusion.load_state_dict(state)


def channels_last(weight: torch.Tensor) -> torch.Tensor:
    return weight.unflatten(1, (-1, 16, 16)).permute(0, 2, 3, 1).flatten(1)


def test_the_paper_agent_has_the_plain_extractor_as_peer_and_its_ablations_have_not() -> None:
    spec = load_spec("wsa", "paper")
    assert peer_of(spec) == WSA_PEER
    assert peer_of(dataclasses.replace(spec, encoders=("sr",))) == ""


def test_a_missing_library_or_file_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import wsabench.bench.peers as peers

    monkeypatch.setattr(peers, "EXTRACTOR", peers.EXTRACTOR.with_name("gone.py"))
    if not why_missing(peers.CNN_PEER):
        assert why_missing(WSA_PEER) == (
            f"{WSA_PEER}: gone.py is not in this installation. Run the command in a checkout of the repository."
        )
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    assert why_missing(WSA_PEER).endswith("is not installed. Install it with: pip install 'wsabench[bench]'")
