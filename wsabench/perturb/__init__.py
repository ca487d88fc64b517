"""Perturbations: named, validated, immutable, and compiled to plain tables. No emulator in here."""

from wsabench.perturb.compiled import CompiledPerturbation, Placed
from wsabench.perturb.compiling import compile_perturbation
from wsabench.perturb.drawn import DrawnColors
from wsabench.perturb.families import CatalogueEntry
from wsabench.perturb.palette import Palette, load_palette, luminance
from wsabench.perturb.spec import Perturbation, PerturbationPart, list_perturbations, parse_perturbation
from wsabench.perturb.stages import ConsoleStage, ControlState, ImageState, RamState
from wsabench.perturb.suites import Profile, Suite, list_suites, load_suite

__all__ = [
    "CatalogueEntry",
    "CompiledPerturbation",
    "ConsoleStage",
    "ControlState",
    "DrawnColors",
    "ImageState",
    "Palette",
    "Perturbation",
    "PerturbationPart",
    "Placed",
    "Profile",
    "RamState",
    "Suite",
    "compile_perturbation",
    "list_perturbations",
    "list_suites",
    "load_palette",
    "load_suite",
    "luminance",
    "parse_perturbation",
]
