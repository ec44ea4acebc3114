"""What is known of every unit?  The rows of `units.parquet`, and the long form of all curves."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from convscope.finding import Finding
from convscope.study.claim import TRAINED, Column, Measured

QUANTILES = (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)
CURVES = pa.schema(
    [("layer", pa.string()), ("unit", pa.int32()), ("kind", pa.string())]
    + [(name, pa.float64()) for name in ("x", "y", "lo", "hi")]
    + [("n", pa.int64())]
)


def described(measured: Measured) -> dict[str, Column]:
    """The columns that every study has: where the unit is, how strongly it answers, to which images most."""
    layers = measured.layers
    moments = [measured.result(TRAINED, layer, "moments") for layer in layers]
    distributions = [measured.result(TRAINED, layer, "distribution") for layer in layers]
    sizes = [len(found.mean) for found in moments]
    ids = _ids_by_key(measured)
    tables = [measured.result(TRAINED, layer, "exemplars") for layer in layers]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([np.where(found.n_images > 0, getattr(found, name), np.nan) for found in moments])

    return {
        "layer": Column("name", [layer for layer, n in zip(layers, sizes, strict=True) for _ in range(n)]),
        "unit": Column("number, from 0", np.concatenate([np.arange(n, dtype=np.int32) for n in sizes])),
        "mean": Column("activation", joined("mean")),
        "std": Column("activation", joined("std")),
        "max": Column("activation", joined("max")),
        "on_frac": Column("share of images", joined("on_frac")),
        "active_frac": Column("share of neurons", np.concatenate([d.active_frac for d in distributions])),
        "median": Column("activation", np.concatenate([d.quantile(0.5) for d in distributions])),
        "quantile_995": Column("activation", np.concatenate([d.quantile(0.995) for d in distributions])),
        "exemplar_ids": Column("ids of images, strongest first", [_known(ids, row) for t in tables for row in t.keys]),
        "exemplar_values": Column(
            "activation", [row[: _n(k)].tolist() for t in tables for row, k in _rows(t, "values")]
        ),
        "exemplar_y": Column("row of the map", [row[: _n(k)].tolist() for t in tables for row, k in _rows(t, "y")]),
        "exemplar_x": Column("column of the map", [row[: _n(k)].tolist() for t in tables for row, k in _rows(t, "x")]),
    }


def _rows(table: Any, name: str) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    return zip(getattr(table, name), table.keys, strict=True)


def _n(keys: np.ndarray) -> int:
    return int((keys >= 0).sum())


def _known(ids: Sequence[str], keys: np.ndarray) -> list[str]:
    return [ids[key] for key in keys if key >= 0]


def _ids_by_key(measured: Measured) -> list[str]:
    from convscope.sweep.engine import keys_of

    ids = np.empty(len(measured.images), object)
    ids[keys_of(measured.images)] = measured.images.ids
    return list(ids)


def with_columns(table: pa.Table | None, columns: dict[str, Column]) -> pa.Table:
    """The table with these columns added, or put in the place of those of the same name."""
    for name, column in columns.items():
        values = pa.array(column.values)
        if table is None:
            table = pa.table({name: values})
        elif name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, values)
        else:
            table = table.append_column(name, values)
    assert table is not None
    return table


def quantile_curves(measured: Measured) -> pa.Table:
    """The distribution of every unit's values, as quantiles."""
    parts = []
    for layer in measured.layers:
        found = measured.result(TRAINED, layer, "distribution")
        values = np.stack([found.quantile(q) for q in QUANTILES], axis=1)  # unit quantile
        n_units, n = values.shape
        lost = np.full(n_units * n, np.nan)
        parts.append(
            pa.table(
                {
                    "layer": [layer] * (n_units * n),
                    "unit": np.repeat(np.arange(n_units, dtype=np.int32), n),
                    "kind": ["quantile"] * (n_units * n),
                    "x": np.tile(np.array(QUANTILES), n_units),
                    "y": values.ravel(),
                    "lo": pa.array(lost, from_pandas=True),
                    "hi": pa.array(lost, from_pandas=True),
                    "n": np.repeat(found.counts.sum(axis=1), n),
                },
                schema=CURVES,
            )
        )
    return pa.concat_tables(parts)


def layer_curves(findings: Iterable[Finding], depth: dict[str, int], n_images: int) -> pa.Table:
    """The curves over depth that the findings show, x being the depth of the layer."""
    rows = []
    for finding in findings:
        for part in finding.evidence:
            if part["panel"] != "curves" or not depth.keys() >= set(
                part["x"]
            ):  # some run over other things than layers
                continue
            for series in part["series"]:
                nothing = [None] * len(part["x"])
                low, high = series["low"] or nothing, series["high"] or nothing
                for layer, y, lo, hi in zip(part["x"], series["values"], low, high, strict=True):
                    kind = f"{finding.claim}: {series['name']}"
                    row = {
                        "layer": layer,
                        "kind": kind,
                        "x": float(depth[layer]),
                        "y": y,
                        "lo": lo,
                        "hi": hi,
                        "n": n_images,
                    }
                    rows.append({"unit": None, **row})
    return pa.Table.from_pylist(rows, schema=CURVES)
