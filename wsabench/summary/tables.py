"""Small typed views of data frames, shared by the summary and the report."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, cast

import pandas as pd


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as dictionaries from column to value.

    Args:
        table: Any table with text columns' names.
    """
    return cast("list[dict[str, Any]]", table.to_dict(orient="records"))


def rows_where(table: pd.DataFrame, **values: Hashable) -> pd.DataFrame:
    """Return the rows whose columns have the given values, with their old index.

    Args:
        table: Any table, also one without rows or columns.
        values: Wanted value by column.
    """
    for column, value in values.items():
        table = cast("pd.DataFrame", table[table[column] == value]) if len(table) else table
    return table


def rows_except(table: pd.DataFrame, **values: Hashable) -> pd.DataFrame:
    """Return the rows whose columns have other than the given values, with their old index.

    Args:
        table: Any table, also one without rows or columns.
        values: Unwanted value by column.
    """
    for column, value in values.items():
        table = cast("pd.DataFrame", table[table[column] != value]) if len(table) else table
    return table


def groups_of(table: pd.DataFrame, *columns: str) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Return the groups of equal values in `columns`, in the order of their first rows.

    Args:
        table: Any table, also one without rows or columns.
        columns: Columns' names.
    """
    if table.empty:
        return []
    return [
        (cast("tuple[Any, ...]", key), part) for key, part in table.groupby(list(columns), sort=False, dropna=False)
    ]
