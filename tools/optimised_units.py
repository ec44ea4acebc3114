"""Do optimised images reach their bars on real networks?  Units over all depths and classes, against photographs and raw ascent.

    OMP_WAIT_POLICY=PASSIVE python tools/optimised_units.py DATA OUT [--network NAME] [--way WAY] [--units 25] [--classes 24]

DATA is the folder of real networks and images. Units are chosen by rule: layers evenly spaced over the table of layers, one
live unit of each, drawn at random. What is measured is kept in OUT a row a line, with the pictures, and gone on with. The sweep
takes a minute or two a network; the default and raw pictures of 25 units about 5 minutes on SqueezeNet and 10 on MobileNetV2,
on one core; each further regulariser half of that; the classes as long as the units.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from side_by_side import CASES

import convscope as cs
from convscope.instruments.appearance import RAW, YOSINSKI, Driven, Optimise, Optimised, Phase, driven
from convscope.instruments.appearance.driven import n_top
from convscope.network import Network
from convscope.sweep.engine import gauges_for, sweep
from convscope.sweep.gauges import Exemplars, Moments

N_CLASSES = 1000
OWN = ("squeezenet1_1", "mobilenetv2")  # whose units; classes are shown to all the others
DEFAULT, RAW_NAME = "Fourier", "raw ascent"
WAYS = {DEFAULT: Optimise(), RAW_NAME: RAW, "phases": Optimise(parameterization=Phase()), **YOSINSKI}
OF_CLASSES = {DEFAULT: replace(Optimise(), n_restarts=2), RAW_NAME: RAW}
Row = dict[str, Any]


class Rows:
    """What was measured so far: one row a line, with a key; a killed run goes on behind the last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.found: dict[str, Row] = {row["key"]: row for row in map(json.loads, lines)}

    def add(self, row: Row) -> None:
        self.found[row["key"]] = row
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--network", "names", multiple=True, default=OWN, help="Whose units, of: " + ", ".join(CASES))
@click.option("--units", "n_units", default=25, help="Units a network.")
@click.option("--classes", "n_classes", default=24, help="Classes a network.")
@click.option("--way", "ways", multiple=True, help="What to measure: classes, or one of: " + ", ".join(WAYS))
@click.option("--threads", default=1)
@click.option("--tables", is_flag=True, help="Print the tables of what is there; measure nothing.")
def main(
    data: Path,
    out: Path,
    names: tuple[str, ...],
    n_units: int,
    n_classes: int,
    ways: tuple[str, ...],
    threads: int,
    *,
    tables: bool,
) -> None:
    """Measures what is not there yet, then prints the tables."""
    torch.set_num_threads(threads)
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    rows = Rows(out / "rows.jsonl")
    if not tables:
        networks = {name: _load(data, name) for name in CASES}
        chosen = {name: _chosen(networks[name], data, out / f"natural_{name}_{n_units}.npz", n_units) for name in names}
        for way in ways or (DEFAULT, RAW_NAME, "classes", *WAYS):
            for name in names:
                if way == "classes":
                    _classes(name, networks, n_classes, rows, out)
                else:
                    _units(name, networks[name], chosen[name], way, rows, out)
    for line in (*_unit_table(rows, names), "", *_way_table(rows, names), "", *_class_table(rows, names)):
        print(line)


def _load(data: Path, name: str) -> Network:
    case = CASES[name]
    return cs.load(case.spec, weights=data / "weights" / f"{case.weights}.safetensors", **case.options)


def _chosen(network: Network, data: Path, kept: Path, n: int) -> list[tuple[str, int, float]]:
    """Layer, unit, and its strongest response to a photograph; layers evenly spaced over the table."""
    table = [layer.name for layer in network.layers]
    layers = [table[i] for i in np.linspace(0, len(table) - 1, n).round().astype(int)]
    if not kept.exists():
        gauges = gauges_for(network, layers, lambda n_units: [Exemplars(n_units, 1), Moments(n_units)])
        sweep(network, cs.images(data / "images" / "imagenet1k_sample"), gauges)
        found = {f"{layer}/peak": gauges[layer]["exemplars"].result().values[:, 0] for layer in layers}
        dead = {f"{layer}/dead": gauges[layer]["moments"].result().dead for layer in layers}
        np.savez(kept, **found, **dead)
    natural = np.load(kept)
    rng, chosen = np.random.default_rng(0), []
    for layer in layers:
        live = np.flatnonzero(~natural[f"{layer}/dead"])
        unit = int(rng.choice(live))
        chosen.append((layer, unit, float(natural[f"{layer}/peak"][unit])))
    return chosen


def _units(name: str, network: Network, chosen: list[tuple[str, int, float]], way: str, rows: Rows, out: Path) -> None:
    for depth, (layer, unit, natural) in enumerate(chosen):
        key = f"{name}|{layer}:{unit}|{way}"
        if key in rows.found:
            continue
        (found,) = WAYS[way](network, f"{layer}:{unit}")
        (check,) = driven(found, natural=natural)
        row = _row(key, found, check, out)
        rows.add(row | {"network": name, "depth": depth, "unit": f"{layer}:{unit}", "way": way})


def _classes(name: str, networks: dict[str, Network], n: int, rows: Rows, out: Path) -> None:
    others = {key: other for key, other in networks.items() if key != name}
    for way, method in OF_CLASSES.items():
        for target in np.linspace(0, networks[name].n_classes - 1, n).round().astype(int).tolist():
            key = f"{name}|class {target}|{way}"
            if key in rows.found:
                continue
            (found,) = method(networks[name], target)
            ranks = {other: driven(found, other=network)[0].other_rank for other, network in others.items()}
            (check,) = driven(found)
            row = _row(key, found, check, out)
            rows.add(row | {"network": name, "class": target, "way": way, "rank": check.rank, "other_ranks": ranks})


def _row(key: str, found: Optimised, check: Driven, out: Path) -> Row:
    Image.fromarray(found.shown).save(out / "pictures" / f"{key.replace('|', '_').replace(':', '_')}.png")
    names = ("value", "rendered", "shifted", "weakest", "natural", "high_power", "high_frac")
    beats = check.natural is not None and not check.failed
    return {"key": key, "size": found.canvas.size, "beats": beats} | {name: getattr(check, name) for name in names}


def _of(rows: Rows, name: str, way: str, kind: str) -> Iterator[Row]:
    return (row for row in rows.found.values() if row["network"] == name and row["way"] == way and kind in row)


def _unit_table(rows: Rows, names: tuple[str, ...]) -> Iterator[str]:
    """One line a unit: the default picture against the best photograph and against raw ascent."""
    heads = "unit | canvas px | best photograph | picture | bytes, worst shift | beats it | raw moved | power, share of raw's"
    yield f"| network | {heads} |"
    yield "|---" * 9 + "|"
    for name in names:
        for row in sorted(_of(rows, name, DEFAULT, "unit"), key=lambda row: row["depth"]):
            raw = rows.found.get(f"{name}|{row['unit']}|{RAW_NAME}")
            moved, ratios = ("", "") if raw is None else (f"{raw['weakest']:.3g}", _ratios(row, raw))
            yield (
                f"| {name} | {row['unit']} | {'x'.join(map(str, row['size']))} | {row['natural']:.3g} | {row['value']:.3g} | "
                f"{row['rendered']:.3g}, {row['weakest']:.3g} | {'yes' if row['beats'] else 'NO'} | {moved} | {ratios} |"
            )


def _ratios(row: Row, raw: Row) -> str:
    return ", ".join(f"{row[key] / max(raw[key], 1e-12):.2f}" for key in ("high_power", "high_frac"))


def _way_table(rows: Rows, names: tuple[str, ...]) -> Iterator[str]:
    """One line a regulariser: how many units beat the best photograph, and how much fine noise there is."""
    heads = "units | beat the photographs | power at most half of raw's | median | share at most half | median"
    yield f"| network | optimised by | {heads} |"
    yield "|---" * 8 + "|"
    for name in names:
        for way in WAYS:
            found = list(_of(rows, name, way, "unit"))
            pairs = [(row, raw) for row in found if (raw := rows.found.get(f"{name}|{row['unit']}|{RAW_NAME}"))]
            cells = []
            for key in ("high_power", "high_frac"):
                ratios = np.array([row[key] / max(raw[key], 1e-12) for row, raw in pairs])
                cells += [f"{(ratios <= 0.5).sum()}", f"{np.median(ratios):.2f}"] if len(ratios) else ["", ""]
            yield f"| {name} | {way} | {len(found)} | {sum(row['beats'] for row in found)} | {' | '.join(cells)} |"


def _class_table(rows: Rows, names: tuple[str, ...]) -> Iterator[str]:
    yield "| network | optimised by | classes | own top-1 | top-5 of another network |"
    yield "|---|---|---|---|---|"
    for name in names:
        for way in OF_CLASSES:
            found = list(_of(rows, name, way, "class"))
            others = found[0]["other_ranks"] if found else ()
            top = [f"{other} {sum(row['other_ranks'][other] < n_top(N_CLASSES) for row in found)}" for other in others]
            yield f"| {name} | {way} | {len(found)} | {sum(row['rank'] == 0 for row in found)} | {', '.join(top)} |"


if __name__ == "__main__":
    main()
