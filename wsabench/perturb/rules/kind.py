"""The kind `ram.patch`: a rule of the game's catalogue entry as a perturbation."""

from __future__ import annotations

from wsabench.errors import SpecError
from wsabench.games import Game
from wsabench.perturb.kinds import KINDS, Kind, Parameter
from wsabench.perturb.rules.code import compile_rule
from wsabench.perturb.rules.patches import patch_rule
from wsabench.perturb.rules.stage import RamPatchStage
from wsabench.perturb.rules.text import canonical_text


def _build(game: Game, *, patch: str) -> RamPatchStage:
    """Return the stage of a patch, or refuse one whose effect was not confirmed."""
    rule = patch_rule(game, patch)
    if not game.patches[patch].is_verified:
        found = game.patches[patch].how_verified
        raise SpecError(f"the patch {patch!r} was not confirmed ({found}). Allowed: patches with verified = true.")
    return RamPatchStage(compile_rule(rule))


def _content(game: Game, *, patch: str) -> str:
    """Return what decides the behaviour of a patch: addresses and times included, names and spaces not."""
    return canonical_text(patch_rule(game, patch))


KINDS.add(
    "ram.patch",
    Kind(
        "dynamics",
        {"patch": Parameter("the name of a RAM patch of the game", lambda v: isinstance(v, str) and bool(v), str)},
        _build,
        "The rule `patch` of the game's catalogue entry writes bytes of the console's memory before every emulated "
        "frame, no-ops and FIRE at the start included: byte = value mod 256. Frames count from the console's reset.",
        _content,
    ),
)
