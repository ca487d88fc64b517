"""Training on another device than the CPU, as far as it can be checked without one.

Torch's `meta` device stands in: tensors there have shapes and no numbers, and torch refuses to mix them with others. So
a tensor that training creates on the CPU by mistake, where it should follow the network, is an error here.
"""

from __future__ import annotations

import contextlib
import dataclasses

import cv2
import numpy as np
import pytest
import torch
from catch import CatchVector
from fake_encoders import SHAPES, wsa_spec

from wsabench.agents import AgentSpec, build_agent, half_precision, load_spec
from wsabench.encoders import EncoderBank
from wsabench.errors import SpecError
from wsabench.processes import single_thread
from wsabench.training import DQNPreset, PPOPreset
from wsabench.training.algorithms.dqn import DQN, Batch
from wsabench.training.algorithms.ppo import PPO, Rollout
from wsabench.training.device import choose_device
from wsabench.training.lanes import TrainingLanes
from wsabench.training.player import Player

META = torch.device("meta")
SPECS = {"e2e": load_spec("e2e"), "wsa": wsa_spec()}


class MetaBank:
    def to(self, device: torch.device) -> MetaBank:
        self.device = device
        return self

    def embed(self, stack: torch.Tensor, only: object = None, inputs: object = None) -> dict[str, torch.Tensor]:
        return {name: torch.zeros(len(stack), *shape, device=stack.device).half() for name, shape in SHAPES.items()}


@pytest.fixture
def _without_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in has no half precision."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)


def player_of(spec: AgentSpec) -> Player:
    bank = None if spec.kind == "e2e" else MetaBank()
    model = build_agent(spec, 3, None if bank is None else SHAPES)
    player = Player(model, bank, TrainingLanes(CatchVector(4), 0), META)  # pyright: ignore[reportArgumentType]
    assert bank is None or bank.device == META
    return player


def all_devices(model: torch.nn.Module) -> set[str]:
    return {str(p.grad.device) for p in model.parameters() if p.grad is not None}


@pytest.mark.usefixtures("_without_autocast")
@pytest.mark.parametrize("name", SPECS)
def test_ppo_stays_on_the_networks_device(name: str) -> None:
    player = player_of(SPECS[name])
    player.lanes.start()
    preset = PPOPreset(name="t", num_envs=4, rollout_steps=3, minibatch_size=6)
    ppo = PPO(player.model, preset)
    features = player.observe()
    output = player.evaluate(features)
    rollout = Rollout(3, 4, features)
    rollout.features = {key: value.to(META) for key, value in rollout.features.items()}
    rollout.compute_advantages(output.value, 0.99, 0.95)
    for batch in rollout.minibatches(6, torch.Generator()):
        assert {tensor.device for tensor in [*batch.features.values(), *batch[1:]]} == {META}
        loss, figures = ppo._loss(batch, 0.1)
        loss.backward()
    assert {figure.device for figure in figures} == {META}
    assert all_devices(player.model) == {"meta"}


@pytest.mark.usefixtures("_without_autocast")
@pytest.mark.parametrize("name", SPECS)
def test_dqn_stays_on_the_networks_device(name: str) -> None:
    player = player_of(dataclasses.replace(SPECS[name], heads="q"))
    dqn = DQN(player.model, DQNPreset(name="t"))
    features = player.prepare(np.zeros((6, 4, 84, 84), np.uint8))
    columns = [torch.zeros(6, dtype=dtype, device=META) for dtype in (torch.int64, torch.float32, torch.bool)]
    loss, figures = dqn.loss(Batch(features, columns[0], columns[1], features, columns[2]))
    loss.backward()
    assert {figure.device for figure in figures} == {META}
    assert all_devices(player.model) == {"meta"}
    assert {parameter.device for parameter in dqn.target.parameters()} == {META}


def test_the_stand_in_would_notice_a_tensor_left_behind() -> None:
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(3, device=META) + torch.zeros(3)


def test_the_bank_moves_with_its_encoders() -> None:
    frames = torch.zeros(16, 4, 84, 84, dtype=torch.uint8)
    bank = EncoderBank.random(("okk",), "ae", seed=0, calibration_frames=frames)
    moved = bank.to(META)
    assert moved is bank
    embeddings = moved.embed(frames.to(META))
    assert {embedding.device for embedding in embeddings.values()} == {META}


def test_half_precision_follows_the_device() -> None:
    region = half_precision("cpu")
    assert (region.device, region.fast_dtype) == ("cpu", torch.bfloat16)
    with pytest.warns(UserWarning, match="CUDA") if not torch.cuda.is_available() else contextlib.nullcontext():
        assert half_precision(torch.device("cuda:0")).device == "cuda"


def test_devices_by_name() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CUDA", "", "meta"])
def test_unknown_devices_are_explained(name: str) -> None:
    with pytest.raises(SpecError, match=f"The device is '{name}'. Allowed: cpu, cuda, cuda:N, auto"):
        choose_device(name)


def test_a_missing_gpu_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SpecError, match=r"'cuda' is not available: torch .* sees no CUDA GPUs. Allowed here: cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(SpecError, match=r"'cuda:1' is not available: torch .* sees 1 CUDA GPU\."):
        choose_device("cuda:1")


def test_sums_are_added_in_one_order_and_settings_come_back() -> None:
    before = torch.get_num_threads(), cv2.getNumThreads()
    is_deterministic = torch.backends.cudnn.deterministic
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    try:
        with single_thread():
            assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
            assert torch.backends.cudnn.deterministic
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)
        assert torch.backends.cudnn.deterministic == is_deterministic
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
