"""`wsabench power`: how many train seeds and episodes a planned comparison needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsabench.cli.options import Json
from wsabench.cli.terminal.console import write_json, write_table
from wsabench.errors import SpecError, unknown_name

if TYPE_CHECKING:
    from wsabench.stats import Variation
    from wsabench.summary.noise import RunNoise

HELP = "Tell how many train seeds and episodes a comparison needs."
EXAMPLE = "Example: wsabench power --effect 0.1 --seed-sd 0.08 --episode-sd 0.3"

MEASURES = ("retention", "robustness_gap", "normalised_score")
DEFAULT_EPISODES = (5, 10, 20, 30, 50, 100)


def power(
    effect: Annotated[float, typer.Option(help="Difference that should be found, 0.1 of retention say.")],
    seed_sd: Annotated[float | None, typer.Option(help="Standard deviation between train seeds.")] = None,
    episode_sd: Annotated[float | None, typer.Option(help="Standard deviation between episodes of a seed.")] = None,
    run_dir: Annotated[Path | None, typer.Option("--from", help="A run to take what is not given from.")] = None,
    measure: Annotated[str, typer.Option(help=f"With --from: {', '.join(MEASURES)}.")] = "retention",
    tests: Annotated[int, typer.Option(min=1, help="Size of the family: one test a perturbation.")] = 1,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of agents that are compared: 3 for three agents.")] = 1,
    paired: Annotated[bool, typer.Option("--paired", help="Clean against perturbed, in the same seeds.")] = False,
    alpha: Annotated[float, typer.Option(help="Share of false claims that is accepted.")] = 0.05,
    wanted: Annotated[float, typer.Option("--power", help="Probability of finding the effect.")] = 0.8,
    episodes: Annotated[str | None, typer.Option(help="Episodes a cell, separated by commas.")] = None,
    as_json: Json = False,
) -> None:
    """Print, for each number of episodes, the fewest train seeds with which the effect is found."""
    from wsabench.stats import PLANNING_CONFIDENCE, Design, plans, seeds_to_decide

    if measure not in MEASURES:
        raise unknown_name("measure", measure, MEASURES)
    of_run = _noise_of_run(run_dir, measure)
    variation = _variation(of_run, seed_sd, episode_sd)
    is_limit = of_run is not None and seed_sd is None
    design = Design(effect, paired, tests, alpha, wanted, pairs)
    counts = _counts(episodes)
    found = plans(design, variation, counts)
    fewest = seeds_to_decide(pairs, alpha, paired=paired)
    if as_json:
        rows = [plan._asdict() if plan else None for plan in found]
        noise = variation._asdict()
        if of_run is not None and is_limit:
            noise |= {"seed_sd_estimate": of_run.variation.seed_sd, "seed_sd_confidence": PLANNING_CONFIDENCE}
        write_json({**design._asdict(), **noise, "fewest_seeds_that_can_decide": fewest, "plans": rows})
        return
    rows = [
        [count, plan.num_seeds if plan else "over 1000", plan.power if plan else None]
        for count, plan in zip(counts, found, strict=True)
    ]
    seeds = "train seeds" if paired else "train seeds of each agent"
    title = f"To find a difference of {effect:g} with power {wanted:g}, alpha {alpha:g} over {tests} test"
    title += "s" if tests > 1 else ""
    title += f" and {pairs} pairs" if pairs > 1 else ""
    limit = ""
    if of_run is not None and is_limit:
        limit = (
            f" Between train seeds this is the run's upper {PLANNING_CONFIDENCE:.0%} limit; its estimate is "
            f"{of_run.variation.seed_sd:.3g}. A run with more train seeds brings the two together."
        )
    note = (
        f"Standard deviation {variation.seed_sd:.3g} between train seeds, {variation.episode_sd:.3g} between episodes."
        f"{limit} With fewer than {fewest} seeds in one game a report cannot decide, whatever the scores."
    )
    write_table(title, ["episodes a cell", seeds, "power"], rows, note)


def _noise_of_run(run_dir: Path | None, measure: str) -> RunNoise | None:
    if run_dir is None:
        return None
    from wsabench.results import load_result
    from wsabench.summary.noise import noise_of_run

    return noise_of_run(load_result(run_dir), measure)


def _variation(of_run: RunNoise | None, seed_sd: float | None, episode_sd: float | None) -> Variation:
    """Return the noise as given, what is not given from a run."""
    from wsabench.stats import Variation

    if of_run is None:
        if seed_sd is None or episode_sd is None:
            raise SpecError(
                "The noise is not known. Give --seed-sd and --episode-sd, or --from RUN_DIR to take them from a run."
            )
        return Variation(seed_sd, episode_sd)
    if seed_sd is None and of_run.seed_sd_limit == 0:
        raise SpecError(
            "The train seeds of this run differ no more than their episodes explain, so it does not tell how much "
            "seeds vary, and planning with 0 would promise too much. Give --seed-sd, from a run with more train seeds "
            "or more episodes, or several values to see what the plan hangs on."
        )
    return Variation(
        of_run.seed_sd_limit if seed_sd is None else seed_sd,
        of_run.variation.episode_sd if episode_sd is None else episode_sd,
    )


def _counts(text: str | None) -> list[int]:
    if text is None:
        return list(DEFAULT_EPISODES)
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise SpecError(f"--episodes is {text!r}. Allowed: integers from 1, separated by commas, as 10,30.")
    return [int(word) for word in words]
