"""The peers of `wsabench bench train`: Stable-Baselines3's PPO, as it comes and with a plain WSA features extractor."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wsabench.agents import AgentSpec
from wsabench.training.presets import PPOPreset

if TYPE_CHECKING:
    from stable_baselines3 import PPO

CNN_PEER = "stable-baselines3 PPO"
WSA_PEER = "stable-baselines3 PPO, plain WSA"

EXTRACTOR = Path(__file__).resolve().parents[2] / "benchmarks" / "sb3_wsa_extractor.py"
"""In a checkout; a wheel does not carry it."""


def peer_of(spec: AgentSpec) -> str:
    """Return the peer that does the same work as an agent; empty for none.

    The plain extractor is the paper's agent with the paper's encoders, whatever its width and heads.
    """
    if spec.kind == "e2e":
        return CNN_PEER
    shape = (spec.kind, spec.encoder_size, spec.adapter_style, spec.encoders, spec.context)
    return WSA_PEER if shape == ("wsa", "paper", "paper", ("sr", "oke", "okk", "vos"), "ae") else ""


def why_missing(peer: str) -> str:
    """Return why a peer cannot be measured here, and what to do; empty if it can."""
    if reason := missing_library(peer):
        return reason
    if peer == WSA_PEER and not EXTRACTOR.is_file():
        return f"{peer}: {EXTRACTOR.name} is not in this installation. Run the command in a checkout of the repository."
    return ""


def missing_library(peer: str) -> str:
    """Return that Stable-Baselines3 is missing, which a peer needs; empty if it is there."""
    if importlib.util.find_spec("stable_baselines3") is None:
        return f"{peer}: Stable-Baselines3 is not installed. Install it with: pip install 'wsabench[bench]'"
    return ""


def make_peer(peer: str, spec: AgentSpec, game: str, preset: PPOPreset, stack: ExitStack) -> PPO:
    """Return the peer's learner on its own lanes, those that its library makes for Atari games.

    Args:
        peer: `CNN_PEER` or `WSA_PEER`.
        spec: The agent that it is compared with.
        game: The game.
        preset: Lanes, rollout, epochs and minibatches; what costs no time stays as the library has it.
        stack: Closes the lanes.
    """
    import ale_py
    import gymnasium
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    gymnasium.register_envs(ale_py)
    title = "".join(word.capitalize() for word in game.split("_"))
    lanes = VecFrameStack(make_atari_env(f"{title}NoFrameskip-v4", preset.num_envs, seed=0), 4)
    stack.enter_context(closing(lanes))
    options: dict[str, Any] = {
        "n_steps": preset.rollout_steps,
        "batch_size": preset.minibatch_size,
        "n_epochs": preset.epochs,
        "device": "cpu",
        "seed": 0,
    }
    if peer == CNN_PEER:
        return PPO("CnnPolicy", lanes, **options)
    return _extractor_module().make_model(lanes, spec.width, list(spec.head_units), **options)


def update_of(model: PPO, preset: PPOPreset) -> Callable[[], int]:
    """Return a call that plays one rollout and learns from it."""

    def update() -> int:
        model.learn(preset.batch_size, reset_num_timesteps=False)
        return preset.batch_size

    return update


def _extractor_module() -> ModuleType:
    """Load the file of the plain extractor; it is no part of the package."""
    name = EXTRACTOR.stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXTRACTOR)
        if spec is None or spec.loader is None:
            raise ImportError(f"{EXTRACTOR} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
