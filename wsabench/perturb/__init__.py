"""Perturbations: named, validated, immutable, and compiled to plain tables. No emulator in here."""

from wsabench.perturb.compiling import CompiledPerturbation, Placed, compile_perturbation, misfit
from wsabench.perturb.drawn import DrawnColors
from wsabench.perturb.entries import CatalogueEntry
from wsabench.perturb.extensions import Extension
from wsabench.perturb.kinds import Kind, Parameter, Range, choice, fixed, kind, names, number, seed, whole_number
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
    "Extension",
    "ImageState",
    "Kind",
    "Palette",
    "Parameter",
    "Perturbation",
    "PerturbationPart",
    "Placed",
    "Profile",
    "RamState",
    "Range",
    "Suite",
    "choice",
    "compile_perturbation",
    "fixed",
    "kind",
    "list_perturbations",
    "list_suites",
    "load_palette",
    "load_suite",
    "luminance",
    "misfit",
    "names",
    "number",
    "parse_perturbation",
    "seed",
    "whole_number",
]
