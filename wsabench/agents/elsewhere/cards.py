"""What the notes beside an agent's file say that it scores: a model card of the Hugging Face hub, or `results.json`.

A model card is a `README.md` whose first part, between lines of `---`, is YAML; in its `model-index` stand metrics, of
which `mean_reward` is the one that training tools write for agents, as `398.00 +/- 16.30`. `results.json` is what
huggingface_sb3 and the zoo of Stable-Baselines3 leave beside a model: `mean_reward`, `std_reward`, `n_eval_episodes`,
`is_deterministic`.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from wsabench.types import StatedScore

_MOST_BYTES = 1_000_000
_FRONT = re.compile(r"\A\ufeff?---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)
_NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?"
_VALUE = re.compile(
    rf"""^[\s-]*value:\s*["']?(?P<mean>{_NUMBER})(?:\s*(?:\+/-|±)\s*(?P<sd>{_NUMBER}))?["']?\s*(?:#.*)?$"""
)
_METRIC = re.compile(r"""^[\s-]*type:\s*["']?mean_reward["']?\s*(?:#.*)?$""")


def stated_score(path: Path) -> StatedScore | None:
    """Return the clean score that the notes beside a file state; None where they state none, or several.

    They are looked for in the file's folder and in one of the file's own name: first `results.json`, then `README.md`.

    Args:
        path: The agent's file.
    """
    folders = (path.parent, path.with_suffix(""))
    for read, name in ((_of_results, "results.json"), (_of_card, "README.md")):
        for folder in folders:
            note = folder / name
            if note.is_file() and note.stat().st_size <= _MOST_BYTES:
                found = read(note.read_text(encoding="utf-8", errors="replace"), name)
                if found is not None:
                    return found
    return None


def _of_results(text: str, source: str) -> StatedScore | None:
    """Return what `results.json` states."""
    try:
        content = json.loads(text)
    except ValueError:
        return None
    mean = _number(content.get("mean_reward")) if isinstance(content, dict) else None
    if mean is None:
        return None
    deviation, episodes = _number(content.get("std_reward")), content.get("n_eval_episodes")
    greedy = content.get("is_deterministic")
    return StatedScore(
        mean=mean,
        deviation=deviation if deviation is not None and deviation >= 0 else None,
        episodes=episodes if type(episodes) is int and episodes > 0 else None,
        is_greedy=greedy if isinstance(greedy, bool) else None,
        source=source,
    )


def _of_card(text: str, source: str) -> StatedScore | None:
    """Return what a model card states in its metadata."""
    front = _FRONT.match(text)
    lines = front[1].splitlines() if front else []
    found = {value for index, line in enumerate(lines) if _METRIC.match(line) and (value := _beside(lines, index))}
    if len(found) != 1:
        return None
    mean, deviation = found.pop()
    return StatedScore(mean=mean, deviation=deviation, source=source)


def _beside(lines: list[str], index: int) -> tuple[float, float | None] | None:
    """Return the value in the same item of a YAML list as a line: those around it as deep, up to a dash."""
    depth = _depth(lines[index])
    first, last = index, index + 1
    while first > 0 and not lines[first].lstrip().startswith("-") and _depth(lines[first - 1]) == depth:
        first -= 1
    while last < len(lines) and _depth(lines[last]) == depth and not lines[last].lstrip().startswith("-"):
        last += 1
    for line in lines[first:last]:
        if match := _VALUE.match(line):
            mean, sd = float(match["mean"].replace(",", "")), match["sd"]
            return mean, None if sd is None else float(sd.replace(",", ""))
    return None


def _depth(line: str) -> int:
    """Return how deep the key of a line stands; the dash of a list's item counts as space."""
    return len(line) - len(line.lstrip(" -"))


def _number(value: Any) -> float | None:
    """Return a finite number; also a text that is one."""
    if isinstance(value, str) and re.fullmatch(_NUMBER, value.strip()):
        value = float(value.replace(",", ""))
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None
