"""A perturbation as the user writes it: `clean`, `hue-rotate@3`, `hue-rotate@3+value@2`."""

from __future__ import annotations

from dataclasses import dataclass

from wsabench.errors import SpecError, UnknownNameError
from wsabench.hashing import json_hash
from wsabench.perturb.catalogue import catalogue
from wsabench.perturb.entries import CLEAN, NUM_SEVERITIES, CatalogueEntry
from wsabench.perturb.game_entries import unverified_patches
from wsabench.perturb.kinds import ParameterValue


@dataclass(frozen=True, slots=True)
class PerturbationPart:
    """One term of a composition, with its parameters resolved."""

    name: str
    family: str
    severity: int | None
    kind: str
    parameters: tuple[tuple[str, ParameterValue], ...]
    """Pairs of a name and a value, sorted by name."""

    @property
    def text(self) -> str:
        """`NAME@SEVERITY`, or the name where there is no scale."""
        return self.name if self.severity is None else f"{self.name}@{self.severity}"


@dataclass(frozen=True, slots=True)
class Perturbation:
    """A named change, immutable; without parts it is `clean`. It is made by `parse_perturbation`."""

    parts: tuple[PerturbationPart, ...] = ()

    @property
    def name(self) -> str:
        """The canonical text; when it is parsed, it gives this perturbation again."""
        return "+".join(part.text for part in self.parts) or CLEAN

    @property
    def family(self) -> str:
        """The family, or `clean`; of a composition the families, joined by `+`."""
        return "+".join(sorted({part.family for part in self.parts})) or CLEAN

    @property
    def severity(self) -> int | None:
        """1 to 5; None where there is no scale, and of a composition."""
        return self.parts[0].severity if len(self.parts) == 1 else None

    @property
    def is_clean(self) -> bool:
        """Whether nothing is changed."""
        return not self.parts

    @property
    def content_hash(self) -> str:
        """Hash of kinds and resolved parameters in order, 16 hexadecimal digits; names and summaries do not count."""
        content = [[part.kind, dict(part.parameters)] for part in self.parts]
        return json_hash(content, 16)


def parse_perturbation(text: str | Perturbation, where: str = "") -> Perturbation:
    """Return the perturbation that `text` names.

    Args:
        text: `clean`, `NAME`, `NAME@SEVERITY`, or several joined by `+`, applied from left to right.
        where: Beginning of all messages, for example the suite file that has the text.

    Raises:
        SpecError: The text is malformed, a severity is missing, out of range, or given where there is no scale, or the
            name is a RAM patch that was not verified.
        UnknownNameError: The catalogue has no such name; the message has the nearest names.

    Example:
        >>> parse_perturbation("hue-rotate@3+value@2").name
        'hue-rotate@3+value@2'
    """
    if isinstance(text, Perturbation):
        return text
    prefix = f"{where}, " if where else ""
    if not isinstance(text, str) or not text.strip():
        raise SpecError(f"{prefix}perturbation: found {text!r}. Allowed: a name such as 'clean' or 'hue-rotate@3'.")
    if text.strip() == CLEAN:
        return Perturbation()
    try:
        parts = tuple(_parse_part(term.strip(), text, prefix) for term in text.split("+"))
    except UnknownNameError as error:
        raise UnknownNameError(f"{where}: {error}" if where else str(error)) from error
    return Perturbation(parts)


def _parse_part(term: str, text: str, prefix: str) -> PerturbationPart:
    """Return one term of a composition."""
    name, at, level = term.partition("@")
    if name == CLEAN:
        raise SpecError(f"{prefix}{text}: 'clean' means no change at all. Allowed: 'clean' alone; leave it out here.")
    if not name:
        raise SpecError(f"{prefix}{text}: a name is missing. Allowed: NAME or NAME@SEVERITY, joined by '+'.")
    entries = catalogue()
    if name not in entries and (unverified := unverified_patches(name)):
        found = "; ".join(f"{game}: {reason}" for game, reason in unverified.items())
        raise SpecError(
            f"{prefix}{name}: a RAM patch whose effect was not confirmed ({found}). Allowed: verified patches. "
            "Run `wsabench list perturbations`."
        )
    entry = entries[name]
    severity = _severity(entry, level if at else None, prefix)
    return PerturbationPart(name, entry.family, severity, entry.kind, tuple(entry.resolved(severity).items()))


def _severity(entry: CatalogueEntry, level: str | None, prefix: str) -> int | None:
    """Return the severity that was written after `@`."""
    if not entry.has_severity:
        if level is not None:
            raise SpecError(
                f"{prefix}{entry.name}: severity is {level or 'empty'}, but it has no scale. Allowed: {entry.name!r} "
                "without '@'."
            )
        return None
    allowed = f"Allowed: integers 1 to {NUM_SEVERITIES}"
    if not level:
        raise SpecError(f"{prefix}{entry.name}: severity is missing. {allowed}, written {entry.name}@3.")
    if level not in {str(number) for number in range(1, NUM_SEVERITIES + 1)}:
        raise SpecError(f"{prefix}{entry.name}: severity is {level}. {allowed}. Use 5 for the strongest level.")
    return int(level)


def list_perturbations(family: str | None = None) -> list[CatalogueEntry]:
    """Return the catalogue's entries, of one family or all, in the order of the files; `clean` is not among them.

    The games' own come last: RAM patches, then modes and difficulties; their `games` say where they exist.
    """
    return [entry for entry in catalogue().values() if family in (None, entry.family)]
