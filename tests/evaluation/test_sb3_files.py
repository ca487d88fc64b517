"""Agents that Stable-Baselines3 trained and saved, of two games and two train seeds, through every door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wsabench
from wsabench.cli import main
from wsabench.errors import CheckpointError, SpecError
from wsabench.evaluation import run
from wsabench.protocol import Protocol
from wsabench.results.manifest import read_manifest
from wsabench.results.result import load_result

pytestmark = [pytest.mark.extra, pytest.mark.e2e]
PATTERN = "mine=sb3:ckpt/{game}/seed{train_seed}.zip"
ODD = "lr=0.001, seed=1/my model.zip"
SHORT: dict[str, Any] = {"perturbations": ["clean"], "episodes": 1, "workers": 0}
SHORT_GAME, STICKY = {"max_frames": 120}, {"sticky_probability": 0.25}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import ale_py
    import gymnasium
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    gymnasium.register_envs(ale_py)
    folder = tmp_path_factory.mktemp("trained")
    files = {
        f"ckpt/{game}/seed{seed}.zip": (f"{name}NoFrameskip-v4", seed)
        for game, name in (("breakout", "Breakout"), ("pong", "Pong"))
        for seed in (0, 1)
    }
    files["ALE-Breakout-v5/ppo.zip"] = ("ALE/Breakout-v5", 0)
    for file, (name, seed) in files.items():
        envs = VecFrameStack(make_atari_env(name, n_envs=2, seed=seed), n_stack=4)
        model: Any = PPO("CnnPolicy", envs, n_steps=32, batch_size=64, n_epochs=1, seed=seed, device="cpu")
        model.learn(64).save(folder / file)
    (folder / ODD).parent.mkdir()
    (folder / ODD).write_bytes((folder / "ckpt/breakout/seed1.zip").read_bytes())
    return folder


@pytest.fixture(autouse=True)
def there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


def test_a_pattern_plays_all_games_and_train_seeds_under_a_named_protocol(tmp_path: Path) -> None:
    words = ["run", "--agents", PATTERN, "--games", "breakout,pong", "--perturbations", "clean", "--episodes", "1"]
    assert main([*words, "--protocol", "sb3", "--sticky", "0.25", "--workers", "2", "--out", str(tmp_path / "a")]) == 0
    manifest = read_manifest(tmp_path / "a")
    assert manifest.plan.protocol == Protocol.named("sb3").with_changes(sticky_probability=0.25)
    found = sorted((one.game, one.train_seed, one.view) for one in manifest.plan.agents)
    assert found == [(game, seed, {}) for game in ("breakout", "pong") for seed in (0, 1)]
    assert len({one.checkpoint_hash for one in manifest.plan.agents}) == 4
    assert len(load_result(tmp_path / "a").episodes) == 4


def test_without_a_protocol_each_is_seen_as_it_was_trained_and_what_is_set_by_hand_goes_over_it(tmp_path: Path) -> None:
    protocol = {**SHORT_GAME, **STICKY}
    result = run(agents=[PATTERN, "random"], games=["breakout", "pong"], out=tmp_path, protocol=protocol, **SHORT)
    mine = [one for one in result.manifest.plan.agents if one.agent == "mine"]
    assert [(one.game, one.train_seed) for one in mine] == [(g, s) for g in ("breakout", "pong") for s in (0, 1)]
    assert all((one.view["start"], one.view["luminance"]) == ("steps", "maximum") for one in mine)
    assert all("sticky_probability" not in one.view for one in mine)  # it is the run's
    assert result.manifest.plan.protocol.sticky_probability == 0.25


def test_an_environment_that_skips_and_sticks_by_itself_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--games", "breakout", "--perturbations", "clean", "--episodes", "1", "--workers", "0"]
    assert main(["run", "-a", "mine=sb3:ALE-Breakout-v5/ppo.zip", *words, "--out", str(tmp_path / "a")]) == 0
    (one,) = read_manifest(tmp_path / "a").plan.agents
    assert (one.view["frame_skip"], one.view["sticky_probability"], one.view["pool_gap"]) == (16, 0.25, 4)
    told = capsys.readouterr().err.replace("\n", " ")
    assert "note: mine: ALE/Breakout-v5 skips 4 frames" in told
    assert "it is played at 16 frames a step" in told


def test_an_existing_path_with_commas_equals_signs_and_spaces_is_played(tmp_path: Path) -> None:
    words = ["--games", "breakout", "--perturbations", "clean", "--episodes", "1", "--workers", "0"]
    assert main(["run", "-a", f"sb3:{ODD},mine=sb3:{ODD},noop", *words, "--out", str(tmp_path / "a")]) == 0
    agents = read_manifest(tmp_path / "a").plan.agents
    assert sorted((one.agent, one.source) for one in agents) == [
        ("mine", f"sb3:{ODD}"),
        ("my-model", f"sb3:{ODD}"),
        ("noop", "noop"),
    ]


@pytest.mark.parametrize(
    ("agent", "game", "message"),
    [
        (ODD, "breakout", rf"is a model of Stable-Baselines3\. Write 'sb3:{ODD}'"),
        ("ckpt/pong/seed0.zip", "pong", r"Stable-Baselines3\. Write sb3:ckpt/pong/seed0\.zip\."),
        (
            "sb3:ckpt/breakout/seed0.zip",
            "pong",
            r"'seed0' was trained with 4 actions; pong has 6 .*full_action_space is",
        ),
        (PATTERN, "qbert", r"finds nothing for qbert: tried sb3:ckpt/qbert/seed\{train_seed\}\.zip"),
        ("sb3:ALE-Breakout-v5/ppo.zip", "pong", r"was trained on ALE-Breakout-v5, not on pong|ALE/Breakout-v5, not on"),
    ],
)
def test_what_cannot_be_played_is_refused_before_the_first_frame(
    agent: str, game: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises((CheckpointError, SpecError), match=message):
        run(agents=[agent], games=[game], out=tmp_path / "a", **SHORT)
    assert not (tmp_path / "a").exists()


def test_in_python_a_factory_a_list_and_one_object(tmp_path: Path) -> None:
    def make_agent(game: str, train_seed: int) -> object:
        return wsabench.load_agent(f"sb3:ckpt/{game}/seed{train_seed}.zip", game=game)

    one = make_agent("breakout", 1)
    agents = {"made": make_agent, "listed": [make_agent("breakout", 0), one], "one": one}
    result = run(agents=agents, games="breakout", train_seeds=[0, 1], out=tmp_path, protocol=SHORT_GAME, **SHORT)
    found = {(one.agent, one.train_seed): one.checkpoint_hash for one in result.manifest.plan.agents}
    assert sorted(found) == [("listed", 0), ("listed", 1), ("made", 0), ("made", 1), ("one", 0)]
    assert found["made", 0] == found["listed", 0] != found["made", 1]
    assert found["made", 1] == found["listed", 1] == found["one", 0]
    assert all(one.view["start"] == "steps" for one in result.manifest.plan.agents)
    with pytest.raises(SpecError, match=r"'one' was trained with 4 actions; pong has 6"):
        run(agents={"one": one}, games=["breakout", "pong"], out=tmp_path / "no", **SHORT)
    with pytest.raises(CheckpointError, match=r"ckpt/qbert/seed0\.zip does not exist"):
        run(agents={"made": make_agent}, games="qbert", out=tmp_path / "no", **SHORT)
