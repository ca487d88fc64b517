"""The language of RAM rules: parsing, canonical text, compiling, and the stage that runs a rule in a lane."""

from wsabench.perturb.rules.code import Program, compile_rule
from wsabench.perturb.rules.parsing import parse_rule
from wsabench.perturb.rules.patches import (
    RamPatchStage,
    check_patch,
    parse_patch,
    patch_rule,
    ram_addresses,
    reward_note,
)
from wsabench.perturb.rules.syntax import Rule, Statement
from wsabench.perturb.rules.text import canonical_text, written_bytes

__all__ = [
    "Program",
    "RamPatchStage",
    "Rule",
    "Statement",
    "canonical_text",
    "check_patch",
    "compile_rule",
    "parse_patch",
    "parse_rule",
    "patch_rule",
    "ram_addresses",
    "reward_note",
    "written_bytes",
]
