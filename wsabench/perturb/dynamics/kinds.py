"""The kinds of the family `dynamics` besides RAM rules: control channel, observation delay, console switches."""

from __future__ import annotations

import functools

from wsabench.errors import SpecError
from wsabench.games import Game
from wsabench.perturb.dynamics import control
from wsabench.perturb.dynamics.observation_delay import ObservationDelay
from wsabench.perturb.dynamics.switches import switch_misfit
from wsabench.perturb.kinds import KINDS, Kind, ParameterValue, fixed, number, whole_number
from wsabench.perturb.stages import ConsoleStage

MAX_DELAY_STEPS = 100
MAX_FRAME_SKIP = 100
"""An upper bound against typing errors; ALE's own games are played at 2 to 30."""


def _add(name: str, kind: Kind) -> None:
    KINDS.add(name, kind)


_add(
    "control.sticky",
    Kind(
        "dynamics",
        {"probability": number(0, 1)},
        fixed(control.StickyActions),
        "Before each emulated frame, with `probability` p, the action that was executed last is executed again instead "
        "of the new one: e_f = e_(f-1) with p, else a_f; e_(-1) = NOOP (Machado et al. 2018, section 5). 0 is clean.",
    ),
)
_add(
    "control.random",
    Kind(
        "dynamics",
        {"probability": number(0, 1)},
        fixed(control.RandomActions),
        "In each step, with `probability` p, the agent's action is replaced by one drawn uniformly from all actions of "
        "the game (the agent's own among them) (Tessler et al. 2019, probabilistic action-robust MDP). 0 is clean.",
    ),
)
_add(
    "control.delay",
    Kind(
        "dynamics",
        {"steps": whole_number(0, MAX_DELAY_STEPS)},
        fixed(control.ActionDelay),
        "Step t executes the action chosen at step t - k, k = `steps`; NOOP while t < k (Katsikopoulos and Engelbrecht "
        "2003). 0 is clean.",
    ),
)
_add(
    "control.frame_skip",
    Kind(
        "dynamics",
        {"frames": whole_number(1, MAX_FRAME_SKIP)},
        fixed(control.FrameSkip),
        "A step lasts `frames` emulated frames instead of the protocol's 4. 4 is clean.",
    ),
)


def _jitter(probability: float, lowest: int, highest: int) -> control.FrameSkipJitter:
    """Return the stage, or refuse an empty range."""
    if lowest > highest:
        raise SpecError(f"lowest is {lowest}, highest {highest}. Allowed: lowest at most highest.")
    return control.FrameSkipJitter(probability, lowest, highest)


_add(
    "control.frame_skip_jitter",
    Kind(
        "dynamics",
        {
            "probability": number(0, 1),
            "lowest": whole_number(1, MAX_FRAME_SKIP),
            "highest": whole_number(1, MAX_FRAME_SKIP),
        },
        fixed(_jitter),
        "In each step, with `probability`, the number of emulated frames is drawn uniformly from `lowest` to `highest` "
        "(both included) (as Gym's first Atari environments did, Brockman et al. 2016). 0 is clean.",
    ),
)
_add(
    "control.noop_bursts",
    Kind(
        "dynamics",
        {"probability": number(0, 1), "steps": whole_number(1, MAX_DELAY_STEPS)},
        fixed(control.NoopBursts),
        "In each step outside a burst, with `probability` p, a burst of k = `steps` steps starts, in which NOOP is "
        "sent; the share of such steps tends to p k / (p k + 1 - p). 0 is clean.",
    ),
)
_add(
    "observation.delay",
    Kind(
        "dynamics",
        {"steps": whole_number(0, MAX_DELAY_STEPS)},
        fixed(ObservationDelay),
        "The newest frame that the agent sees at step t is that of step t - k, k = `steps`; the episode's first while "
        "t < k (Katsikopoulos and Engelbrecht 2003). 0 is clean.",
    ),
)


def _build_switch(switch: str, game: Game, value: ParameterValue) -> ConsoleStage:
    """Return the switch's stage, or refuse a value that the game does not have."""
    reason = switch_misfit(switch, value, game)
    if reason is not None:
        raise SpecError(reason)
    assert isinstance(value, int)  # noqa: S101  (the parameter is a whole number)
    return ConsoleStage(mode=value) if switch == "mode" else ConsoleStage(difficulty=value)


_add(
    "console.mode",
    Kind(
        "dynamics",
        {"value": whole_number(0, 255)},
        functools.partial(_build_switch, "mode"),
        "The console's game switch is put to `value` before the reset: ALE's `setMode` (Machado et al. 2018). Only "
        "values that the game's catalogue entry lists, without its default.",
    ),
)
_add(
    "console.difficulty",
    Kind(
        "dynamics",
        {"value": whole_number(0, 3)},
        functools.partial(_build_switch, "difficulty"),
        "The console's difficulty switch is put to `value` before the reset: ALE's `setDifficulty` (Machado et al. "
        "2018). Only values that the game's catalogue entry lists, without its default.",
    ),
)
