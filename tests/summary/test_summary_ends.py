"""How episodes ended, beside the clean ones of the same network and seed."""

import pandas as pd
from result_fixture import made_manifest

from wsabench.processes import here
from wsabench.summary.measures import Ends
from wsabench.summary.summarise import _ends


def episode(agent, label, seed, total, end="game_over"):
    return {
        "agent": agent, "train_seed": 0, "game": "g", "label": label, "episode_seed": seed,
        "return": total, "length": 10, "end": end,
    }  # fmt: skip


def test_clean_episodes_of_another_agent_are_none_of_its_own():
    table = pd.DataFrame(
        [
            episode("a", "clean", 1, 5.0),
            episode("a", "clean", 2, 6.0),
            episode("a", "hue@1", 1, 5.0),
            episode("a", "hue@1", 2, 7.0, "stalled"),
            episode("b", "hue@1", 1, 5.0),
            episode("b", "hue@1", 2, 6.0, "time_limit"),
            episode("b", "clean", 1, 4.0),
        ]
    )
    assert _ends(here, table, made_manifest().plan) == {
        ("a", "g", "clean"): Ends(0, 0, 2),
        ("a", "g", "hue@1"): Ends(1, 0, 1),
        ("b", "g", "clean"): Ends(0, 0, 1),
        ("b", "g", "hue@1"): Ends(0, 1, 0),
    }
