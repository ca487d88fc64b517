"""What each encoder operation does to one lane, without any network."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from typing import Any

import numpy as np
import pytest

from wsabench.errors import SpecError
from wsabench.perturb import compile_perturbation, list_perturbations
from wsabench.perturb.encoder.attention import OwnMeanAttention, UniformAttention
from wsabench.perturb.encoder.embeddings import NoisyEncoders, StaleEncoders, ZeroDrawn, ZeroEncoders
from wsabench.perturb.encoder.masks import DropDrawn, DropEncoders, FlickerEncoders
from wsabench.perturb.encoder.places import JoinEncoders, PermuteEncoders, cyclic_permutation
from wsabench.types import EncoderOperation, EncoderRoster, FusionChange, LaneEncoders

FUSED = ("a", "b", "c", "d")
SHAPES = {"a": (5,), "b": (3, 4, 4), "c": (2,), "d": (2, 2, 2), "e": (3,)}
EVERYTHING: frozenset[FusionChange] = frozenset({"mask", "order", "newcomers", "weights"})


class PlainLane:
    """The obvious lane: dictionaries and lists."""

    def __init__(self, step: int = 0) -> None:
        generator = np.random.default_rng(step)
        self.embeddings = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
        self.fused: tuple[str, ...] = FUSED
        self.places: tuple[str, ...] = FUSED
        self.context = "e"
        self.dropped: list[str] = []
        self.weights: dict[str, float] | None = None

    @property
    def kept(self) -> tuple[str, ...]:
        return tuple(name for name in self.fused if name not in self.dropped)

    def embedding(self, name: str) -> np.ndarray:
        return self.embeddings[name].copy()

    def replace(self, name: str, embedding: np.ndarray) -> None:
        assert (embedding.shape, embedding.dtype) == (SHAPES[name], np.float32)
        self.embeddings[name] = embedding.copy()

    def drop(self, name: str) -> None:
        self.dropped.append(name)
        assert self.kept

    def arrange(self, names: Sequence[str]) -> None:
        self.places = tuple(names)

    def join(self, name: str) -> None:
        self.fused += (name,)
        self.places += (name,)

    def weigh(self, weights: Mapping[str, float]) -> None:
        self.weights = dict(weights)


def roster(**changes: Any) -> EncoderRoster:
    values: dict[str, Any] = {
        "agent": "it",
        "fused": FUSED,
        "context": "e",
        "available": (*FUSED, "e"),
        "allows": EVERYTHING,
        "num_kept": 4,
    }
    return EncoderRoster(**{**values, **changes})


def played(operation: EncoderOperation, steps: int, seed: int = 0) -> list[PlainLane]:
    """Apply an operation for some steps of an episode; return the lane after each."""
    state, lanes = operation.start(np.random.default_rng(seed)), [PlainLane(step) for step in range(steps)]
    for lane in lanes:
        state.apply(lane)
    return lanes


def changed(lane: PlainLane, step: int = 0) -> set[str]:
    return {name for name, value in PlainLane(step).embeddings.items() if (value != lane.embeddings[name]).any()}


def test_named_encoders_are_dropped_in_every_step() -> None:
    for step, lane in enumerate(played(DropEncoders(("b", "d")), 3)):
        assert (lane.kept, changed(lane, step), lane.places) == (("a", "c"), set(), FUSED)


def test_drawn_encoders_stay_dropped_and_every_set_is_equally_likely() -> None:
    counts: Counter[tuple[str, ...]] = Counter()
    for seed in range(3000):
        first, second = played(DropDrawn(2), 2, seed)
        assert first.dropped == second.dropped
        counts[tuple(sorted(first.dropped))] += 1
    assert set(counts) == set(itertools.combinations(FUSED, 2))
    # 500 of each pair are expected; four standard deviations of a binomial count are 82.
    assert max(abs(count - 500) for count in counts.values()) < 82


@pytest.mark.parametrize("seed", range(5))
def test_fewer_drawn_encoders_are_a_part_of_more(seed: int) -> None:
    sets = [set(played(DropDrawn(count), 1, seed)[0].dropped) for count in range(4)]
    assert [len(names) for names in sets] == [0, 1, 2, 3]
    assert sets == sorted(sets, key=len)
    assert all(fewer < more for fewer, more in itertools.pairwise(sets))
    assert changed(played(ZeroDrawn(2), 1, seed)[0]) == sets[2]  # the same ones are fed zeros


@pytest.mark.parametrize("probability", [0.25, 0.5, 0.9, 1.0])
def test_flicker_misses_each_encoder_as_often_as_stated_and_one_stays(probability: float) -> None:
    lanes = played(FlickerEncoders(probability), 4000)
    assert all(lane.kept for lane in lanes)
    for name in FUSED:
        missing = np.mean([name in lane.dropped for lane in lanes])
        # p - p^N / N; four standard deviations of a share of 4,000 are at most 0.032.
        assert abs(missing - (probability - probability**4 / 4)) < 0.032
    if probability == 1.0:
        assert all(len(lane.kept) == 1 for lane in lanes)


def test_what_is_missing_at_one_probability_is_missing_at_every_greater() -> None:
    weak, strong = (played(FlickerEncoders(probability), 300) for probability in (0.3, 0.8))
    assert all(set(one.dropped) <= set(other.dropped) for one, other in zip(weak, strong, strict=True))


@pytest.mark.parametrize(
    ("words", "meant"),
    [(("a",), {"a"}), (("fused",), set(FUSED)), (("context",), {"e"}), (("fused", "context", "a"), set(SHAPES))],
)
def test_zeros_come_for_the_encoders_that_are_meant(words: tuple[str, ...], meant: set[str]) -> None:
    (lane,) = played(ZeroEncoders(words), 1)
    assert all((lane.embeddings[name] == 0).all() for name in meant)
    assert changed(lane) == meant


def test_noise_keeps_mean_and_variance_and_has_the_stated_share() -> None:
    share = 0.3
    state = NoisyEncoders(("b",), share).start(np.random.default_rng(1))
    noises, values = [], []
    for step in range(2000):
        lane = PlainLane(step)
        clean = lane.embedding("b")
        state.apply(lane)
        noises.append(lane.embeddings["b"] - np.sqrt(1 - share) * clean)
        values.append(lane.embeddings["b"])
    noise = np.stack(noises)
    # 96,000 numbers: four standard errors are 0.007 for the mean, below 0.019 for variances.
    assert abs(noise.mean()) < 0.007
    assert abs(noise.var() - share) < 0.019
    assert abs(np.var(values) - 1) < 0.019
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.013  # drawn anew every step
    assert abs(np.corrcoef(noise[:, 0, 0, 0], noise[:, 0, 0, 1])[0, 1]) < 0.09  # and for every number


def test_noise_repeats_with_its_seed_and_at_share_one_forgets_the_embedding() -> None:
    first, again, other = (played(NoisyEncoders(("fused",), 1.0), 2, seed)[1] for seed in (3, 3, 4))
    assert all(np.array_equal(first.embeddings[name], again.embeddings[name]) for name in FUSED)
    assert all((first.embeddings[name] != other.embeddings[name]).any() for name in FUSED)
    lane = PlainLane(77)
    state = NoisyEncoders(("fused",), 1.0).start(np.random.default_rng(3))
    state.apply(PlainLane(0))
    state.apply(lane)
    assert np.array_equal(lane.embeddings["b"], first.embeddings["b"])


@pytest.mark.parametrize("steps", [0, 1, 4, 16])
def test_stale_embeddings_are_those_of_a_list(steps: int) -> None:
    past = [PlainLane(step).embeddings for step in range(20)]
    for step, lane in enumerate(played(StaleEncoders(("fused",), steps), 20)):
        expected = past[max(step - steps, 0)]
        assert all(np.array_equal(lane.embeddings[name], expected[name]) for name in FUSED)
        assert np.array_equal(lane.embeddings["e"], past[step]["e"])


def test_a_new_episode_remembers_nothing() -> None:
    operation = StaleEncoders(("a",), 3)
    played(operation, 5)
    state, lane = operation.start(np.random.default_rng(0)), PlainLane(9)
    state.apply(lane)
    assert changed(lane, 9) == set()


def test_permutations_are_single_cycles_that_differ_by_seed() -> None:
    seen = set()
    for seed in range(40):
        order = cyclic_permutation(4, seed)
        walk, place = [0], order[0]
        while place != 0:
            walk.append(place)
            place = order[place]
        assert len(walk) == 4
        seen.add(order)
    assert len(seen) == 6  # (4 - 1)!


def test_places_are_exchanged_and_nothing_else() -> None:
    order = cyclic_permutation(4, 0)
    for step, lane in enumerate(played(PermuteEncoders(0), 2)):
        assert lane.places == tuple(FUSED[index] for index in order)
        assert (changed(lane, step), lane.kept) == (set(), FUSED)
    state, lane = PermuteEncoders(0).start(np.random.default_rng(0)), PlainLane()
    for _ in range(4):  # a cycle of four, four times
        state.apply(lane)
    assert lane.places == FUSED


def test_operations_after_a_newcomer_reach_it() -> None:
    lane = PlainLane()
    for operation in (JoinEncoders(("e",)), ZeroEncoders(("fused",)), DropEncoders(("a", "b", "c", "d"))):
        operation.start(np.random.default_rng(0)).apply(lane)
    assert lane.kept == ("e",)
    assert not lane.embeddings["e"].any()


@pytest.mark.parametrize(
    "operation",
    [DropDrawn(0), ZeroDrawn(0), FlickerEncoders(0.0), NoisyEncoders(("fused",), 0.0), StaleEncoders(("fused",), 0)],
)
def test_identity_parameters_change_no_bit(operation: EncoderOperation) -> None:
    for step, lane in enumerate(played(operation, 3)):
        clean = PlainLane(step)
        assert all(value.tobytes() == lane.embeddings[name].tobytes() for name, value in clean.embeddings.items())
        assert (lane.kept, lane.places) == (FUSED, FUSED)


def test_all_operations_are_plain_values_that_travel() -> None:
    here, there = Pipe()
    for entry in list_perturbations("encoder"):
        for severity in entry.severities:
            name = entry.name if severity is None else f"{entry.name}@{severity}"
            compiled, again = (compile_perturbation(name, game) for game in ("breakout", "pong"))
            (operation,) = compiled.encoder_operations
            assert isinstance(operation, EncoderOperation)
            assert (operation, hash(operation)) == (again.encoder_operations[0], hash(again.encoder_operations[0]))
            here.send(operation)
            assert there.recv() == operation
            # Without any field Python 3.11 answers with a TypeError.
            with pytest.raises((AttributeError, TypeError)):
                setattr(operation, (operation.__slots__ or ("new",))[0], None)  # pyright: ignore[reportAttributeAccessIssue]


def test_composed_operations_keep_their_order() -> None:
    name = "stale-encoders@2+hue-rotate@1+drop-sr+flicker-encoders@3"
    assert compile_perturbation(name, "breakout").encoder_operations == (
        StaleEncoders(("fused",), 2),
        DropEncoders(("sr",)),
        FlickerEncoders(0.5),
    )


@pytest.mark.parametrize(
    ("operations", "changes", "message"),
    [
        ([DropEncoders(("x", "a", "e"))], {}, r"'it' has no encoder x, e: it fuses a, b, c, d. Leave it out"),
        ([ZeroEncoders(("x",))], {}, r"'it' has no encoder x: it fuses a, b, c, d; its context is e. Leave it out"),
        ([ZeroEncoders(("context",))], {"context": None}, r"has no encoder context"),
        ([DropDrawn(4)], {}, r"4 encoders would be left out where only 4 of the 4 of 'it' surely .* Allowed: 0 to 3"),
        ([DropEncoders(("a",)), DropDrawn(3)], {}, r"3 encoders .* only 3 of the 4 .* Allowed: 0 to 2"),
        ([FlickerEncoders(0.1), DropEncoders(("a",))], {}, r"1 encoder .* only 1 .* what leaves .* stands last"),
        ([ZeroDrawn(5)], {}, r"5 encoders would be fed zeros where only 4 of the 4 .* Allowed: 0 to 4"),
        ([PermuteEncoders(0)], {"fused": ("a",)}, r"'it' fuses one encoder, which has no other place"),
        ([JoinEncoders(("a",))], {}, r"'it' fuses a already: a, b, c, d"),
        ([JoinEncoders(("e",)), JoinEncoders(("e",))], {}, r"'it' fuses e already: a, b, c, d, e"),
        ([JoinEncoders(("x",))], {}, r"'it' does not run an encoder x. Allowed: .* it runs a, b, c, d, e"),
        ([DropEncoders(("a",))], {"allows": frozenset()}, r"fusion of 'it' cannot leave encoders out"),
        ([PermuteEncoders(0)], {"allows": frozenset({"mask"})}, r"fusion of 'it' cannot exchange the places"),
        ([JoinEncoders(("e",))], {"allows": frozenset({"mask"})}, r"fusion of 'it' cannot take one more encoder"),
        ([UniformAttention()], {"allows": frozenset({"mask"})}, r"fusion of 'it' cannot take its weights"),
        ([OwnMeanAttention()], {"allows": frozenset({"mask"})}, r"fusion of 'it' cannot take its weights"),
        ([UniformAttention()], {"fused": ("a",)}, r"the agent 'it' fuses one encoder, whose weight is always 1"),
    ],
)
def test_operations_that_do_not_fit_say_why(operations: list[Any], changes: dict[str, Any], message: str) -> None:
    *before, last = operations
    state = roster(**changes)
    for operation in before:
        state = operation.check(state)
    with pytest.raises(SpecError, match=message):
        last.check(state)


def test_an_agent_without_encoders_can_take_none() -> None:
    none = roster(fused=(), context=None, available=(), allows=frozenset(), num_kept=0)
    for entry in list_perturbations("encoder"):
        name = f"{entry.name}@1" if entry.has_severity else entry.name
        (operation,) = compile_perturbation(name, "breakout").encoder_operations
        with pytest.raises(SpecError, match=r"the agent 'it' has no encoders that could be changed"):
            operation.check(none)


def test_what_fits_is_not_refused() -> None:
    state = roster()
    for operation in (JoinEncoders(("e",)), DropEncoders(("a", "e")), DropDrawn(2), FlickerEncoders(0.9)):
        state = operation.check(state)
    assert (state.fused, state.num_kept) == (("a", "b", "c", "d", "e"), 1)
    lane: LaneEncoders = PlainLane()  # the type checker compares it with the protocol
    assert lane.kept == FUSED
