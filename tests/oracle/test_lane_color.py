"""Colour shifts: the table against transforming the colours of the RGB frames one by one."""

import numpy as np
import pytest
from lane_oracle import grey_of, observe, palette_of, record_screens, transform

from wsabench.emulator import Lane
from wsabench.games import catalogue_games
from wsabench.perturb import compile_perturbation, list_perturbations, parse_perturbation
from wsabench.perturb.spec import PerturbationPart
from wsabench.protocol import Protocol

CELLS = [
    entry.name if severity is None else f"{entry.name}@{severity}"
    for entry in list_perturbations("color")
    for severity in entry.severities
]
COMPOSITIONS = ["hue-rotate@3+value@2", "value@2+hue-rotate@3", "palette-pal+contrast@2", "palette-shuffle+invert"]
NUM_STEPS = 6
PLAIN = Protocol(noop_max=0, fire_on_life_loss=False, stall_steps=0)


def changed_color(part: PerturbationPart, index: int, rgb: tuple, palette: dict) -> tuple:
    """Return the colour that one term makes of `rgb`, the colour at `index` of `palette`."""
    parameters = dict(part.parameters)
    if part.kind == "palette.hardware":
        return palette_of(parameters["standard"])[index]
    if part.kind == "palette.shuffle":
        order = np.random.Generator(np.random.PCG64(parameters["seed"])).permutation(128)
        return palette[2 * int(order[index // 2])]
    return transform(part.kind, parameters, rgb)


def split_by_color(indices: np.ndarray, colors: np.ndarray) -> list[tuple[int, tuple, np.ndarray]]:
    """Return index, colour in the RGB frames, and place of every colour of two frames."""
    areas = []
    for index in np.unique(indices):
        where = indices == index
        rgb = tuple(int(channel) for channel in colors[where][0])
        assert (colors[where] == rgb).all()
        areas.append((int(index), rgb, where))
    return areas


def slow_luminance(name: str, areas: list[tuple[int, tuple, np.ndarray]], ntsc: dict) -> np.ndarray:
    """Return the luminance frames (2, height, width) of RGB frames, colour by colour."""
    result = np.zeros(areas[0][2].shape, np.uint8)
    for index, rgb, where in areas:
        for part in parse_perturbation(name).parts:
            rgb = changed_color(part, index, rgb, ntsc)
        result[where] = grey_of(rgb)
    return result


@pytest.mark.parametrize("game", catalogue_games())
def test_every_cell_equals_the_slow_path(game):
    lane = Lane(compile_perturbation("clean", game), PLAIN, seed=0)
    actions = np.random.default_rng(2).integers(lane.num_actions, size=NUM_STEPS).tolist()
    ntsc = palette_of("NTSC")
    areas = [split_by_color(indices, colors) for indices, colors in zip(*record_screens(game, actions), strict=True)]
    for name in ["clean", *CELLS, *COMPOSITIONS]:
        lane.set_perturbation(compile_perturbation(name, game))
        lane.reset(0)
        for step, action in enumerate(actions):
            lane.step(action)
            if step in (1, NUM_STEPS - 1):
                expected = observe(slow_luminance(name, areas[step], ntsc))
                assert np.array_equal(lane.observation[-1], expected), (game, name, step)


@pytest.mark.parametrize("game", catalogue_games())
def test_a_table_changes_nothing_but_the_observation(game):
    protocol = Protocol(max_frames=900)
    clean = Lane(compile_perturbation("clean", game), protocol, seed=5)
    shifted = Lane(compile_perturbation("palette-shuffle+hue-rotate@5", game), protocol, seed=5)
    clean.reset()
    shifted.reset()
    is_different = False
    for action in np.random.default_rng(3).integers(clean.num_actions, size=120).tolist():
        for lane in (clean, shifted):
            if lane.terminated or lane.truncated:
                lane.reset()
            else:
                lane.step(action)
        assert np.array_equal(clean.ram(), shifted.ram())
        assert np.array_equal(clean.screen(), shifted.screen())
        for name in ("reward", "terminated", "truncated", "end", "lives", "life_lost", "episode_return", "num_frames"):
            assert getattr(clean, name) == getattr(shifted, name), name
        is_different |= not np.array_equal(clean.observation, shifted.observation)
    assert is_different


def test_render_shows_the_changed_colors():
    lane = Lane(compile_perturbation("invert", "breakout"), PLAIN, seed=0)
    lane.reset()
    inverted = lane.render()
    lane.set_perturbation(compile_perturbation("clean", "breakout"))
    assert np.array_equal(inverted, 255 - lane.render())
    assert np.array_equal(lane.render(), lane.console.ale.getScreenRGB())
