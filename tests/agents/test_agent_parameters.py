"""Trainable parameters at paper size: layer by layer from the shapes, and in all beside the published figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsabench.agents import build_agent, load_spec, parameter_table
from wsabench.agents.networks.building import PAPER_SHAPES

pytestmark = pytest.mark.oracle

ACTIONS = 4


def conv(inputs: int, outputs: int, kernel: int) -> int:
    return inputs * outputs * kernel * kernel + outputs


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


# 128x21x21 -> 32x16x16, 4x21x21 -> 16x16x16, 20x84x84 -> 16x16x16.
OKE, OKK, VOS = 32 * 16 * 16, 16 * 16 * 16, 16 * 16 * 16
ADAPTERS = {
    "fusion.adapters.oke.mix": conv(128, 32, 1),
    "fusion.adapters.oke.convolution": conv(32, 32, 6),
    "fusion.adapters.okk.mix": conv(4, 16, 1),
    "fusion.adapters.okk.convolution": conv(16, 16, 6),
    "fusion.adapters.vos.mix": conv(20, 16, 1),
    "fusion.adapters.vos.convolution": conv(16, 16, 5),
}


def heads(feature: int, *hidden: int) -> dict[str, int]:
    counts = {}
    for head, outputs in (("policy", ACTIONS), ("value", 1)):
        sizes = (feature, *hidden, outputs)
        for place in range(len(sizes) - 1):
            counts[f"heads.{head}.{2 * place}"] = linear(sizes[place], sizes[place + 1])
    return counts


def projections(width: int) -> dict[str, int]:
    return {
        "fusion.adapters.sr.linear": linear(512, width),
        "fusion.adapters.oke.project.linear": linear(OKE, width),
        "fusion.adapters.okk.project.linear": linear(OKK, width),
        "fusion.adapters.vos.project.linear": linear(VOS, width),
    }


def attending(width: int, *hidden: int) -> dict[str, int]:
    context = {"fusion.context.linear": linear(64 * 16 * 16, width)}
    return ADAPTERS | projections(width) | context | heads(width, *hidden)


def wsa(width: int, *hidden: int) -> dict[str, int]:
    return attending(width, *hidden) | {"fusion.score": linear(2 * width, 1)}


def additive(width: int, *hidden: int) -> dict[str, int]:
    # W_c, W_s and b; v, whose bias would cancel.
    return attending(width, *hidden) | {"fusion.hidden": 2 * width * width + width, "fusion.score": width}


def cnn(layers: int) -> dict[str, int]:
    # 512 numbers are two channels of 16x16.
    inputs = [2 + 32 + 16 + 16, 32, 32][:layers]
    convolutions = {f"fusion.convolutions.{i}": conv(count, 32, 3) for i, count in enumerate(inputs)}
    return ADAPTERS | convolutions | heads(32 * 16 * 16, 256)


ALL = 512 + OKE + OKK + VOS
FORMULAS = {
    ("wsa", "paper"): wsa(512, 256),
    ("wsa", "paper-256"): wsa(256, 256),
    ("wsa", "paper-1024"): wsa(1024, 256),
    ("wsa", "paper-large-heads"): wsa(512, 1024, 512, 256),
    ("wsa-random", "paper"): wsa(512, 256),
    ("wsa-additive", "paper"): additive(512, 256),
    # A map of 7x7 is small enough as it is.
    ("wsa-vit", "paper"): wsa(512, 256) | {"fusion.adapters.vit.linear": linear(192 * 7 * 7, 512)},
    ("dpa", "paper"): attending(512, 256),
    ("dpa", "paper-256"): attending(256, 256),
    ("dpa", "paper-1024"): attending(1024, 256),
    ("lin", "paper"): ADAPTERS | heads(ALL, 256),
    ("fix", "paper"): ADAPTERS | projections(512) | heads(4 * 512, 256),
    ("fix", "paper-256"): ADAPTERS | projections(256) | heads(4 * 256, 256),
    ("fix", "paper-1024"): ADAPTERS | projections(1024) | heads(4 * 1024, 256),
    ("cnn", "paper"): cnn(1),
    ("cnn", "paper-2-layers"): cnn(2),
    ("cnn", "paper-3-layers"): cnn(3),
    ("mix", "paper"): ADAPTERS | {"fusion.convolution": conv(32 + 16 + 16, 32, 3)} | heads(512 + 32 * 16 * 16, 256),
    ("res", "paper"): ADAPTERS | heads(1024, 256),
    ("res", "paper-512"): ADAPTERS | heads(512, 256),
    ("res", "paper-2048"): ADAPTERS | heads(2048, 256),
    ("e2e", "paper"): {
        "conv1": conv(4, 32, 8),
        "conv2": conv(32, 64, 4),
        "conv3": conv(64, 64, 3),
        "linear": linear(3136, 512),
        **heads(512),
    },
}


@pytest.mark.parametrize(("agent", "preset"), FORMULAS)
def test_every_layer_has_the_parameters_of_the_shapes(agent: str, preset: str) -> None:
    model = build_agent(load_spec(agent, preset), ACTIONS, PAPER_SHAPES, seed=None)
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        layer = name.rpartition(".")[0]
        found[layer] = found.get(layer, 0) + parameter.numel()
    assert found == FORMULAS[agent, preset]


def test_trainable_adapters_are_57_088_in_all() -> None:
    assert sum(ADAPTERS.values()) == 57_088


# Millions, from the shapes, as published.
FROM_SHAPES = {
    ("wsa", "paper-256"): 8.711,
    ("wsa", "paper-1024"): 34.669,
    ("dpa", "paper-256"): 8.711,
    ("dpa", "paper-1024"): 34.667,
    ("lin", "paper"): 8.710,
    ("mix", "paper"): 4.534,
    ("fix", "paper-256"): 4.910,
    ("fix", "paper-1024"): 19.462,
    ("cnn", "paper"): 4.272,
    ("cnn", "paper-3-layers"): 4.291,
    ("res", "paper-512"): 0.321,
    ("res", "paper-2048"): 1.107,
    ("e2e", "paper"): 1.687,
}


def test_the_table_agrees_with_the_published_one() -> None:
    table = parameter_table()
    print(*table, sep="\n")  # noqa: T201 - `pytest -s` shows the table
    for count in table:
        key = count.agent, count.preset
        assert count.trainable == sum(FORMULAS[key].values())
        assert abs(count.trainable / 1e6 - count.published_millions) < 0.1
        if key in FROM_SHAPES:
            assert round(count.trainable / 1e6, 3) == FROM_SHAPES[key]
    assert FROM_SHAPES.keys() <= {(count.agent, count.preset) for count in table}


def test_the_documentation_shows_the_table() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "agents.md").read_text(encoding="utf-8")
    for agent, preset, trainable, published in parameter_table():
        assert f"| {agent}, {preset} | {trainable:,} | {published} |" in page
