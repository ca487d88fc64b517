"""Every patch that claims to make its game easier was shown to by paired random play, as `docs/easier.csv` says.

`benchmarks/easier_patches.py` measures; the slow tests do it again, the others hold the table against the catalogue.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from wsabench.errors import SpecError
from wsabench.games import catalogue_games, load_game
from wsabench.games.records import Game, RandomPlay

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import easier_patches as easier  # noqa: E402, a script beside the package

pytestmark = pytest.mark.oracle

GAMES = [load_game(game) for game in catalogue_games()]
CLAIMS = [(game.id, patch.name) for game in GAMES for patch in game.easier_patches]
TABLE = {(row["game"], row["patch"]): row for row in easier.read_rows(ROOT / "docs" / "easier.csv")}


def test_the_bound_is_that_of_students_t():
    # Mean 2, standard deviation 1, t(0.95; 2) = 2.919986: 2 - 2.919986 / sqrt(3).
    assert easier.lower_bound(np.array([1.0, 2.0, 3.0])) == pytest.approx(0.314145, abs=1e-6)
    assert easier.lower_bound(np.full(100, 0.5)) == 0.5


def test_the_bound_lies_above_the_mean_of_no_effect_in_a_twentieth_of_cases():
    rng = np.random.default_rng(0)
    share = np.mean([easier.lower_bound(rng.normal(size=100)) > 0 for _ in range(4000)])
    assert 0.04 < share < 0.06


def test_every_claim_was_shown_and_nothing_else_is_in_the_table():
    assert list(TABLE) == [(game, name.replace("_", "-")) for game, name in CLAIMS]
    for game in GAMES:
        for patch in game.easier_patches:
            row = TABLE[game.id, patch.perturbation]
            wanted = easier.conditions(patch, game, easier.Player())
            assert int(wanted["episodes"]) >= 100
            assert easier.is_current(row, wanted), (
                f"{row}: run python benchmarks/easier_patches.py --out docs/easier.csv"
            )
            assert float(row["bound"]) > 0
            assert row["holds"] == "yes"


def test_both_arms_play_the_same_game_where_nothing_is_changed():
    play = easier.random_play(load_game("pong"))
    first, second = (easier.play_arm("pong", easier.CLEAN, 60, range(3), play) for _ in range(2))
    for measure in easier.MEASURES:
        assert not first.advantage(second, measure).any()
    assert first.values["points_conceded"].sum() > 0
    assert (first.values["return"] == -first.values["points_conceded"]).all()
    assert (first.values["length"] <= 60).all()


def test_a_claim_is_judged_by_what_was_played():
    """More lives keep Breakout going; with a single one it would be a false claim."""
    game = load_game("breakout")
    measurements = easier.Measurements(easier.Player(range(2)))
    assert measurements.row(game.patches["unlimited_lives"], game)["holds"] == "yes"
    row = measurements.row(game.patches["one_life"], game)
    assert row["holds"] == "no"
    assert float(row["with"]) < float(row["without"])


def test_fewer_points_conceded_are_an_advantage():
    few, many = (easier.Episodes({"points_conceded": np.array([points])}) for points in (2.0, 5.0))
    assert few.advantage(many, "points_conceded") == 3


def test_random_play_draws_from_the_named_actions_alone():
    freeway = load_game("freeway")
    assert freeway.random_play.actions == ("NOOP", "UP")
    plain = easier.play_arm("freeway", easier.CLEAN, 200, range(2), easier.random_play(freeway))
    assert plain.values["return"].sum() > 0
    wrong = Game("freeway", "Freeway", None, None, random_play=RandomPlay(actions=("LEFT",)))
    with pytest.raises(SpecError, match=r"freeway, random_play.actions: found \['LEFT'\]. Allowed: NOOP, UP, DOWN"):
        easier.random_play(wrong)


def test_a_row_that_was_measured_otherwise_is_not_current():
    game = load_game("seaquest")
    wanted = easier.conditions(game.patches["unlimited_oxygen"], game, easier.Player())
    row = wanted | easier.judge("length", *(easier.Episodes({"length": np.arange(3.0) * k}) for k in (1, 2)))
    assert tuple(row) == easier.COLUMNS
    assert easier.is_current(row, wanted)
    for key in ("content_hash", "player", "measure", "steps", "first", "episodes"):
        assert not easier.is_current(row | {key: "another"}, wanted)


def test_rows_of_other_games_stay_in_the_file(tmp_path):
    claims = [(game, name.replace("_", "-")) for game, name in CLAIMS]
    rows = {claim: dict(zip(easier.COLUMNS, [*claim, *"0123456789"], strict=False)) for claim in reversed(claims)}
    path = tmp_path / "folder" / "easier.csv"
    easier.write_rows(path, rows | {("pong", "no-such-claim"): {}})
    read = easier.read_rows(path)
    assert [(row["game"], row["patch"]) for row in read] == claims
    assert all(dict(row) == rows[row["game"], row["patch"]] | {"holds": row["holds"]} for row in read)
    assert easier.read_rows(tmp_path / "none.csv") == []


@pytest.fixture(scope="module")
def measurements():
    return easier.Measurements(easier.Player())


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("game", "name"), CLAIMS)
def test_random_play_finds_it_easier(game, name, measurements):
    record = load_game(game)
    row = measurements.row(record.patches[name], record)
    assert row["holds"] == "yes", row
    assert row == TABLE[game, name.replace("_", "-")]
