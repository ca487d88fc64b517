"""Cells that touch nothing that an agent reads are listed with the reason; what it reads decides, not its weights."""

from __future__ import annotations

from typing import Any

import pytest
from fake_encoders import SHAPES, FakeBank, as_policy, wsa_spec

from wsabench.agents import build_agent
from wsabench.errors import SpecError
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.fitting import fit_agents
from wsabench.perturb import compile_perturbation
from wsabench.types import Abilities, AgentReads, EncoderRoster

FUSED = ("sr", "oke")
CONTEXT_CELLS = ("zero-context", "noise-context@3", "own-mean-context", "swap-context")
PLAYED = ("clean", "zero-all", "zero-sr", "drop-sr", "permute-encoders", "hue-rotate@3", "right-drift")


def contestant(name: str, reads: AgentReads, attends: bool = True) -> Contestant:
    roster = EncoderRoster(name, FUSED, reads.context, reads.available, frozenset({"mask", "order"}), 2)
    can = Abilities(attends_to=FUSED if attends else (), encoder_roster=roster, reads=reads)
    return Contestant(name, 0, "breakout", "agent", name, can)


def left_out(one: Contestant, *names: str, is_explicit: bool = False) -> dict[str, str]:
    compiled = {("breakout", name): compile_perturbation(name, "breakout") for name in names}
    jobs, skipped = fit_agents([one], compiled, is_explicit=is_explicit)
    reasons = {name: group.reason for group in skipped for name in group.perturbations}
    assert {name for *_, name in jobs} == reasons.keys()
    return reasons


READING = AgentReads(encoders=(*FUSED, "ae"), context="ae", available=(*FUSED, "ae"), pixels=True)
UNREAD = AgentReads(encoders=FUSED, context="ae", available=(*FUSED, "ae"), pixels=True)
WITHOUT = AgentReads(encoders=FUSED, context=None, available=FUSED, pixels=True)
RAM = AgentReads(encoders=FUSED, context=None, available=FUSED, pixels=False)


def test_an_agent_that_reads_its_context_plays_all() -> None:
    assert left_out(contestant("wsa", READING), *CONTEXT_CELLS, *PLAYED, "zero-context+drop-sr") == {}


@pytest.mark.parametrize("is_explicit", [False, True])
def test_a_context_that_is_not_read_is_not_played(is_explicit: bool) -> None:
    one = contestant("mine", UNREAD)
    cells = (*CONTEXT_CELLS, *PLAYED, "zero-context+drop-sr", "zero-context+hue-rotate@3", "right-drift+zero-context")
    reasons = left_out(one, *cells, "zero-context+noise-context@3", is_explicit=is_explicit)
    text = "The agent 'mine' does not read the embedding that changes (ae)."
    assert reasons == dict.fromkeys((*CONTEXT_CELLS, "zero-context+noise-context@3"), text)


def test_a_fusion_without_context_does_not_read_one_and_plays_its_encoders() -> None:
    one = contestant("fix", WITHOUT, attends=False)
    reasons = left_out(one, *CONTEXT_CELLS, *PLAYED)
    assert reasons == dict.fromkeys(
        CONTEXT_CELLS, "The agent 'fix' does not read the embedding that changes (context)."
    )


def test_an_encoder_that_the_agent_does_not_have_is_still_an_error() -> None:
    one = contestant("mine", UNREAD)
    assert "has no encoder okk" in left_out(one, "zero-okk")["zero-okk"]
    with pytest.raises(SpecError, match="has no encoder okk"):
        left_out(one, "zero-okk", is_explicit=True)


def test_changes_of_the_picture_do_not_reach_an_agent_on_the_consoles_memory() -> None:
    one = contestant("ram", RAM, attends=False)
    pixels = (
        "hue-rotate@3",
        "gaussian-noise@3",
        "observation-delay@1",
        "invert+gaussian-noise@1",
        "invert+zero-context",
    )
    played = ("clean", "right-drift", "sticky-actions@2", "invert+right-drift", "invert+zero-sr", "zero-all", "mode-4")
    reasons = left_out(one, *pixels, *played)
    assert reasons.keys() == set(pixels)
    assert reasons["hue-rotate@3"] == (
        "The agent 'ram' reads no pixels (sr, oke read the console's memory, which no change of the picture reaches)."
    )
    assert reasons["invert+zero-context"].endswith("does not read the embedding that changes (context).")


def test_of_an_own_policy_nothing_is_known() -> None:
    one = Contestant("own", 0, "breakout", "object", None, Abilities())
    assert left_out(one, "hue-rotate@3", "right-drift") == {}
    assert left_out(one, "zero-context") == {"zero-context": "The agent 'own' has no encoders."}


@pytest.mark.parametrize(
    ("changes", "read"),
    [
        ({}, ("vector", "map", "context")),
        ({"score_layer": "additive"}, ("vector", "map", "context")),
        ({"attention": "random"}, ("vector", "map", "context")),
        ({"score_activation": "none"}, ("vector", "map")),
        ({"score_activation": "none", "score_layer": "per_encoder"}, ("vector", "map", "context")),
        ({"attention": "uniform"}, ("vector", "map")),
        ({"kind": "dpa"}, ("vector", "map", "context")),
        ({"kind": "fix", "context": None}, ("vector", "map")),
        ({"context": "map", "attention": "uniform"}, ("vector", "map")),
    ],
)
def test_what_an_agent_reads_is_what_its_output_depends_on(changes: Any, read: tuple[str, ...]) -> None:
    spec, bank = wsa_spec(**changes), FakeBank()
    bank.inputs_of = {"vector": "ram", "map": "ram", "context": "newest"}
    model: Any = build_agent(spec, 3, SHAPES, seed=1)
    reads = as_policy(model, spec, bank).abilities.reads
    assert reads is not None
    assert reads.encoders == read
    assert reads.pixels == ("context" in read)
    import torch

    features = {name: torch.randn(9, *shape) for name, shape in SHAPES.items()}
    features |= {name: value.permute(0, 2, 3, 1) for name, value in features.items() if value.dim() == 4}
    with torch.no_grad():
        before = model(features).logits
        for name in SHAPES:
            moved = model(features | {name: torch.randn_like(features[name])}).logits
            assert torch.allclose(moved, before, atol=1e-7) == (name not in read), name


def test_an_end_to_end_agent_reads_pixels() -> None:
    from wsabench.agents import load_spec

    spec = load_spec("e2e")
    reads = as_policy(build_agent(spec, 3, seed=None), spec, None).abilities.reads
    assert reads is not None
    assert reads == AgentReads(encoders=(), context=None, available=(), pixels=True)
