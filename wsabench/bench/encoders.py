"""Speed of the frozen encoders, and what each fusion costs as the number of encoders grows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import torch

from wsabench.agents import FUSIONS, ActorCritic, build_agent, count_parameters, half_precision, load_spec
from wsabench.bench.turns import OBSERVATIONS, Contestant, bench_rows, repeated, take_turns
from wsabench.encoders import ENCODERS, EncoderBank
from wsabench.errors import SpecError, unknown_name
from wsabench.processes import single_thread
from wsabench.seeding import generator, integer_seed
from wsabench.types import BenchRow
from wsabench.words import counted

SIZES = ("compact", "paper")
NAMES = ("sr", "oke", "okk", "vos", "ae")
NUMBERS = (1, 4, 10, 50, 100)
PARAMETERS = "parameters"
SINGLE = "float32"
WARM_UP_ROUNDS = 2
NUM_ACTIONS = 4


def benchmark_encode(
    names: Sequence[str] = NAMES, batch_size: int = 16, num_rounds: int = 10, sizes: Sequence[str] = SIZES
) -> list[BenchRow]:
    """Measure the milliseconds that an observation takes in each encoder on one thread, beside the same in float32.

    Args:
        names: Names of encoders.
        batch_size: Observations in a pass.
        num_rounds: Passes of each; the median counts.
        sizes: Sizes of the encoders, of `compact` and `paper`.

    Returns:
        Rows in ms/observation of processor time, `NAME SIZE` beside its peer; `all SIZE` is all of them in one pass.
    """
    frames = generator(0, "bench").integers(0, 256, (64, 4, 84, 84)).astype("uint8")
    stacks = torch.from_numpy(frames)
    groups = {name: (name,) for name in names} | ({"all": tuple(names)} if len(names) > 1 else {})
    rows: list[BenchRow] = []
    with single_thread():
        for size in sizes:
            for label, group in groups.items():
                contestants = _encoders(f"{label} {size}", group, size, stacks, batch_size)
                speeds = take_turns(contestants, num_rounds, warm_up_rounds=WARM_UP_ROUNDS)
                rows += [row for row in bench_rows(contestants, speeds) if row["peer"]]
    return rows


def _encoders(
    label: str, names: tuple[str, ...], size: str, stacks: torch.Tensor, batch_size: int
) -> dict[str, Contestant]:
    contestants = {}
    for name, peer, dtype in ((SINGLE, "", torch.float32), (label, SINGLE, None)):
        bank = EncoderBank.random(names, names[0], seed=0, calibration_frames=stacks, size=size, dtype=dtype)

        def embed(bank: EncoderBank = bank) -> int:
            bank.embed(stacks[:batch_size])
            return batch_size

        contestants[name] = Contestant(repeated(embed), peer, OBSERVATIONS)
    return contestants


def benchmark_fusions(
    numbers: Sequence[int] = NUMBERS,
    kinds: Sequence[str] = tuple(FUSIONS),
    batch_size: int = 16,
    num_rounds: int = 10,
) -> list[BenchRow]:
    """Measure what the trainable part of an agent costs over more and more encoders, on one thread.

    The agents are those of preset `compact`; their encoders, which are not run, have the shapes of the compact ones in
    turn. A pass goes from embeddings to the policy, without gradients.

    Args:
        numbers: How many encoders are fused.
        kinds: Fusions.
        batch_size: Observations in a pass.
        num_rounds: Passes of each; the median counts.

    Returns:
        For each fusion and number, `KIND, N encoders`: a row in ms/observation of processor time and one of trained
        parameters, heads included.

    Raises:
        SpecError: A number is below 1.
        UnknownNameError: There is no such fusion.
    """
    if wrong := [number for number in numbers if number < 1]:
        raise SpecError(f"The number of encoders is {wrong[0]}. Allowed: integers from 1.")
    for kind in kinds:
        if kind not in FUSIONS:
            raise unknown_name("fusion", kind, FUSIONS)
    rows: list[BenchRow] = []
    with single_thread():
        for number in numbers:
            shapes = repeated_shapes(number)
            embeddings = _Embeddings(shapes, batch_size)
            # Built once a number and dropped: a hundred encoders' heads fill a gigabyte.
            agents = {f"{kind}, {counted(number, 'encoder')}": _agent(kind, shapes) for kind in kinds}
            contestants = {
                name: Contestant(repeated(_passes(agent, embeddings)), unit=OBSERVATIONS)
                for name, agent in agents.items()
            }
            speeds = take_turns(contestants, num_rounds, warm_up_rounds=WARM_UP_ROUNDS)
            rows += bench_rows(contestants, speeds)
            rows += [_parameters(name, agent) for name, agent in agents.items()]
    return rows


def repeated_shapes(number: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of `number` encoders, those of sr, oke, okk, vos in turn, and of the context `ae`.

    >>> list(repeated_shapes(5))
    ['sr0', 'oke0', 'okk0', 'vos0', 'sr1', 'ae']
    """
    *fused, context = NAMES
    names = [(fused[place % len(fused)], place // len(fused)) for place in range(number)]
    return {f"{name}{turn}": ENCODERS[name].shape for name, turn in names} | {context: ENCODERS[context].shape}


class _Embeddings:
    """Stands for a bank: gives the same random embeddings again and again."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], batch_size: int) -> None:
        self.stack = torch.zeros(batch_size, 4, 84, 84, dtype=torch.uint8)
        noise = torch.Generator().manual_seed(integer_seed(0, "bench"))
        self._given = {
            name: torch.randn(batch_size, *shape, generator=noise).to(torch.float16) for name, shape in shapes.items()
        }

    def embed(self, stack: torch.Tensor, only: object = None, inputs: object = None) -> dict[str, torch.Tensor]:
        return self._given


def _agent(kind: str, shapes: Mapping[str, tuple[int, ...]]) -> ActorCritic:
    """Return an agent with small random weights; drawing orthogonal ones would take minutes."""
    spec = load_spec(kind)
    spec = dataclasses.replace(spec, encoders=tuple(name for name in shapes if name != "ae"))
    agent = build_agent(spec, NUM_ACTIONS, shapes, seed=None)
    noise = torch.Generator().manual_seed(integer_seed(0, "bench"))
    with torch.no_grad():
        for tensor in (*agent.parameters(), *agent.buffers()):
            if tensor.is_floating_point():
                tensor.normal_(0.0, 0.01, generator=noise)
    return agent


def _passes(agent: ActorCritic, embeddings: _Embeddings) -> Callable[[], int]:
    features = agent.prepare(embeddings.stack, embeddings)  # pyright: ignore[reportArgumentType]

    def evaluate() -> int:
        with torch.no_grad(), half_precision():
            agent(features)
        return len(embeddings.stack)

    return evaluate


def _parameters(name: str, agent: ActorCritic) -> BenchRow:
    return {"name": name, "peer": "", "value": count_parameters(agent), "unit": PARAMETERS, "ratio": None}
