"""Agent files: what is written is what is read, and whatever is wrong is said."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from old_files import save_old_agent

from wsabench.agents import (
    AGENT_FILE,
    AgentMeta,
    AgentSpec,
    build_agent,
    list_agents,
    load_agent,
    load_spec,
    read_checkpoint,
    save_checkpoint,
)
from wsabench.encoders import (
    EncoderBank,
    build_encoder,
    encoder_path,
    load_encoder,
    measure_standardisation,
    save_encoder,
    set_batch_norm_statistics,
)
from wsabench.errors import CheckpointError, SpecError, UnknownNameError, WsabenchError
from wsabench.sealed import HEADER_HASH, json_hash, sealed_file, tensors_hash
from wsabench.types import LaneBatch

STACKS = np.random.default_rng(0).integers(0, 256, (24, 4, 84, 84), dtype=np.uint8)
E2E = dataclasses.replace(load_spec("e2e"), width=16)
WSA = AgentSpec(name="wsa", kind="wsa", preset="compact", width=8, encoders=("okk",), context="ae")


def describe(spec: AgentSpec, hashes: dict[str, str] | None = None, **changes: Any) -> AgentMeta:
    values: dict[str, Any] = {
        "spec": spec,
        "game": "breakout",
        "train_seed": 1,
        "num_actions": 4,
        "steps": 2048,
        "training": {"name": "compact"},
        "encoder_hashes": hashes or {},
        "versions": {"torch": "2.13.0"},
    }
    return AgentMeta(**{**values, **changes})


def save_e2e(path: Path, **changes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, build_agent(E2E, 4, seed=9).state_dict(), describe(E2E, **changes))
    return path


def save_encoders(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    frames = torch.from_numpy(STACKS)
    for name in WSA.all_encoders:
        encoder = build_encoder(name, seed)
        set_batch_norm_statistics(encoder, frames)
        save_encoder(
            encoder_path("breakout", name, folder),
            encoder,
            measure_standardisation(encoder, frames),
            {"game": "breakout"},
        )
    return folder


def save_wsa(folder: Path, spec: AgentSpec = WSA) -> Path:
    bank = EncoderBank.load("breakout", WSA.encoders, "ae", save_encoders(folder / "encoders"))
    path = folder / AGENT_FILE
    save_checkpoint(path, build_agent(spec, 4, bank=bank).state_dict(), describe(spec, bank.hashes))
    return path


def act(policy: Any) -> list[int]:
    batch = LaneBatch(
        ids=np.arange(24),
        generators=tuple(np.random.default_rng(lane) for lane in range(24)),
        episode_starts=np.zeros(24, np.bool_),
        encoder_operations=((),) * 24,
    )
    return policy.act(STACKS, batch).actions.tolist()


def test_a_round_trip_keeps_everything(tmp_path: Path) -> None:
    path = save_e2e(tmp_path / "a.safetensors")
    checkpoint = read_checkpoint(path)
    assert checkpoint.meta == describe(E2E)
    policy = load_agent(path, game="breakout")
    assert (policy.abilities.name, policy.abilities.train_seed, policy.meta.game) == ("e2e", 1, "breakout")
    assert policy.abilities.checkpoint_hash == checkpoint.content_hash
    assert act(policy) == act(load_agent(str(path)))


def test_the_same_weights_give_the_same_file(tmp_path: Path) -> None:
    contents = {save_e2e(tmp_path / f"{number}.safetensors").read_bytes() for number in range(5)}
    assert len(contents) == 1


def test_wsa_finds_the_encoders_beside_it_and_its_folder_is_enough(tmp_path: Path) -> None:
    save_wsa(tmp_path / "run")
    policy = load_agent(tmp_path / "run")
    assert policy.abilities.attends_to == ("okk",)
    assert len(act(policy)) == 24


def test_the_hash_of_weights_does_not_depend_on_their_memory_order() -> None:
    # A 1x1 kernel is contiguous in both orders, with other strides.
    kernels = torch.randn(5, 3, 1, 1), torch.randn(5, 3, 2, 2)
    for kernel in kernels:
        turned = kernel.to(memory_format=torch.channels_last)
        assert tensors_hash({"k": kernel}) == tensors_hash({"k": turned})
    assert tensors_hash({"k": kernels[0]}) != tensors_hash({"k": kernels[0] + 1})


def test_missing_encoders_are_named(tmp_path: Path) -> None:
    path = save_wsa(tmp_path)
    (tmp_path / "encoders" / "okk.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"okk.safetensors is missing"):
        load_agent(path)


def test_other_encoders_are_refused(tmp_path: Path) -> None:
    path = save_wsa(tmp_path)
    save_encoders(tmp_path / "encoders", seed=5)
    with pytest.raises(CheckpointError, match=r"was trained on another encoder .*Restore that encoder, or train again"):
        load_agent(path)


def test_a_missing_context_encoder_is_named(tmp_path: Path) -> None:
    path = save_wsa(tmp_path)
    (tmp_path / "encoders" / "ae.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"ae.safetensors is missing. .* restore that file. .* `wsabench pretrain"
    ):
        load_agent(path)


def test_another_encoder_under_the_same_name_is_refused(tmp_path: Path) -> None:
    path = save_wsa(tmp_path)
    shutil.copy(tmp_path / "encoders" / "ae.safetensors", tmp_path / "encoders" / "okk.safetensors")
    with pytest.raises(CheckpointError, match=r"okk.safetensors holds name 'ae', not 'okk'. Choose another file"):
        load_agent(path)


def test_encoders_of_another_size_are_refused(tmp_path: Path) -> None:
    path = save_wsa(tmp_path, dataclasses.replace(WSA, encoder_size="paper"))
    message = r"okk.safetensors holds an encoder of size 'compact'; 'paper' is needed. Pre-train .* or set"
    with pytest.raises(CheckpointError, match=message):
        load_agent(path)


def test_a_tuned_agents_file_holds_its_encoders_and_evaluation_uses_them(tmp_path: Path) -> None:
    spec = dataclasses.replace(WSA, tune_encoders=True)
    path = save_wsa(tmp_path / "at-first", spec)
    checkpoint = read_checkpoint(path)
    weights = {name: value.clone() for name, value in checkpoint.weights.items()}
    tuned = [name for name in weights if name.startswith("encoders.okk.encoder")]
    assert tuned
    assert [name for name in weights if name.startswith("encoders.ae.encoder")]
    for name in tuned:
        weights[name] *= 2
    shutil.copytree(tmp_path / "at-first" / "encoders", tmp_path / "tuned" / "encoders")
    save_checkpoint(tmp_path / "tuned" / AGENT_FILE, weights, checkpoint.meta)
    stack = torch.from_numpy(STACKS[:16])
    before, after = (load_agent(tmp_path / name)._model for name in ("at-first", "tuned"))
    embeddings = [model.prepare(stack, None)["okk"].float() for model in (before, after)]
    assert not torch.allclose(*embeddings, atol=0.1)
    assert torch.equal(after.state_dict()[tuned[0]], weights[tuned[0]])


def test_raw_embeddings_are_read_raw(tmp_path: Path) -> None:
    models = [
        load_agent(save_wsa(tmp_path / kind, dataclasses.replace(WSA, embeddings=kind)))
        for kind in ("raw", "standardised")
    ]
    stack = torch.from_numpy(STACKS[:16])
    raw, standardised = (model._model.prepare(stack, model._bank)["okk"].float() for model in models)
    assert float(standardised.mean().abs()) < 0.2
    encoder = load_encoder(tmp_path / "raw" / "encoders" / "okk.safetensors").encoder
    channels_last = encoder(stack[:, -1:] / 255).permute(0, 2, 3, 1)
    assert torch.allclose(raw.flatten(), channels_last.flatten(), atol=0.1)
    assert not torch.allclose(raw, standardised, atol=0.1)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"There is no checkpoint .*nothing.safetensors"):
        load_agent(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("cut", [0, 4, 500, -8])
def test_a_cut_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = save_e2e(tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_agent(path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weights = build_agent(E2E, 4).state_dict()
    weights["linear.bias"] = torch.full_like(weights["linear.bias"], torch.nan)
    save_checkpoint(path, weights, describe(E2E))
    with pytest.raises(CheckpointError, match=r"linear\.bias is not finite"):
        load_agent(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, build_agent(E2E, 6).state_dict(), describe(E2E))
    with pytest.raises(CheckpointError, match="do not fit the agent it describes"):
        load_agent(path)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="is not an agent of wsabench: its format is None"):
        load_agent(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"game": None}, r"its header lacks game"),
        ({"spec": {"name": "x"}}, r"describes an agent that cannot be built: .*the key 'kind' is missing"),
    ],
)
def test_an_incomplete_header_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    path = save_e2e(tmp_path / "a.safetensors")
    with safetensors.safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["agent"])
    header = {key: value for key, value in (header | change).items() if value is not None and key != HEADER_HASH}
    path.write_bytes(sealed_file("agent", header, {"x": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=message):
        load_agent(path)


def test_another_game_is_refused(tmp_path: Path) -> None:
    path = save_e2e(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="was trained on 'breakout', not on 'pong'"):
        load_agent(path, game="pong")


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from wsabench.resources import data_dir

    folder = tmp_path / "data" / "baselines"
    folder.mkdir(parents=True)
    for path in data_dir("baselines").glob("*.toml"):
        shutil.copy(path, folder)
    for seed in (0, 3):
        save_e2e(folder / "breakout" / f"e2e-seed{seed}.safetensors", train_seed=seed)
    (folder / "wsa.toml").write_text('kind = "wsa"')
    monkeypatch.setenv("WSABENCH_DATA", str(tmp_path / "data"))
    return folder


def test_shipped_agents_are_found_by_name(shipped: Path) -> None:
    assert [(entry.name, entry.train_seed) for entry in list_agents("breakout")] == [("e2e", 0), ("e2e", 3)]
    assert load_agent("e2e", game="breakout", train_seed=3).abilities.train_seed == 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("e2", "breakout", 0), UnknownNameError, r"Unknown agent 'e2'. Did you mean 'e2e'\? .*for 'breakout'"),
        (
            ("wsa", "breakout", 0),
            CheckpointError,
            r"'wsa' is not trained on 'breakout'. Trained there: e2e\. .* --agent wsa --game breakout",
        ),
        (
            ("e2e", "breakout", 1),
            CheckpointError,
            r"no train seed 1. Allowed: 0, 3. Play those \(`--train-seeds 0,3`\), or",
        ),
        (
            ("e2e", "pong", 0),
            CheckpointError,
            r"No trained agents for 'pong' are here. .*agents fetch --game pong.*wsabench train",
        ),
        (("e2e", None, 0), SpecError, r"needs one, for example game='breakout'"),
    ],
)
def test_agents_that_are_not_shipped(shipped: Path, arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_agent(*arguments)


def test_the_values_weight_of_an_old_agent_is_read_as_that_of_the_whole_error(tmp_path: Path) -> None:
    path = tmp_path / "e2e.safetensors"
    meta = describe(E2E, training={"name": "compact", "value_coefficient": 0.5})
    weights = build_agent(E2E, 4, seed=9).state_dict()
    for save, weight in ((save_old_agent, 0.25), (save_checkpoint, 0.5)):
        save(path, weights, meta)
        assert read_checkpoint(path).meta.training == {"name": "compact", "value_coefficient": weight}


STRANGE: tuple[Any, ...] = (None, True, -1, 0, 2**63, 2**64, 1.5, "", "x", [], {}, [0], [2**62, 2**62], "F8_E4M3")


def test_no_header_gives_a_traceback(tmp_path: Path) -> None:
    content = save_e2e(tmp_path / "good.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    path, rng, refused = tmp_path / "agent.safetensors", np.random.default_rng(0), 0
    tensor = next(name for name in json.loads(content[8 : 8 + size]) if name != "__metadata__")
    places = [("agent", key) for key in json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["agent"])]
    places += [("spec", key) for key in ("name", "kind", "preset", "width")] + [("header", "__metadata__")]
    places += [(tensor, key) for key in ("dtype", "shape", "data_offsets")] + [("header", tensor), ("length", "")]
    for number in range(90):
        header, length = json.loads(content[8 : 8 + size]), None
        (part, key), value = places[number % len(places)], STRANGE[rng.integers(len(STRANGE))]
        match part:
            case "agent" | "spec":
                told = json.loads(header["__metadata__"]["agent"])
                (told if part == "agent" else told["spec"])[key] = value
                told.pop(HEADER_HASH, None)
                told[HEADER_HASH] = json_hash(told)  # a lie, not damage
                header["__metadata__"]["agent"] = json.dumps(told, sort_keys=True)
            case "header":
                header[key] = value
            case "length":
                length = (0, 1, 2**63, 2**64 - 1)[number % 4]
            case _:
                header[part][key] = value
        text = json.dumps(header).encode()
        start = (len(text) if length is None else length).to_bytes(8, "little")
        path.write_bytes(start + text + content[8 + size :])
        try:
            load_agent(str(path))
        except WsabenchError as error:
            assert str(path) in str(error)  # noqa: PT017 - a header may say the same as before
            refused += 1
    assert refused > 60
