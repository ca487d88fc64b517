"""Colour shifts: the table against transforming the colours of the RGB frames one by one."""

import numpy as np
import pytest
from lane_oracle import grey_of, observe, palette_of, record_screens, transform

from wsabench.emulator import Lane
from wsabench.games import catalogue_games, load_game
from wsabench.perturb import compile_perturbation, list_perturbations, parse_perturbation
from wsabench.perturb.spec import PerturbationPart
from wsabench.protocol import Protocol
from wsabench.seeding import generator

pytestmark = pytest.mark.oracle

CELLS = [
    entry.name if severity is None else f"{entry.name}@{severity}"
    for entry in list_perturbations("color")
    if entry.kind.startswith("palette.")
    for severity in entry.severities
]
COMPOSITIONS = [
    "hue-rotate@3+value@2",
    "value@2+hue-rotate@3",
    "palette-pal+contrast@2",
    "palette-shuffle+invert",
    "gamma@2+strobe@5+recolor-black",
    "random-palette+strobe@4+hue-rotate@2",
]
EVERY_SEVERITY = ("breakout", "ms_pacman", "pong")
"""Games in which all cells are compared; the others have severity 5 and what has no scale."""
NUM_STEPS = 4
SEED = 0
PLAIN = Protocol(noop_max=0, fire_on_life_loss=False, stall_steps=0)


def fits(name: str, game: str) -> bool:
    """Whether a game has what a perturbation recolours."""
    for part in parse_perturbation(name).parts:
        objects = dict(part.parameters).get("objects")
        if objects and not set(objects) & set(load_game(game).objects):
            return False
    return True


def drawn(place: int) -> np.random.Generator:
    """Return the generator that the lane has for the part at a place of the composition."""
    return generator(SEED, "perturbation", place, 0)


def order_of(part: PerturbationPart, place: int, frame: int) -> np.ndarray | None:
    """Return which of the 128 colours stands where, for parts that move colours."""
    parameters = dict(part.parameters)
    if part.kind == "palette.shuffle":
        return np.random.Generator(np.random.PCG64(parameters["seed"])).permutation(128)
    if part.kind == "palette.strobe":
        own = drawn(place)
        for _ in range(1 + frame // parameters["period"]):
            order = own.permutation(128)
        return order
    return None


def color_at(parts: tuple[PerturbationPart, ...], index: int, frame: int, game: str) -> tuple[int, int, int]:
    """Return the colour that an index shows in an emulated frame, after all parts."""
    if not parts:
        return palette_of("NTSC")[index]
    *before, part = parts
    before, place, parameters = tuple(before), len(parts) - 1, dict(part.parameters)
    order = order_of(part, place, frame)
    if order is not None:
        return color_at(before, 2 * int(order[index // 2]), frame, game)
    if part.kind == "palette.hardware":
        return palette_of(parameters["standard"])[index]
    if part.kind == "palette.random":
        return tuple(drawn(place).integers(0, 256, size=(128, 3), dtype=np.uint8)[index // 2].tolist())
    if part.kind in ("palette.recolor", "palette.recolor_index"):
        objects = load_game(game).objects
        painted = {i for name in parameters.get("objects", ()) for i in objects.get(name, ())}
        painted |= {parameters["index"]} if "index" in parameters else set()
        if index in painted:
            return tuple(bytes.fromhex(parameters["color"].lstrip("#")))
        return color_at(before, index, frame, game)
    return transform(part.kind, parameters, color_at(before, index, frame, game))


def slow_luminance(name: str, screen: np.ndarray, frame: int, game: str) -> np.ndarray:
    """Return the luminance (height, width) of a screen of palette indices, colour by colour."""
    parts = parse_perturbation(name).parts
    result = np.zeros(screen.shape, np.uint8)
    for index in np.flatnonzero(np.bincount(screen.ravel(), minlength=256)):
        result[screen == index] = grey_of(color_at(parts, int(index), frame, game))
    return result


def test_the_emulators_colors_are_those_of_the_palette():
    for screens, colors in zip(*record_screens("breakout", [0, 1, 2]), strict=True):
        for index in np.unique(screens):
            assert (colors[screens == index] == palette_of("NTSC")[int(index)]).all()


@pytest.mark.parametrize("game", catalogue_games())
def test_every_cell_equals_the_slow_path(game):
    lane = Lane(compile_perturbation("clean", game), PLAIN, seed=SEED)
    actions = np.random.default_rng(2).integers(lane.num_actions, size=NUM_STEPS).tolist()
    screens, _ = record_screens(game, actions)
    cells = CELLS if game in EVERY_SEVERITY else [name for name in CELLS if "@" not in name or name.endswith("@5")]
    for name in ["clean", *cells, *COMPOSITIONS]:
        if not fits(name, game):
            continue
        lane.set_perturbation(compile_perturbation(name, game))
        lane.reset(SEED)
        for step, action in enumerate(actions):
            lane.step(action)
            if step in (0, NUM_STEPS - 1):
                frames = (4 * step + 3, 4 * step + 4)  # the last two of the step, counted from 1
                pair = [slow_luminance(name, *shown, game) for shown in zip(screens[step], frames, strict=True)]
                assert np.array_equal(lane.observation[-1], observe(np.stack(pair))), (game, name, step)


@pytest.mark.parametrize("period", [1, 3, 4, 5, 8])
def test_a_strobe_changes_after_every_period_to_the_frame(period, monkeypatch):
    from wsabench.perturb import drawn as drawn_colors
    from wsabench.perturb.color.operators import Strobe
    from wsabench.perturb.compiling import Placed

    tables = {}
    original = drawn_colors.DrawnColors.move_to

    def record(self, frame):
        original(self, frame)
        tables[frame] = self.luminance.copy()

    monkeypatch.setattr(drawn_colors.DrawnColors, "move_to", record)
    colors = drawn_colors.DrawnColors([Placed(0, Strobe(period))], "pong", drawn)
    for frame in range(1, 25):
        colors.move_to(frame)
    for frame in range(1, 25):
        is_same = np.array_equal(tables[frame], tables[frame - 1])
        assert is_same == (frame % period != 0), (frame, period)


def test_random_colors_differ_between_episodes_and_not_between_runs():
    lane = Lane(compile_perturbation("random-palette", "breakout"), PLAIN, seed=SEED)
    shown = []
    for seed in (1, 2, 1):
        lane.reset(seed)
        shown.append(lane.observation.copy())
    lane.reset()  # the next game of the same seed
    shown.append(lane.observation.copy())
    assert np.array_equal(shown[0], shown[2])
    for other in (1, 3):
        assert not np.array_equal(shown[0], shown[other])


@pytest.mark.parametrize("game", catalogue_games())
def test_a_table_changes_nothing_but_the_observation(game):
    protocol = Protocol(max_frames=150)
    clean = Lane(compile_perturbation("clean", game), protocol, seed=5)
    shifted = Lane(compile_perturbation("palette-shuffle+hue-rotate@5+strobe@5", game), protocol, seed=5)
    clean.reset()
    shifted.reset()
    is_different = False
    for action in np.random.default_rng(3).integers(clean.num_actions, size=50).tolist():
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


def test_render_shows_the_drawn_colors():
    lane = Lane(compile_perturbation("strobe@5", "breakout"), PLAIN, seed=SEED)
    lane.reset()
    for step in range(1, 4):
        lane.step(0)
        parts = parse_perturbation("strobe@5").parts
        for index in np.unique(lane.screen()):
            assert (lane.render()[lane.screen() == index] == color_at(parts, int(index), 4 * step, "breakout")).all()
