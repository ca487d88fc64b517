"""Domain randomisation: what is drawn, what is left out, and that it is what is played."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wsabench import make_vec
from wsabench.agents import load_spec, read_checkpoint
from wsabench.errors import SpecError, UnknownNameError
from wsabench.processes import single_thread
from wsabench.protocol import Protocol
from wsabench.training.curve import WALL_COLUMNS
from wsabench.training.lanes import TrainingLanes
from wsabench.training.presets import PPOPreset
from wsabench.training.randomisation import make_randomisation
from wsabench.training.run import TrainingPlan, build_trainer, make_training_envs


def test_nothing_asked_for_is_nothing_drawn() -> None:
    assert make_randomisation("breakout") is None


def test_a_suite_gives_its_cells_and_names_what_it_leaves_out() -> None:
    made = make_randomisation("breakout", suite="full")
    assert made is not None
    assert "hue-rotate@3" in made.perturbations
    assert "clean" not in made.perturbations
    left_out = dict(made.left_out)
    assert left_out, "the full suite has cells of the agent's encoders"
    assert all(name not in made.perturbations for name in left_out)
    assert any("changes the agent's encoders" in reason for reason in left_out.values())
    assert made.to_dict()["left_out"] == left_out


def test_draws_have_the_stated_shares_and_depend_on_lane_and_game_only() -> None:
    made = make_randomisation("breakout", perturbations=["hue-rotate@2", "value@3", "clean"], clean_share=0.4)
    assert made is not None
    draw = made.draw(7)
    drawn = [draw(lane, game) for lane in range(40) for game in range(50)]
    shares = {name: drawn.count(name) / len(drawn) for name in set(drawn)}
    assert shares == pytest.approx({"clean": 0.4, "hue-rotate@2": 0.3, "value@3": 0.3}, abs=0.04)
    again = made.draw(7)
    assert [again(lane, game) for game in range(50) for lane in range(40)] == [
        draw(lane, game) for game in range(50) for lane in range(40)
    ]
    assert [made.draw(8)(lane, 0) for lane in range(40)] != [draw(lane, 0) for lane in range(40)]


def test_no_clean_games_are_played_when_none_are_wanted() -> None:
    made = make_randomisation("breakout", perturbations=["value@3"], clean_share=0.0)
    assert made is not None
    assert {made.draw(0)(lane, 0) for lane in range(50)} == {"value@3"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"suite": "color-shift", "perturbations": ["value@3"]}, "A suite and perturbations are given"),
        ({"clean_share": 0.5}, "clean_share is given without perturbations"),
        ({"perturbations": ["value@3"], "clean_share": 1.0}, "clean_share is 1.0. Allowed: from 0 to below 1"),
        ({"perturbations": ["value@3"], "clean_share": -0.1}, "clean_share is -0.1"),
        ({"perturbations": ["value@7"]}, "severity is 7. Allowed: integers 1 to 5"),
        ({"perturbations": ["lazy-enemy"]}, "Cannot train on breakout under lazy-enemy: .* Leave it out"),
        ({"perturbations": ["clean"]}, "Nothing is left to randomise breakout by: clean"),
        ({"suite": "encoder-dropout"}, "Nothing is left to randomise breakout by: .* Give perturbations that change"),
    ],
)
def test_wrong_choices_are_explained(arguments: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make_randomisation("breakout", **arguments)


def test_unknown_suites_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'color-shift'"):
        make_randomisation("breakout", suite="colour-shift")


def test_a_game_keeps_its_perturbation_over_lost_lives_and_the_next_gets_its_own() -> None:
    made = make_randomisation("breakout", perturbations=["value@3", "hue-rotate@2"], clean_share=0.3)
    assert made is not None
    envs = make_vec("breakout", 3, protocol=Protocol.training(), autoreset_mode="disabled")
    draw, games = made.draw(0), np.zeros(3, int)
    lanes = TrainingLanes(envs, 0, draw)
    lanes.start()
    generator = np.random.default_rng(0)
    seen = set()
    for _ in range(450):
        assert envs.perturbation_names == [draw(lane, int(games[lane])) for lane in range(3)]
        seen.update(envs.perturbation_names)
        lanes.step(generator.integers(envs.single_action_space.n, size=3))
        games = lanes.state()["games"]
    assert games.min() >= 1
    assert seen == {"clean", "value@3", "hue-rotate@2"}


def curve(directory: Path, num_workers: int, stop: int | None = None) -> pd.DataFrame:
    """Train a little on the emulator under perturbations of every kind; with `stop` in two goes."""
    preset = PPOPreset(
        name="t", total_steps=96, num_envs=3, rollout_steps=16, minibatch_size=24, epochs=1, checkpoint_updates=1
    )
    names = ["hue-rotate@2", "gaussian-noise@2", "sticky-actions@3"]
    plan = TrainingPlan(
        spec=dataclasses.replace(load_spec("e2e"), width=16),
        preset=preset,
        game="breakout",
        train_seed=0,
        randomisation=make_randomisation("breakout", perturbations=names),
    )
    directory.mkdir()
    with single_thread():
        for last in [stop, preset.num_updates] if stop else [preset.num_updates]:
            envs = make_training_envs("breakout", 3, num_workers=num_workers)
            trainer = build_trainer(plan, envs, None, directory)
            if trainer.checkpoint_path.is_file():
                trainer.resume()
            else:
                trainer.start()
            while trainer.update < last:
                trainer.run_and_record()
            envs.close()
    return pd.read_csv(directory / "curve.csv").drop(columns=list(WALL_COLUMNS))


@pytest.mark.parametrize("num_workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_workers_and_interruptions_do_not_change_a_randomised_curve(num_workers: int, tmp_path: Path) -> None:
    alone = curve(tmp_path / "alone", 0)
    pd.testing.assert_frame_equal(curve(tmp_path / "workers", num_workers), alone, check_exact=True)
    pd.testing.assert_frame_equal(curve(tmp_path / "twice", 0, stop=1), alone, check_exact=True)
    training = read_checkpoint(tmp_path / "alone" / "agent.safetensors").meta.training
    assert training["algorithm"] == "ppo"
    assert [name for name, _ in training["randomisation"]["perturbations"]] == [
        "hue-rotate@2",
        "gaussian-noise@2",
        "sticky-actions@3",
    ]
    assert training["randomisation"]["clean_share"] == 0.2
