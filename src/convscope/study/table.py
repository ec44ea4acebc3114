"""How does a table of a study reach its reader?  As arrow, pandas, polars, or a column at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from convscope.errors import MissingExtraError, UnknownNameError


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with named columns, as they stand in a Parquet file of the study."""

    arrow: pa.Table

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def __getitem__(self, column: str) -> np.ndarray:
        """One column as a numpy array. Raises UnknownNameError with the nearest columns."""
        if column not in self.arrow.column_names:
            raise UnknownNameError("column", column, self.arrow.column_names)
        return np.asarray(self.arrow[column].to_numpy(zero_copy_only=False))

    def __repr__(self) -> str:
        return f"Table({len(self):,} rows: {', '.join(self.arrow.column_names)})"

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.arrow.column_names)

    def rows(self) -> list[dict[str, Any]]:
        """Every row as a dictionary."""
        return list(self.arrow.to_pylist())

    def to_arrow(self) -> pa.Table:
        return self.arrow

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame. Raises MissingExtraError where pandas is not installed."""
        _need("pandas")
        return self.arrow.to_pandas()

    def to_polars(self) -> Any:
        """The table as a polars DataFrame. Raises MissingExtraError where polars is not installed."""
        return _need("polars").from_arrow(self.arrow)


def _need(package: str) -> Any:
    from importlib import import_module  # optional, and slow to import

    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtraError(f"A table was asked for as {package}.", package, "tables") from error
