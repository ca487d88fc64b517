"""Perturbations: named, validated, immutable, and compiled to plain tables. No emulator in here."""

from wsabench.perturb.compiled import CompiledPerturbation
from wsabench.perturb.compiling import compile_perturbation
from wsabench.perturb.families import CatalogueEntry
from wsabench.perturb.palette import Palette, load_palette, luminance
from wsabench.perturb.spec import Perturbation, PerturbationPart, list_perturbations, parse_perturbation
from wsabench.perturb.suites import Profile, Suite, list_suites, load_suite

__all__ = [
    "CatalogueEntry",
    "CompiledPerturbation",
    "Palette",
    "Perturbation",
    "PerturbationPart",
    "Profile",
    "Suite",
    "compile_perturbation",
    "list_perturbations",
    "list_suites",
    "load_palette",
    "load_suite",
    "luminance",
    "parse_perturbation",
]
