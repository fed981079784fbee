"""Tables as data frames: held to their schemas when they are written, and when they are read."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightlines.core.errors import ResultError, SchemaError
from sightlines.core.files import read_table
from sightlines.plan.table_schemas import Column, Schema, schemas

if TYPE_CHECKING:
    import pandas as pd

NORM = "norm"
"""Name of the final norm, which is at depth 1, as the last block is; ResNets have none."""
DTYPES = {"int": "int64", "float": "float64", "float32": "float32", "text": "str", "bool": "bool"}
"""Type of a column (`table_schemas.TYPES`) -> dtype of pandas."""


def required(name: str) -> tuple[str, ...]:
    """Columns that a table must have, from the schema of the module that writes it.

    Args:
        name: Of its file, such as ``layers.csv``.

    Returns:
        Their names; no names where no module declares such a table, which is not checked.
    """
    schema = schemas().get(name)
    return schema.required if schema else ()


def read_checked(path: Path, kind: str) -> Any:
    """Read a data frame and check that it has the columns of `kind`, such as ``layers.csv``.

    Raises:
        ResultError: the file is missing or damaged, or lacks columns.
    """
    table = read_table(path)
    missing = [name for name in required(kind) if name not in table]
    if missing:
        raise ResultError(
            f"{path} lacks the columns {', '.join(missing)}. "
            "Delete it and run snakemake again to rebuild it."
        )
    return table


def empty(schema: Schema) -> "pd.DataFrame":
    """A table without rows, with the columns that every such table has."""
    import pandas as pd

    always = [column for column in schema.columns if not column.is_optional]
    return pd.DataFrame({c.name: pd.Series(dtype=DTYPES[c.type]) for c in always})


def joined(parts: "pd.DataFrame | Iterable[pd.DataFrame]", schema: Schema) -> "pd.DataFrame":
    """One table of frames, as its schema says: columns checked, in order, and of their types.

    Frames without rows add nothing, so they need no columns.

    Raises:
        SchemaError: naming the writer, the table and the column that is missing, unknown or of
            another type.
    """
    import pandas as pd

    whole = [part for part in ([parts] if isinstance(parts, pd.DataFrame) else parts) if len(part)]
    if not whole:
        return empty(schema)
    table = whole[0] if len(whole) == 1 else pd.concat(whole, ignore_index=True)
    missing = [name for name in schema.required if name not in table]
    known = [column for column in schema.columns if column.name in table]
    unknown = [str(name) for name in table if name not in {column.name for column in known}]
    if missing:
        raise SchemaError(
            f"{schema.writer}.py: {schema.name} lacks the columns {', '.join(missing)}"
        )
    if unknown:
        raise SchemaError(
            f"{schema.writer}.py: {schema.name} has the undeclared columns {', '.join(unknown)}"
        )
    return pd.DataFrame(
        {column.name: _cast(table[column.name], column, schema) for column in known}
    )


def _cast(values: "pd.Series[Any]", column: Column, schema: Schema) -> "pd.Series[Any]":
    """A column in the dtype that is declared; what would change a value is refused."""
    if not _fits(values, column.type):
        raise SchemaError(
            f"{schema.writer}.py: column {column.name} of {schema.name} is declared {column.type}, "
            f"but holds {values.dtype}"
        )
    if column.type == "bool" and values.isna().any():
        return values  # a missing truth value has no place in numpy's bool
    dtype: Any = DTYPES[column.type]
    return values.astype(dtype)


def _fits(values: "pd.Series[Any]", kind: str) -> bool:
    from pandas.api import types

    if kind == "int":
        return types.is_integer_dtype(values)
    if kind == "float32":
        return values.dtype == "float32"
    if kind == "float":
        is_number = types.is_numeric_dtype(values) and not types.is_bool_dtype(values)
        return is_number or bool(values.isna().all())
    wanted = str if kind == "text" else bool
    if kind == "bool" and types.is_bool_dtype(values):
        return True
    return all(isinstance(value, wanted) for value in values.dropna().tolist())
