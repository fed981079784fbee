"""Frames are held to their schemas."""

import numpy as np
import pandas as pd
import pytest

from sightlines.core.errors import SchemaError
from sightlines.plan.table_schemas import Schema, columns
from sightlines.results.tables import empty, joined, required

DECLARED = (
    ("name", "text", "", "a"),
    ("count", "int", "", "b"),
    ("value", "float", "", "c"),
    ("small", "float32", "", "d"),
    ("is_in", "bool", "", "e"),
    ("note", "text", "", "f", "optional"),
)
SCHEMA = Schema("mine.parquet", "Mine", "thing", tuple(columns(DECLARED)), "measures/mine")
DTYPES = ["str", "int64", "float64", "float32", "bool"]


def frame(**changes):
    small = np.array([1, 2], np.float32)
    own = {"is_in": [True, False], "small": small, "value": [0.5, np.nan], "count": [1, 2]}
    return pd.DataFrame(own | {"name": ["a", "b"]} | changes)


def test_columns_get_the_declared_order_and_types():
    table = joined([frame(), frame(value=[1, 2])], SCHEMA)
    assert list(table.columns) == ["name", "count", "value", "small", "is_in"]
    assert [str(dtype) for dtype in table.dtypes] == DTYPES
    assert table.index.tolist() == [0, 1, 2, 3] and table["value"].iloc[3] == 2


def test_an_optional_column_comes_where_it_is_declared():
    table = joined([frame(), frame(note=["x", "y"])], SCHEMA)
    assert (
        list(table.columns)[-1] == "note"
        and table["note"].isna().tolist() == [True] * 2 + [False] * 2
    )


def test_nothing_makes_an_empty_table_of_the_declared_types():
    for nothing in ([], pd.DataFrame(), [pd.DataFrame(), frame()[:0]], iter(())):
        table = joined(nothing, SCHEMA)
        assert len(table) == 0 and [str(dtype) for dtype in table.dtypes] == DTYPES
    assert tuple(empty(SCHEMA).columns) == SCHEMA.required


def test_a_number_that_is_always_missing_is_a_number():
    assert joined(frame(value=[None, None]), SCHEMA)["value"].dtype == "float64"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": [1.0, 2.0]}, "column count of mine.parquet is declared int, but holds float64"),
        ({"count": [True, False]}, "column count .* declared int"),
        ({"value": ["1", "2"]}, "column value .* declared float"),
        ({"small": [0.1, 0.2]}, "column small .* declared float32, but holds float64"),
        ({"name": [1, 2]}, "column name .* declared text"),
        ({"is_in": [1, 0]}, "column is_in .* declared bool"),
        ({"more": [1, 2]}, "mine.parquet has the undeclared columns more"),
    ],
)
def test_what_is_not_as_declared_is_named_with_its_writer(changes, message):
    with pytest.raises(SchemaError, match=rf"measures/mine\.py: {message}"):
        joined(frame(**changes), SCHEMA)


def test_a_missing_column_is_named():
    with pytest.raises(SchemaError, match=r"measures/mine\.py: .* lacks the columns value"):
        joined(frame().drop(columns="value"), SCHEMA)


def test_what_readers_rely_on_is_every_required_column():
    assert required("history.csv") == ("step", "split", "loss", "accuracy", "learning_rate")
    assert required("cka.parquet")[-2:] == ("cka", "cka_se")
    assert required("cka_replicates.safetensors") == required("mine.csv") == ()
