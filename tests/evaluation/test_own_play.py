"""Embeddings of an agent's own clean play: how they are fed, kept and found again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_encoders import SHAPES, FakeBank, wsa_spec

from wsabench.agents import AgentPolicy, build_agent
from wsabench.agents.checkpoint import AgentMeta
from wsabench.errors import SpecError, StorageError
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.own_play import collection as own_play
from wsabench.evaluation.own_play.collection import collect_own_play, own_play_of
from wsabench.evaluation.own_play.file import OwnPlayContent, StoredOwnPlay, write_own_play
from wsabench.evaluation.own_play.supply import needs_own_play, with_own_play
from wsabench.evaluation.rollout import EpisodeLanes, EpisodeTask, Handout, play
from wsabench.perturb import compile_perturbation
from wsabench.perturb.encoder.masks import DropDrawn
from wsabench.perturb.encoder.own_play import OwnMeanDrawn, OwnMeanEncoders, SwapDrawn, SwapEncoders
from wsabench.protocol import Protocol
from wsabench.results.provenance import UNHASHED
from wsabench.seeding import evaluation_seed, own_play_seed
from wsabench.types import Abilities, EncoderRoster, LaneBatch

SHORT = Protocol(max_frames=60)


class Lane:
    """One lane's encoders as dictionaries."""

    fused = kept = places = ("a", "b", "c")
    context = "d"

    def __init__(self) -> None:
        self.embeddings = {name: np.full(2, 9, np.float32) for name in "abcd"}
        self.dropped: list[str] = []

    def embedding(self, name: str) -> np.ndarray:
        return self.embeddings[name].copy()

    def replace(self, name: str, embedding: np.ndarray) -> None:
        self.embeddings[name] = embedding

    def drop(self, name: str) -> None:
        self.dropped.append(name)


class Play:
    """Own play of 50 kept steps that can be told apart."""

    num_moments = 50

    def mean(self, name: str) -> np.ndarray:
        return np.full(2, -ord(name), np.float32)

    def moment(self, name: str, index: int) -> np.ndarray:
        return np.array([ord(name), index], np.float32)


def fed(operation: Any, steps: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Return the embeddings after each step of an episode."""
    state = operation.with_own_play(Play()).start(np.random.default_rng(seed))
    lanes = [Lane() for _ in range(steps)]
    for lane in lanes:
        state.apply(lane)
    return [lane.embeddings for lane in lanes]


@pytest.mark.parametrize(
    ("words", "meant"), [(("b",), "b"), (("fused",), "abc"), (("context",), "d"), (("fused", "d"), "abcd")]
)
def test_the_mean_comes_in_every_step_for_the_encoders_that_are_meant(words: tuple[str, ...], meant: str) -> None:
    for embeddings in fed(OwnMeanEncoders(words), 3):
        for name, value in embeddings.items():
            assert value.tolist() == ([-ord(name)] * 2 if name in meant else [9, 9])


def test_swapped_embeddings_are_drawn_anew_for_every_step_and_encoder() -> None:
    steps = fed(SwapEncoders(("a", "c")), 2000)
    assert all(step["b"].tolist() == step["d"].tolist() == [9, 9] for step in steps)
    assert all((step["a"][0], step["c"][0]) == (ord("a"), ord("c")) for step in steps)
    drawn = np.array([[step["a"][1], step["c"][1]] for step in steps])
    counts = [np.bincount(column.astype(int), minlength=50) for column in drawn.T]
    # 40 of each are expected; five standard deviations of a binomial count are 31.
    assert all(len(count) == 50 and abs(count - 40).max() < 31 for count in counts)
    assert np.mean(drawn[:, 0] == drawn[:, 1]) < 0.06  # 1 in 50 where both are drawn alone
    # The slow way: the lane's generator, one whole number an encoder and step.
    generator = np.random.default_rng(0)
    assert drawn.tolist() == [[generator.integers(50), generator.integers(50)] for _ in steps]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", [OwnMeanDrawn, SwapDrawn])
def test_the_drawn_encoders_are_those_that_would_be_dropped(kind: Any, seed: int) -> None:
    lane = Lane()
    DropDrawn(2).start(np.random.default_rng(seed)).apply(lane)  # pyright: ignore[reportArgumentType]
    for embeddings in fed(kind(2), 4, seed):
        assert {name for name, value in embeddings.items() if value.tolist() != [9, 9]} == set(lane.dropped)


def test_without_the_play_nothing_starts() -> None:
    names = [f"{what}-{end}" for what in ("own-mean", "swap") for end in ("sr", "one", "all", "context")]
    names.append("own-mean-attention")
    for name in names:
        (operation,) = compile_perturbation(name, "breakout").encoder_operations
        assert needs_own_play([operation])
        with pytest.raises(SpecError, match=r"needs the agent's own clean play, and none was supplied"):
            operation.start(np.random.default_rng(0))
    assert not needs_own_play(compile_perturbation("zero-sr+noise-oke", "breakout").encoder_operations)


def test_an_agent_that_lacks_the_encoder_is_refused() -> None:
    roster = EncoderRoster("it", ("a", "b"), "d", ("a", "b", "d"), frozenset(), 2)
    bound = OwnMeanEncoders(("x",)).with_own_play(Play())
    for operation in (bound, SwapEncoders(("x",))):
        with pytest.raises(SpecError, match="the agent 'it' has no encoder x: it fuses a, b; its context is d"):
            operation.check(roster)
    with pytest.raises(SpecError, match=r"3 encoders would be fed embeddings of .* only 2 .* Allowed: 0 to 2"):
        SwapDrawn(3).check(roster)
    assert OwnMeanDrawn(2).check(roster) == roster


# Playing


class FakeContestant(Contestant):
    """A tiny agent on fake encoders."""

    def load(self, action_selection: Any) -> Any:
        spec = wsa_spec()
        meta = AgentMeta(
            spec=spec,
            game="breakout",
            train_seed=0,
            num_actions=4,
            steps=0,
            training={},
            encoder_hashes=FakeBank().hashes,
            versions={},
        )
        model = build_agent(spec, 4, SHAPES, seed=0)
        return AgentPolicy(
            model,
            meta,
            checkpoint_hash="c",
            bank=FakeBank(),
            action_selection=action_selection,  # pyright: ignore
        )


def contestant(checkpoint_hash: str = "c") -> FakeContestant:
    return FakeContestant(
        "tiny",
        0,
        "breakout",
        "object",
        None,
        Abilities(checkpoint_hash=checkpoint_hash, attends_to=("vector", "map"), encoder_hashes=FakeBank().hashes),
    )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Few steps (one round has 30), kept in a folder of the test's own, which is returned."""
    monkeypatch.setenv("WSABENCH_HOME", str(tmp_path))
    monkeypatch.setattr(own_play, "MIN_STEPS", 40)
    monkeypatch.setattr(own_play, "NUM_MOMENTS", 20)
    monkeypatch.setattr(own_play, "ROUND_EPISODES", 2)
    return tmp_path / "own-play"


class Log:
    """An operation that writes every embedding down and changes nothing."""

    def __init__(self) -> None:
        self.steps: list[dict[str, np.ndarray]] = []

    def check(self, roster: Any) -> Any:
        return roster

    def start(self, generator: np.random.Generator) -> Any:
        self.generator = generator
        return self

    def apply(self, lane: Any) -> None:
        self.steps.append({name: lane.embedding(name) for name in SHAPES})


def logged(num_episodes: int) -> tuple[list[Log], np.ndarray]:
    """Return every embedding and weight of the first clean episodes, played one after the other."""
    weights: list[np.ndarray] = []
    logs = [Log() for _ in range(num_episodes)]
    lanes, policy = EpisodeLanes("breakout", SHORT), contestant().load("sampled")
    for episode, log in enumerate(logs):
        task = EpisodeTask(0, 0, own_play_seed("breakout", episode), "clean", (log,))  # pyright: ignore
        source = type("One", (), {"take": lambda _, count, task=task: Handout([task], is_last=True)})()
        play(policy, lanes, source, lambda one: weights.extend(one.steps.weights), lambda _: None, keep_steps=True)
    return logs, np.array(weights)


@pytest.mark.usefixtures("few")
def test_the_means_and_the_kept_steps_are_those_of_every_step_played_one_by_one() -> None:
    found = collect_own_play(contestant().load("sampled"), contestant(), SHORT)
    logs, weights = logged(found.num_episodes)
    steps = [step for log in logs for step in log.steps]
    assert found.num_steps == len(steps) >= 40
    assert found.num_episodes % own_play.ROUND_EPISODES == 0
    # No round was played that was not needed.
    assert sum(len(log.steps) for log in logs[: -own_play.ROUND_EPISODES]) < 40
    # The kept steps: the 20 of which each drew less than all others.
    drawn = [log.generator.random() for log in logs for _ in log.steps]
    places = sorted(np.argsort(drawn)[:20])
    for name in SHAPES:
        slow = np.mean([step[name].astype(np.float64) for step in steps], axis=0)
        assert found.means[name].dtype == np.float32
        np.testing.assert_allclose(found.means[name], slow, rtol=1e-6, atol=1e-7)
        assert found.moments[name].dtype == np.float16
        expected = np.stack([steps[place][name] for place in places]).astype(np.float16)
        np.testing.assert_array_equal(found.moments[name], expected)
    assert len(weights) == len(steps)
    slow = weights.astype(np.float64).mean(axis=0)
    assert found.attention == pytest.approx(dict(zip(("vector", "map"), slow.tolist(), strict=True)))


def test_at_least_so_many_steps_are_played_and_so_many_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WSABENCH_HOME", str(tmp_path))
    assert (own_play.MIN_STEPS, own_play.NUM_MOMENTS) == (5_000, 1_024)
    monkeypatch.setattr(own_play, "MIN_STEPS", 1_000)  # the usual take seconds
    monkeypatch.setattr(own_play, "NUM_MOMENTS", 205)
    stepped = []
    step = EpisodeLanes.step
    monkeypatch.setattr(EpisodeLanes, "step", lambda self, *a: stepped.append(1) or step(self, *a))
    notes: list[str] = []
    reference = own_play_of(contestant(), Protocol(max_frames=560), notes.append)
    assert reference.num_steps == len(stepped) >= 1_000
    assert reference.load().num_moments == 205
    assert reference.load().moment("map", 204).shape == SHAPES["map"]
    (note,) = notes
    assert note.startswith("Playing at least 1,000 clean steps of tiny (train seed 0) on breakout, for changes that")


def test_own_play_has_seeds_that_no_evaluation_has() -> None:
    own = {own_play_seed("breakout", episode) for episode in range(200)}
    assert len(own) == 200
    assert own.isdisjoint(evaluation_seed("breakout", episode, root) for episode in range(200) for root in range(3))


def test_what_is_kept_is_not_played_again(few: Path) -> None:
    notes: list[str] = []
    first = own_play_of(contestant(), SHORT, notes.append)
    assert len(notes) == 1
    assert own_play_of(contestant(), SHORT, notes.append) == first
    assert len(notes) == 1
    assert [path.name for path in few.iterdir()] == [first.path.name]


def test_another_checkpoint_protocol_or_number_of_steps_is_played_anew(
    few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        own_play_of(contestant(), SHORT, print),
        own_play_of(contestant("d"), SHORT, print),
        own_play_of(contestant(), dataclasses.replace(SHORT, action_selection="greedy"), print),
    ]
    monkeypatch.setattr(own_play, "MIN_STEPS", 41)
    found.append(own_play_of(contestant(), SHORT, print))
    assert len({one.path for one in found}) == len({one.content_hash for one in found}) == 4
    assert len(list(few.iterdir())) == 4


@pytest.mark.parametrize("fault", ["flipped", "cut", "empty", "other"])
def test_a_damaged_file_is_played_again_and_said(few: Path, fault: str) -> None:
    reference = own_play_of(contestant(), SHORT, print)
    before = reference.path.read_bytes()
    changed = bytearray(before)
    changed[-1] ^= 1
    other = own_play_of(contestant("d"), SHORT, print).path.read_bytes()
    damaged = {"flipped": bytes(changed), "cut": before[:-100], "empty": b"", "other": other}[fault]
    reference.path.write_bytes(damaged)
    with pytest.raises(StorageError, match=r"cannot be read|is damaged|was replaced during the run"):
        reference.load()
    notes: list[str] = []
    assert own_play_of(contestant(), SHORT, notes.append) == reference
    assert notes[0].startswith("The kept own play of tiny (train seed 0) on breakout is played again. ")
    assert len(notes) == 2
    assert reference.load().content_hash == reference.content_hash
    assert len(list(few.iterdir())) == 2


@pytest.mark.usefixtures("few")
def test_policies_without_a_hash_are_always_played_again_and_do_not_overwrite_each_other() -> None:
    notes: list[str] = []
    first = own_play_of(contestant(UNHASHED), SHORT, notes.append)
    again = own_play_of(contestant(UNHASHED), SHORT, notes.append)
    assert (first, len(notes)) == (again, 2)


def test_every_part_of_the_file_enters_its_hash(tmp_path: Path) -> None:
    content = OwnPlayContent({"a": np.ones(3, np.float32)}, {"a": np.ones((4, 3), np.float16)}, 9, 2, {"a": 1.0})
    variants = [
        (content, {"game": "pong"}),
        (content, {"game": "breakout"}),
        (content._replace(num_steps=8), {"game": "pong"}),
        (content._replace(means={"a": np.zeros(3, np.float32)}), {"game": "pong"}),
        (content._replace(moments={"a": np.zeros((4, 3), np.float16)}), {"game": "pong"}),
        (content._replace(attention={"a": 0.5}), {"game": "pong"}),
    ]
    hashes = set()
    for number, (kept, identity) in enumerate(variants):
        write_own_play(tmp_path / f"{number}.safetensors", kept, identity)
        hashes.add(StoredOwnPlay(tmp_path / f"{number}.safetensors").content_hash)
    assert len(hashes) == len(variants)


@pytest.mark.usefixtures("few")
def test_the_network_sees_the_mean_and_lanes_keep_their_own_draws() -> None:
    own = own_play_of(contestant(), SHORT, print).load()
    policy, seen = contestant().load("sampled"), Log()
    operations = with_own_play((OwnMeanEncoders(("vector",)), SwapEncoders(("map",))), own)
    both = (*operations, seen)

    def step(rows: int) -> np.ndarray:
        lanes = LaneBatch(
            ids=np.arange(rows),
            generators=tuple(np.random.default_rng(row) for row in range(rows)),
            episode_starts=np.ones(rows, bool),
            encoder_operations=(both, *((),) * (rows - 1)),
            encoder_generators=tuple(np.random.default_rng(row) for row in range(rows)),
        )
        observations = np.random.default_rng(1).integers(0, 256, (rows, 4, 84, 84), np.uint8)
        return policy.action_probabilities(observations, lanes)[0]

    alone, beside = step(1), step(3)
    assert alone.tobytes() == beside.tobytes()
    first, second = seen.steps
    np.testing.assert_allclose(first["vector"], own.mean("vector"), rtol=1 / 128)  # one of the half precisions
    assert (first["vector"] == second["vector"]).all()
    kept = np.stack([own.moment("map", index) for index in range(own.num_moments)])
    assert (first["map"] == second["map"]).all()
    assert np.isclose(kept, first["map"], rtol=1 / 128, atol=1e-6).all(axis=(1, 2, 3)).sum() == 1
