"""A plan is checked before anything is played."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from wsabench.cli import main
from wsabench.errors import CheckpointError, SpecError, UnknownNameError
from wsabench.evaluation import Plan
from wsabench.evaluation.contestants import beside
from wsabench.evaluation.plan import RunOptions, default_agents, make_plan
from wsabench.protocol import Protocol
from wsabench.resources import data_dir
from wsabench.results.provenance import UNHASHED
from wsabench.seeding import evaluation_seed
from wsabench.types import Abilities, EncoderRoster

SMOKE = ("clean", "hue-rotate@3", "palette-pal", "gaussian-noise@3", "sticky-actions@2", "zero-all", "right-drift")
THREE = Path(__file__).parents[1] / "three_cells.toml"


def still(observations: np.ndarray) -> np.ndarray:
    return np.zeros(len(observations), dtype=np.int64)


class Versioned:
    version = "1"
    name = "versioned"

    def act(self, observations: np.ndarray, lanes: Any) -> np.ndarray:
        return np.zeros(len(observations), dtype=np.int64)


def plan_of(**options: Any) -> Plan:
    return make_plan(RunOptions(**{"suite": "smoke", "agents": {"still": still}, **options}))


def test_defaults_are_the_suites() -> None:
    plan = plan_of()
    assert plan.games == ("breakout",)
    assert plan.perturbations == SMOKE
    assert plan.num_episodes == 2
    assert plan.protocol.max_frames == 2_000
    assert [(job.family, job.bare_name, job.severity) for job in plan.jobs] == [
        ("clean", "clean", None),
        ("color", "hue-rotate", 3),
        ("color", "palette-pal", None),
        ("corruption", "gaussian-noise", 3),
        ("dynamics", "sticky-actions", 2),
        ("dynamics", "right-drift", None),
    ]
    assert plan.effects["breakout"].keys() == {"hue-rotate@3", "palette-pal", "gaussian-noise@3"}


def test_a_suite_may_name_its_agents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own_suite_policy.py").write_text(
        "import numpy as np\ndef still(o):\n    return np.zeros(len(o), int)\n"
    )
    suite = tmp_path / "named.toml"
    suite.write_text(f'agents = ["r=random", "own_suite_policy:still"]\n{THREE.read_text()}')
    words = ["run", "--suite", str(suite), "--perturbations", "clean", "--episodes", "1", "--workers", "0", "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)  # the module of such an agent is found there as that of one behind --agents
        assert main([*words, "--out", "out"]) == 0
    assert {row["agent"] for row in json.loads(capsys.readouterr().out)["mean_returns"]} == {"r", "still"}
    assert [one.name for one in plan_of(suite=suite).contestants] == [
        "still"
    ]  # what the user names stands in their place
    assert default_agents("smoke") == ("wsa", "e2e")


def test_paths_of_a_suites_agents_count_from_its_folder_and_messages_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, elsewhere = tmp_path / "suites", tmp_path / "elsewhere"
    (folder / "ckpt").mkdir(parents=True)
    elsewhere.mkdir()
    shutil.copy(data_dir("baselines") / "breakout" / "e2e-seed0.safetensors", folder / "ckpt" / "mine.safetensors")
    suite = folder / "named.toml"
    suite.write_text(f'agents = ["mine=ckpt/mine.safetensors", "e2e", "random"]\n{THREE.read_text()}')
    monkeypatch.chdir(elsewhere)
    options: dict[str, Any] = {"agents": None, "perturbations": ["clean"], "episodes": 1}
    plan = plan_of(suite="../suites/named.toml", **options)
    assert [one.name for one in plan.contestants] == ["mine", "e2e", "random"]
    assert plan.contestants[0].reference == "../suites/ckpt/mine.safetensors"
    suite.write_text(f'agents = ["mine=ckpt/gone.zip"]\n{THREE.read_text()}')
    for words in ([], ["--dry-run"]):
        assert main(["run", "--suite", str(suite), "--workers", "0", *words]) == 2
        told = capsys.readouterr().err
        assert f"error: {suite}, agents: There is no file {folder}/ckpt/gone.zip." in told
    assert main(["run", "--suite", str(suite), "--workers", "0", "-a", "mine=ckpt/gone.zip"]) == 2
    assert "error: There is no file ckpt/gone.zip." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("e2e", "e2e"),
        ("mine=wsa", "mine=wsa"),
        ("own.module:policy", "own.module:policy"),
        ("python:own.module:make", "python:own.module:make"),
        ("hf:org/repo/file.zip", "hf:org/repo/file.zip"),
        ("mine=a.zip", "mine=s/a.zip"),
        ("sb3:ckpt/{game}.zip", "sb3:s/ckpt/{game}.zip"),
        ("mine=sb3:ckpt/{game}/seed{train_seed}", "mine=sb3:s/ckpt/{game}/seed{train_seed}"),
        ("./trained", "s/trained"),
        ("/there/a.zip", "/there/a.zip"),
        ("n=cleanrl:~/a.pt", "n=cleanrl:~/a.pt"),
        ("lr=0.1/agent.safetensors", "lr=s/0.1/agent.safetensors"),
    ],
)
def test_only_paths_count_from_a_folder(reference: str, expected: str) -> None:
    assert beside(reference, Path("s")) == expected
    if reference.startswith("./"):
        assert beside(reference, Path()) == "./trained", "a folder, not an agent's name"


def test_options_replace_them() -> None:
    plan = plan_of(
        suite="color-shift",
        profile="paper",
        games=["pong"],
        episodes=3,
        perturbations=["value@2+hue-rotate@1", "clean"],
        protocol=Protocol.machado(),
        seed=4,
    )
    assert plan.games == ("pong",)
    assert plan.num_episodes == 3
    assert len(plan.jobs) == 2
    assert plan.jobs[0].severity is None
    assert plan.protocol == Protocol.machado()
    assert plan.jobs[0].episode_seeds == tuple(evaluation_seed("pong", episode, 4) for episode in range(3))


def test_episodes_are_paired_and_agents_in_any_order() -> None:
    agents = {"b": still, "a": Versioned()}
    plan = plan_of(suite=THREE, agents=agents)
    turned = plan_of(suite=THREE, agents=dict(reversed(agents.items())))
    assert len({job.episode_seeds for job in plan.jobs}) == 1
    assert [job.agent for job in plan.jobs] == ["a"] * 3 + ["b"] * 3
    assert plan.jobs == turned.jobs
    assert plan.identity() == turned.identity()
    assert [entry.agent for entry in plan.recorded().agents] == ["b", "a"]


def test_fingerprints_tell_jobs_apart_but_not_names() -> None:
    plan = plan_of(suite=THREE, agents={"a": Versioned(), "b": Versioned()})
    by_agent = {name: [job.fingerprint for job in plan.jobs if job.agent == name] for name in ("a", "b")}
    assert len(set(by_agent["a"])) == 3
    assert by_agent["a"] == by_agent["b"]
    others = [plan_of(seed=1), plan_of(episodes=3), plan_of(protocol=Protocol()), plan_of(agents=Versioned())]
    assert len({one.jobs[0].fingerprint for one in [plan_of(), *others]}) == 5


def test_own_policies_have_names_and_hashes() -> None:
    plan = plan_of(agents=[still, Versioned()])
    assert [(one.name, one.kind, one.train_seed) for one in plan.contestants] == [
        ("still", "object", 0),
        ("versioned", "object", 0),
    ]
    assert plan.contestants[0].checkpoint_hash == UNHASHED
    assert plan.contestants[1].checkpoint_hash != UNHASHED
    assert not plan.contestants[0].can_travel


def test_a_lambda_is_an_agent() -> None:
    plan = plan_of(agents=lambda observations: [0] * len(observations))
    assert plan.contestants[0].name == "callable"


def test_a_cell_of_the_suite_that_cannot_be_seen_is_left_out() -> None:
    plan = plan_of(suite=THREE, games=["asteroids", "breakout"])
    assert plan.refused == {"asteroids": ("hue-rotate@3", "palette-pal")}
    assert [(job.game, job.perturbation) for job in plan.jobs] == [
        ("asteroids", "clean"),
        ("breakout", "clean"),
        ("breakout", "hue-rotate@3"),
        ("breakout", "palette-pal"),
    ]
    assert plan.recorded().refused == {"asteroids": ("hue-rotate@3", "palette-pal")}


def test_a_cell_that_the_user_names_must_be_seen() -> None:
    with pytest.raises(SpecError, match=r"hue-rotate@3 in asteroids changes the observation by 0\.\d+ grey levels"):
        plan_of(games=["asteroids"], perturbations=["clean", "hue-rotate@3"])


def test_a_cell_of_the_suite_that_a_game_cannot_have_is_left_out_with_the_reason(tmp_path: Path) -> None:
    suite = tmp_path / "own.toml"
    head = 'summary = "s"\ngames = ["pong", "breakout"]\nperturbations = ["mode-4", "lazy-enemy"]\npatches = 1\n'
    suite.write_text(head + "[profiles.quick]\ntrain_seeds = [0]\nepisodes = 1\n")
    plan = plan_of(suite=suite)
    assert [(job.game, job.perturbation) for job in plan.jobs] == [
        ("breakout", "clean"),
        ("breakout", "mode-4"),
        ("breakout", "right-drift"),
        ("pong", "clean"),
        ("pong", "lazy-enemy"),
    ]
    misfits = plan.recorded().misfits
    assert {game: list(reasons) for game, reasons in misfits.items()} == {
        "pong": ["mode-4"],
        "breakout": ["lazy-enemy"],
    }
    assert misfits["pong"]["mode-4"].startswith("mode-4 in pong: the game has no mode 4. Games that have it: ")
    assert plan.notes() == [
        "Left out on pong, because the game cannot have them: mode-4.",
        "Left out on breakout, because the game cannot have them: lazy-enemy.",
    ]


def test_a_cell_that_the_user_names_must_fit() -> None:
    with pytest.raises(SpecError, match=r"lazy-enemy in breakout: the game has no such RAM patch. Games .*: pong"):
        plan_of(games=["pong", "breakout"], perturbations=["clean", "lazy-enemy"])


class Taking:
    """Attends to encoders, of which one can be dropped."""

    version, name = "1", "taking"
    abilities = Abilities(
        attends_to=("vos", "oke"),
        encoder_roster=EncoderRoster("taking", ("vos", "oke"), None, ("vos", "oke"), frozenset({"mask"}), 2),
    )

    def act(self, observations: np.ndarray, lanes: Any) -> Any:
        raise NotImplementedError


class Refusing(Taking):
    """Attends to encoders and knows no operations."""

    name = "refusing"
    abilities = Abilities(attends_to=("vos", "oke"))


NO_SR = "the agent 'taking' has no encoder sr: it fuses vos, oke. Leave it out."
ENCODER_CELLS = ["clean", "drop-sr", "drop-vos", "invert+drop-vos"]


def encoder_suite(folder: Path) -> Path:
    suite = folder / "own.toml"
    head = f'summary = "s"\ngames = ["pong"]\nperturbations = {ENCODER_CELLS}\n'
    suite.write_text(head + "[profiles.quick]\ntrain_seeds = [0]\nepisodes = 1\n")
    return suite


def test_encoder_changes_are_skipped_for_agents_that_cannot_take_them(tmp_path: Path) -> None:
    plan = plan_of(suite=encoder_suite(tmp_path), agents=[Taking(), Refusing(), Versioned()])
    played = [(job.agent, job.perturbation) for job in plan.jobs]
    assert played == [
        ("refusing", "clean"),
        *(("taking", name) for name in ENCODER_CELLS if name != "drop-sr"),
        ("versioned", "clean"),
    ]
    assert [msgspec.json.decode(msgspec.json.encode(one)) for one in plan.recorded().skipped] == [
        {"agent": "taking", "game": "pong", "perturbations": ["drop-sr"], "reason": NO_SR},
        {
            "agent": "refusing",
            "game": "pong",
            "perturbations": ENCODER_CELLS[1:],
            "reason": "The policy 'refusing' has no encoders that could be changed: its abilities state no "
            "encoder_roster. Leave these cells out.",
        },
        {
            "agent": "versioned",
            "game": "pong",
            "perturbations": ENCODER_CELLS[1:],
            "reason": "The agent 'versioned' has no encoders.",
        },
    ]
    assert plan.notes()[2] == (
        "Skipped for versioned on pong: drop-sr, drop-vos, invert+drop-vos. The agent 'versioned' has no encoders."
    )


def test_an_encoder_change_that_the_user_names_must_fit_agents_with_encoders() -> None:
    plan = plan_of(agents=[Taking(), still], perturbations=["drop-vos"])
    assert [(job.agent, job.perturbation) for job in plan.jobs] == [("taking", "drop-vos")]
    with pytest.raises(SpecError, match=f"drop-sr on breakout: {NO_SR}"):
        plan_of(agents=[Taking(), still], perturbations=["drop-vos", "drop-sr"])


def test_a_plan_with_nothing_to_play_is_refused() -> None:
    with pytest.raises(
        SpecError, match=r"Nothing is left to play\. Skipped for still on breakout: drop-vos\. The agent"
    ):
        plan_of(perturbations=["drop-vos"])


def test_what_cannot_be_measured_in_one_observation_is_not_refused() -> None:
    names = ["observation-delay@1", "frame-drop@1", "sticky-actions@1", "one-life", "mode-4", "recolor-background"]
    plan = plan_of(perturbations=["clean", *names])
    assert [job.perturbation for job in plan.jobs] == ["clean", *names]
    assert plan.effects["breakout"].keys() == {"recolor-background"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suite": "color-shft"}, "Unknown suite 'color-shft'. Did you mean 'color-shift'"),
        ({"profile": "quik"}, "Unknown profile of suite 'smoke' 'quik'. Did you mean 'quick'"),
        ({"games": ["brakout"]}, "Unknown game 'brakout'. Did you mean 'breakout'"),
        ({"perturbations": ["hue-rotat@3"]}, "Unknown perturbation 'hue-rotat'.*'hue-rotate'"),
        ({"agents": ["scripted:nothing"]}, "Cannot import 'scripted'"),
        ({"agents": ["test_plan:stil"]}, "no attribute 'stil'. Did you mean 'still'"),
    ],
)
def test_unknown_names(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        plan_of(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"games": ["warlords"]}, "warlords"),
        ({"perturbations": ["hue-rotate@7"]}, "severity"),
        ({"perturbations": ["palette-pal@2"]}, "palette-pal"),
        ({"perturbations": ["clean", "hue-rotate@3", "hue-rotate@3"]}, "'hue-rotate@3' is given twice"),
        ({"perturbations": []}, "No perturbation was given"),
        ({"games": ["breakout", "breakout"]}, "game 'breakout' is given twice"),
        ({"games": []}, "No game was given"),
        ({"train_seeds": [0, 0]}, "train seed 0 is given twice"),
        ({"train_seeds": [-1]}, "train seed is -1. Allowed: integers from 0"),
        ({"episodes": 0}, "number of episodes is 0. Allowed: integers from 1"),
        ({"episodes": 10**13}, "number of episodes is 10,000,000,000,000. Allowed: at most 1,000,000 in each job"),
        ({"protocol": {"frame_stack": 10**6}}, "frame_stack is 1000000. Allowed: integers from 1 to 64"),
        ({"episodes": True}, "number of episodes is True"),
        ({"seed": -1}, "seed is -1. Allowed: integers from 0"),
        ({"agents": []}, "No agent was given"),
        ({"agents": [still, still]}, "Two agents are called 'still'"),
        ({"agents": {"a b": still}}, "name 'a b' is not usable"),
        ({"agents": {"still": Versioned}}, "is a class, not a policy"),
        ({"agents": [3]}, "3 is not a policy"),
    ],
)
def test_bad_values(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        plan_of(**options)


def test_bounds_are_allowed() -> None:
    assert plan_of(episodes=1, seed=0, train_seeds=[0]).num_episodes == 1


def save_untrained(path: Path, num_actions: int = 4, game: str = "breakout") -> Path:
    from wsabench.agents import AgentMeta, build_agent, load_spec, save_checkpoint

    spec = load_spec("e2e")
    meta = AgentMeta(
        spec=spec,
        game=game,
        train_seed=3,
        num_actions=num_actions,
        steps=0,
        training={},
        encoder_hashes={},
        versions={},
    )
    save_checkpoint(path, build_agent(spec, num_actions).state_dict(), meta)
    return path


def test_a_checkpoint_says_its_name_seed_and_hash(tmp_path: Path) -> None:
    path = save_untrained(tmp_path / "mine.safetensors")
    plan = plan_of(agents=[path, f"other={path}"], train_seeds=[0, 1])
    first, second = plan.contestants
    assert (first.name, first.train_seed, first.encoders, first.can_travel) == ("e2e", 3, (), True)
    assert second.name == "other"
    assert first.checkpoint_hash == second.checkpoint_hash == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_agent_with_other_actions_is_refused(tmp_path: Path) -> None:
    path = save_untrained(tmp_path / "mine.safetensors")
    with pytest.raises(SpecError, match=r"trained with 4 actions; breakout has 18 under this protocol"):
        plan_of(agents=[path], protocol=Protocol.machado())
    with pytest.raises(SpecError, match="The agent 'mine' was trained with 4 actions"):
        plan_of(agents=[f"mine={path}"], protocol=Protocol.machado())
    with pytest.raises(CheckpointError, match="trained on 'breakout', not on 'pong'"):
        plan_of(agents=[path], games=["pong"])


def test_a_missing_or_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    with pytest.raises(CheckpointError, match=r"mine\.safetensors"):
        plan_of(agents=[str(path)])
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(CheckpointError, match=r"mine\.safetensors"):
        plan_of(agents=[f"label={path}"])
