"""Agent files: what is accepted, and what each mistake says."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsabench.agents import AgentSpec, build_agent, list_specs, load_spec
from wsabench.errors import SpecError, StorageError, UnknownNameError

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


@pytest.mark.parametrize("name", list_specs())
@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_every_shipped_file_is_valid_and_survives_a_round_trip(name: str, preset: str) -> None:
    spec = load_spec(name, preset)
    assert spec.name == name
    assert AgentSpec.from_dict(spec.to_dict()) == spec


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
        (('kind = "wsa"', 'kind = "e2e"'), r"an e2e agent reads pixels. Remove `encoders` and `context`"),
        (("[presets.compact]", ""), r"no presets found"),
        (("[presets.compact]", "[presets.compact"), r"mine.toml: not valid TOML"),
    ],
)
def test_each_mistake_says_what_and_where(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(SpecError, match=message):
        load_spec(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Cannot read the agent file"):
        load_spec(str(tmp_path / "none.toml"))


def test_missing_encoders_are_named() -> None:
    with pytest.raises(SpecError, match="needs the encoders okk, vos, ae, which were not given"):
        build_agent(load_spec("wsa"), 4, {"sr": (3,), "oke": (3,)})
