"""The written names of cells in a table of episodes."""

import pandas as pd

from wsabench.results.tables import with_labels, written_name


def test_each_row_has_the_written_name_of_its_cell():
    severity = pd.array([3, None, 1, 3, None, 3], "Int64")
    table = pd.DataFrame({"perturbation": ["hue", "clean", "hue", "blur", "clean", "hue@3"], "severity": severity})
    labels = with_labels(table)["label"]
    assert list(labels) == [written_name(*row) for row in table.itertuples(index=False)]
    assert list(labels) == ["hue@3", "clean", "hue@1", "blur@3", "clean", "hue@3"]


def test_a_table_without_rows_has_no_labels():
    empty = pd.DataFrame({"perturbation": [], "severity": pd.array([], "Int64")})
    assert list(with_labels(empty)["label"]) == []
