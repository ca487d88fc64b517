"""`wsabench power`: how many train seeds and episodes a planned comparison, average or gate needs, and the hours."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from wsabench.cli.options import Json
from wsabench.cli.terminal.console import parse_integers, write_json, write_table
from wsabench.errors import SpecError, unknown_name
from wsabench.words import counted

if TYPE_CHECKING:
    from wsabench.stats import Variation
    from wsabench.summary.noise import RunNoise

HELP = "Tell how many train seeds and episodes a comparison or a gate needs, and the hours."
EXAMPLE = "Example: wsabench power --effect 0.1 --seed-sd 0.08 --episode-sd 0.3"

MEASURES = ("retention", "robustness_gap", "normalised_score")
DEFAULT_EPISODES = (5, 10, 20, 30, 50, 100)
PLANS = ("comparison", "average", "gate")
_EPISODES = f"Episodes per cell that are tried. Default: {','.join(map(str, DEFAULT_EPISODES))}."
_PLAN = "One cell of two agents, the average over cells, or a gate (`wsabench check`)."
_CELLS = "Cells that each train seed plays: those of an average or gate; default 1, or a gate's --from."
_AGENTS = "Agents in a gate; default: 1, or those of --from."
_SECONDS = "Cost of an episode; default: that of --from."
_HOURS = "Cost of training one seed; default: recorded trainings of the agents of --from."


def power(
    effect: Annotated[float, typer.Option(help="What should be found: 0.1 of retention say; gate: share lost, 0.4.")],
    what: Annotated[str, typer.Option("--plan", metavar="|".join(PLANS), help=_PLAN)] = "comparison",
    seed_sd: Annotated[float | None, typer.Option(help="Standard deviation between train seeds.")] = None,
    episode_sd: Annotated[float | None, typer.Option(help="Standard deviation between episodes of a seed.")] = None,
    run_dir: Annotated[Path | None, typer.Option("--from", help="A run to take what is not given from.")] = None,
    measure: Annotated[str, typer.Option(help=f"With --from: {', '.join(MEASURES)}.")] = "retention",
    tests: Annotated[int, typer.Option(min=1, help="Size of the family: one test per perturbation.")] = 1,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of agents that are compared: 3 for three agents.")] = 1,
    paired: Annotated[bool, typer.Option("--paired", help="Clean against perturbed, in the same seeds.")] = False,
    alpha: Annotated[float, typer.Option(help="Share of false claims that is accepted.")] = 0.05,
    wanted: Annotated[float, typer.Option("--power", help="Probability of finding the effect.")] = 0.8,
    try_episodes: Annotated[str | None, typer.Option(metavar="NUMBER,...", help=_EPISODES)] = None,
    cells: Annotated[int | None, typer.Option(min=1, help=_CELLS)] = None,
    num_agents: Annotated[int | None, typer.Option(min=1, help=_AGENTS)] = None,
    score: Annotated[float | None, typer.Option(help="Gate: normalised score of the reference in a cell.")] = None,
    margin: Annotated[float, typer.Option(help="Gate: share of the score that may be lost.")] = 0.2,
    reference_episodes: Annotated[int, typer.Option(min=2, help="Gate: episodes per cell of the reference.")] = 20,
    seconds_per_episode: Annotated[float | None, typer.Option(min=0.0, help=_SECONDS)] = None,
    hours_per_seed: Annotated[float | None, typer.Option(min=0.0, help=_HOURS)] = None,
    as_json: Json = False,
) -> None:
    """Print, for each number of episodes, what is found, or the fewest train seeds that find it, and the hours."""
    if what not in PLANS:
        raise unknown_name("plan", what, PLANS)
    counts = DEFAULT_EPISODES if try_episodes is None else parse_integers("--try-episodes", try_episodes.split(","), 1)
    costs = _costs(run_dir, seconds_per_episode, hours_per_seed)
    if what == "gate":
        case = _gate_case(run_dir, score, episode_sd, cells, num_agents)
        _print_gate(case, (effect, margin, alpha, wanted), counts, reference_episodes, costs, as_json=as_json)
        return
    from wsabench.stats import PLANNING_CONFIDENCE, Design, averaged, plans, seeds_to_decide

    if measure not in MEASURES:
        raise unknown_name("measure", measure, MEASURES)
    of_run = _noise_of_run(run_dir, measure)
    num_cells = cells or 1
    variation = _variation(of_run, seed_sd, episode_sd)
    variation = averaged(variation, num_cells) if what == "average" else variation
    is_limit = of_run is not None and seed_sd is None
    design = Design(effect, paired, tests, alpha, wanted, pairs)
    found = plans(design, variation, counts)
    fewest = seeds_to_decide(pairs, alpha, paired=paired)
    sides = 1 if paired else 2
    hours = [
        costs.of(plan.num_seeds * sides, num_cells * plan.num_episodes) if plan else (None, None) for plan in found
    ]
    if as_json:
        rows = [
            {**plan._asdict(), "hours_of_play": play, "hours_of_training": training} if plan else None
            for plan, (play, training) in zip(found, hours, strict=True)
        ]
        noise = variation._asdict()
        if of_run is not None and is_limit:
            noise |= {"seed_sd_estimate": of_run.variation.seed_sd, "seed_sd_confidence": PLANNING_CONFIDENCE}
        write_json({**design._asdict(), **noise, "fewest_seeds_that_can_decide": fewest, "plans": rows})
        return
    seeds = "train seeds" if paired else "train seeds of each agent"
    over = f" of the average over {counted(num_cells, 'cell')}" if what == "average" else ""
    title = f"To find a difference of {effect:g}{over} with power {wanted:g}, alpha {alpha:g} over "
    title += counted(tests, "test") + (f" and {counted(pairs, 'pair')}" if pairs > 1 else "")
    limit = ""
    if of_run is not None and is_limit:
        limit = (
            f" Between train seeds this is the run's upper {PLANNING_CONFIDENCE:.0%} limit; its estimate is "
            f"{of_run.variation.seed_sd:.3g}. A run with more train seeds brings the two together."
        )
    note = (
        f"Standard deviation {variation.seed_sd:.3g} between train seeds, {variation.episode_sd:.3g} between episodes"
        f"{', averaged over cells' if over else ''}."
        f"{limit} With fewer than {fewest} seeds in one game a report cannot decide, whatever the scores."
        f"{costs.note}"
    )
    rows = [
        [count, plan.num_seeds if plan else "over 1000", plan.power if plan else None, *costs.shown(each)]
        for count, plan, each in zip(counts, found, hours, strict=True)
    ]
    write_table(title, ["episodes a cell", seeds, "power", *costs.columns], rows, note)


class _Costs(NamedTuple):
    """What an episode and a train seed cost, None where nobody knows, and where that comes from."""

    seconds_per_episode: float | None
    hours_per_seed: float | None
    note: str

    def of(self, num_trained: int, num_episodes: int) -> tuple[float | None, float | None]:
        """Return hours of play and of training for so many train seeds with so many episodes each."""
        play, training = self.seconds_per_episode, self.hours_per_seed
        return (
            None if play is None else num_trained * num_episodes * play / 3600.0,
            None if training is None else num_trained * training,
        )

    @property
    def columns(self) -> list[str]:
        """The headings of what is known."""
        known = (self.seconds_per_episode, self.hours_per_seed)
        return [name for name, value in zip(("h of play", "h of training"), known, strict=True) if value is not None]

    def shown(self, hours: tuple[float | None, float | None]) -> list[float | None]:
        """Return the values below these headings."""
        known = (self.seconds_per_episode, self.hours_per_seed)
        return [hour for hour, value in zip(hours, known, strict=True) if value is not None]


def _costs(run_dir: Path | None, seconds: float | None, hours: float | None) -> _Costs:
    """Return costs as given, else as measured in the run and by the records of the shipped agents' training."""
    notes: list[str] = []
    if run_dir is not None:
        from wsabench.results import load_result

        result = load_result(run_dir)
        starts = result.manifest.history.starts
        if seconds is None and len(starts) == 1 and starts[0].end is not None and len(result.episodes):
            began, ended = (datetime.fromisoformat(time) for time in (starts[0].start, starts[0].end))
            seconds = (ended - began).total_seconds() / len(result.episodes)
            notes.append(f"{seconds:.2g} s an episode, as the run took on {counted(starts[0].host.cores, 'core')}")
        if hours is None:
            trained = _hours_of_records({entry.agent for entry in result.manifest.plan.agents})
            if trained:
                hours = sum(each for _, each in trained) / len(trained)
                names = ", ".join(sorted({name for name, _ in trained}))
                notes.append(f"{hours:.2g} h a train seed, the mean of {len(trained)} recorded trainings of {names}")
    return _Costs(seconds, hours, f" Hours: {'; '.join(notes)}." if notes else "")


def _hours_of_records(agents: Collection[str]) -> list[tuple[str, float]]:
    """Return the name and the hours of each finished training of these agents, as `baselines/records` holds them."""
    from wsabench.resources import data_dir

    hours = []
    for path in sorted((data_dir("baselines") / "records").glob("*.json")):
        for entry in json.loads(path.read_text(encoding="utf-8"))["runs"]:
            if entry["kind"] == "train" and entry["outcome"] == "finished" and entry["name"] in agents:
                hours.append((entry["name"], sum(float(session["hours"]) for session in entry["sessions"])))
    return hours


class _GateCase(NamedTuple):
    """What is checked: score and noise of a cell, cells an agent, agents; and what a run has that is not checked."""

    score: float
    episode_sd: float
    num_cells: int
    num_agents: int
    left_out: Sequence[str] = ()


def _gate_case(
    run_dir: Path | None, score: float | None, episode_sd: float | None, cells: int | None, agents: int | None
) -> _GateCase:
    """Return what is checked as given, what is not given from the cells of a run that a check would test."""
    if run_dir is None:
        if score is None or episode_sd is None:
            raise SpecError("A gate is planned from --score and --episode-sd, or --from RUN_DIR takes them from a run.")
        return _GateCase(score, episode_sd, cells or 1, agents or 1)
    if score is not None and episode_sd is not None and cells is not None and agents is not None:
        return _GateCase(score, episode_sd, cells, agents)
    from wsabench.gate.planning import TestedCells
    from wsabench.results import load_result

    tested = TestedCells(load_result(run_dir))
    if score is None or episode_sd is None:
        typical = tested.typical()
        score = typical[0] if score is None else score
        episode_sd = typical[1] if episode_sd is None else episode_sd
    return _GateCase(score, episode_sd, cells or tested.num_cells, agents or tested.num_agents, tested.left_out)


def _print_gate(
    case: _GateCase,
    asked: tuple[float, float, float, float],
    counts: Sequence[int],
    num_reference: int,
    costs: _Costs,
    *,
    as_json: bool,
) -> None:
    """Print the power of a check for each number of episodes of the run."""
    from wsabench.stats import GateDesign, gate_power

    drop, margin, alpha, wanted = asked
    design = GateDesign(drop, case.score, margin, case.num_cells, case.num_agents, alpha)
    found = [gate_power(design, case.episode_sd, count, num_reference) for count in counts]
    hours = [costs.of(case.num_agents, case.num_cells * count)[0] for count in counts]
    if as_json:
        rows = [
            {"num_episodes": count, **each._asdict(), "hours_of_play": play}
            for count, each, play in zip(counts, found, hours, strict=True)
        ]
        inputs = {**design._asdict(), "episode_sd": case.episode_sd, "reference_episodes": num_reference}
        write_json({**inputs, "left_out": list(case.left_out), "plans": rows})
        return
    is_known = costs.seconds_per_episode is not None
    body = [
        [count, each.cell, each.average, "yes" if each.average >= wanted else "no", *([play] if is_known else [])]
        for count, each, play in zip(counts, found, hours, strict=True)
    ]
    left_out = ""
    if case.left_out:
        left_out = f" Left out, because the run is not above random play there: {'; '.join(case.left_out)}."
    columns = ["episodes a cell", "power, one cell", "power, average", f"average finds it ({wanted:g})"]
    note = (
        f"One checkpoint against {counted(num_reference, 'episode')} a cell, {counted(case.num_agents, 'agent')}, "
        f"{counted(case.num_cells, 'cell')} for each, score {case.score:.3g}, standard deviation "
        f"{case.episode_sd:.3g} between episodes. Skewed scores find less: docs/gate.md.{left_out}{costs.note}"
    )
    write_table(
        f"To find a drop of {drop:.0%} where {margin:.0%} are allowed, alpha {alpha:g}",
        [*columns, *(["h of play"] if is_known else [])],
        body,
        note,
    )


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
