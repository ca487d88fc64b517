"""Agent files: what is accepted, and what each mistake says."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from wsabench.agents import AgentSpec, build_agent, list_specs, load_spec
from wsabench.agents.networks.fusions import FUSIONS
from wsabench.errors import SpecError, StorageError, UnknownNameError
from wsabench.resources import data_dir

GOOD = """
name = "mine"
kind = "wsa"
encoders = ["sr", "oke"]
context = "ae"
[presets.compact]
width = 32
"""


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def presets(name: str) -> list[str]:
    return list(tomllib.loads((data_dir("baselines") / f"{name}.toml").read_text())["presets"])


@pytest.mark.parametrize("name", list_specs())
def test_every_shipped_file_is_valid_and_survives_a_round_trip(name: str) -> None:
    assert {"compact", "paper"} <= set(presets(name))
    for preset in presets(name):
        spec = load_spec(name, preset)
        assert (spec.name, spec.preset) == (name, preset)
        assert AgentSpec.from_dict(spec.to_dict()) == spec
        assert AgentSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_every_fusion_has_a_shipped_file() -> None:
    assert {load_spec(name).kind for name in list_specs()} == {"e2e", *FUSIONS}


def test_paper_presets_have_the_papers_sizes() -> None:
    for name in list_specs():
        for preset in presets(name):
            spec = load_spec(name, preset)
            size = "paper" if preset != "compact" and spec.kind != "e2e" else "compact"
            assert (spec.encoder_size, spec.adapter_style) == (size, size)
    assert load_spec("wsa", "paper-large-heads").head_units == (1024, 512, 256)
    assert [load_spec("res", f"paper{end}").width for end in ("-512", "", "-2048")] == [512, 1024, 2048]


def test_a_header_of_an_earlier_version_still_builds() -> None:
    header = {
        "adapter_cells": 10, "adapter_channels": 12, "context": "ae", "encoder_source": "pretrained",
        "encoders": ["sr", "oke"], "head_units": [256], "kind": "wsa", "name": "wsa", "preset": "compact",
        "score_activation": "leaky_relu", "width": 256,
    }  # fmt: skip
    spec = AgentSpec.from_dict(header)
    assert (spec.attention, spec.score_layer, spec.embeddings) == ("learned", "shared", "standardised")
    assert (spec.heads, spec.encoder_size, spec.adapter_style) == ("actor_critic", "compact", "compact")
    assert not spec.tune_encoders


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, GOOD))
    assert (spec.width, spec.encoders, spec.all_encoders) == (32, ("sr", "oke"), ("sr", "oke", "ae"))


def test_an_unknown_agent_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown agent 'wsaa'. Did you mean 'wsa'"):
        load_spec("wsaa")


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown preset 'compct'. Did you mean 'compact'"):
        load_spec("wsa", "compct")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('kind = "wsa"', 'kind = "wsx"'), r"kind is 'wsx'. Allowed: e2e, wsa, dpa, lin, fix, cnn, mix, res"),
        (("width = 32", "width = 0"), r"width is 0. Allowed: integers from 1"),
        (("width = 32", "width = true"), r"width is True. Allowed: integers from 1"),
        (("width = 32", "widht = 32"), r"preset 'compact': unknown key 'widht'. Did you mean 'width'\?"),
        (("width = 32", 'kind = "wsa"'), r"the key 'width' is missing"),
        (("width = 32", "width = 32\nhead_units = [0]"), r"head_units is 0. Allowed: integers from 1"),
        (("width = 32", 'width = 32\nscore_activation = "tanh"'), r"'tanh'. Allowed: relu, leaky_relu, none"),
        (("width = 32", "width = 32\nhead_units = 64"), r"head_units is 64. Allowed: a list"),
        (('["sr", "oke"]', '"sr"'), r"encoders is 'sr'. Allowed: a list"),
        (('context = "ae"', ""), r"a wsa agent needs `encoders` \(at least one\) and `context`"),
        (('"sr", "oke"', '"sr", "sr"'), r"name one twice"),
        (('"sr", "oke"', '"sr", "../../x"'), r"an encoder is '\.\./\.\./x'\. Allowed: names of letters"),
        (('"sr", "oke"', "1"), r"an encoder is 1\. Allowed: names of letters"),
        (('context = "ae"', "context = [2]"), r"an encoder is \(2,\)\. Allowed: names of letters"),
        (('kind = "wsa"', 'kind = "e2e"'), r"an e2e agent reads pixels. Remove `encoders` and `context`"),
        (("[presets.compact]", ""), r"no presets found"),
        (("width = 32", 'width = 32\nattention = "none"'), r"attention is 'none'. Allowed: learned, uniform, random"),
        (
            ("width = 32", 'width = 32\nscore_layer = "own"'),
            r"score_layer is 'own'. Allowed: shared, per_encoder, additive",
        ),
        (("width = 32", 'width = 32\nembeddings = "plain"'), r"embeddings is 'plain'. Allowed: standardised, raw"),
        (("width = 32", 'width = 32\nencoder_size = "big"'), r"encoder_size is 'big'. Allowed: compact, paper"),
        (("width = 32", 'width = 32\nadapter_style = "x"'), r"adapter_style is 'x'. Allowed: compact, paper"),
        (("width = 32", 'width = 32\nheads = "dqn"'), r"heads is 'dqn'. Allowed: actor_critic, q"),
        (("width = 32", "width = 32\ntune_encoders = 1"), r"tune_encoders is 1. Allowed: true, false"),
        (("width = 32", "width = 32\nconv_layers = 2"), r"conv_layers is 2, but kind 'wsa' does not read it. Only cnn"),
        (('kind = "wsa"', 'kind = "lin"'), r"a lin agent compares with no context. Remove `context`"),
        (('kind = "wsa"', 'kind = "dpa"\nattention = "random"'), r"but kind 'dpa' does not read it. Only wsa do"),
        (("[presets.compact]", "[presets.compact"), r"mine.toml: not valid TOML"),
    ],
)
def test_each_mistake_says_what_and_where(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(SpecError, match=message):
        load_spec(path)


def test_pixels_have_no_encoders_to_tune(tmp_path: Path) -> None:
    text = 'name = "x"\nkind = "e2e"\n[presets.compact]\nwidth = 8\ntune_encoders = true\n'
    with pytest.raises(SpecError, match="tune_encoders is True, but kind 'e2e' does not read it"):
        load_spec(write(tmp_path, text))


@pytest.mark.parametrize("kind", ["lin", "cnn", "mix"])
def test_fusions_with_a_feature_of_their_own_size_need_no_width(tmp_path: Path, kind: str) -> None:
    text = f'name = "x"\nkind = "{kind}"\nencoders = ["sr"]\n[presets.compact]\n'
    assert load_spec(write(tmp_path, text)).width == 0
    for other in ("fix", "res"):
        with pytest.raises(SpecError, match="the key 'width' is missing"):
            load_spec(write(tmp_path, text.replace(kind, other)))


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Cannot read the agent file"):
        load_spec(str(tmp_path / "none.toml"))


def test_missing_encoders_are_named() -> None:
    with pytest.raises(SpecError, match="needs the encoders okk, vos, ae, which were not given"):
        build_agent(load_spec("wsa"), 4, {"sr": (3,), "oke": (3,)})
