"""Are the network's units alive?  Which answer to no image, and which only repeat another one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.finding import Control, Finding
from convscope.intervals import Interval, bootstrap, enclosing
from convscope.registry import register
from convscope.study.claim import TRAINED, Claim, Column, Measured, Question
from convscope.sweep.gauges import Coactivation, Gauge, Moments

LEAST_IMAGES = 100  # a unit that is silent on fewer says little
N_DRAWS = 1000
RECTIFIERS = frozenset({"relu", "relu6", "hardtanh", "threshold"})  # exactly zero where they are off
SAME_CORRELATION, SAME_RATIO = 0.9999, 1e-3
NEVER = 1e-9  # a probability that no draw will meet


@dataclass(frozen=True, eq=False)
class Units:
    """The units of one layer, and which of them add nothing."""

    layer: str
    dead: np.ndarray  # bool unit
    copy_of: np.ndarray  # int64 unit: the first unit it repeats; -1 for none
    n_on: np.ndarray  # int64 unit: images in which it is on; all where it is never exactly off
    n_images: int
    compared: bool = True  # whether copies were looked for

    @property
    def useful(self) -> np.ndarray:
        """Units that are alive and repeat no other."""
        return ~self.dead & (self.copy_of < 0)


@register("claim", "alive_units")
@dataclass(frozen=True)
class AliveUnits(Claim):
    """Share of units that answer to some image and repeat no other; control: fresh weights."""

    key = "alive_units"
    statement = "Its units are alive, and no two are the same"
    quantity = "share of units that answer to some image and repeat no other unit"
    unit = "fraction"
    least = -0.05  # training may have cost up to 5 units in a hundred
    means = (
        "A unit is dead if no image moves it: it is silent, or stays at one value (its standard deviation is below a "
        "thousandth of what is usual in its layer). It is a copy if it is another unit up to scale, at every place looked at. "
        "Dead units and copies can be removed without any change. A unit that is silent on these images may answer to others: "
        "silent on n images, it answers to fewer than 3 in n (95 %). That units are alive does not say that they are useful."
    )

    def gauges(self, question: Question, which: str, layer: str, n_units: int) -> Sequence[Gauge]:
        return (Moments(n_units), Coactivation(n_units))

    def find(self, measured: Measured) -> Finding:
        layers = _seen(measured)
        own = [units_of(measured, TRAINED, layer) for layer in layers]
        if not own:
            return self.finding(summary="No unit was measured.", why_not="No image gave finite values.")
        fresh = [[units_of(measured, which, layer) for layer in layers] for which in measured.draws]
        rng = measured.rng("alive units")
        found = share_useful(own, rng)
        control = Control(
            "fresh weights",
            f"The same architecture with weights that have learned nothing, drawn {len(fresh)} times, shown the same images.",
            enclosing([share_useful(units, rng) for units in fresh]),
        )
        n = max(units.n_images for units in own)
        few = f"{n} images are too few: units that are silent on them may well answer to others. Give {LEAST_IMAGES} or more."
        return self.finding(
            value=found,
            controls=(control,),
            beyond=found.minus(control.value),
            summary=_summary(measured, own, found, control.value),
            why_not=few if n < LEAST_IMAGES else "",
            evidence=(_curves(own, fresh), *_tables(own)),
            resampled="images",
        )

    def unit_columns(self, measured: Measured) -> dict[str, Column]:
        found = [units_of(measured, TRAINED, layer) for layer in measured.layers]
        alike = [measured.result(TRAINED, layer, "coactivation").most_alike() for layer in measured.layers]
        dead = [bool(dead) if units.n_images else None for units in found for dead in units.dead]
        return {
            "dead": Column("truth value", dead),
            "copy_of": Column("unit of the same layer", _known(np.concatenate([units.copy_of for units in found]))),
            "most_alike": Column("unit of the same layer", _known(np.concatenate([unit for unit, _ in alike]))),
            "most_alike_correlation": Column("correlation", np.concatenate([correlation for _, correlation in alike])),
        }


def _seen(measured: Measured) -> list[str]:
    """The layers that gave finite values, for some image, in the network and all its controls."""
    every = (TRAINED, *measured.draws)
    return [
        layer for layer in measured.layers if all(measured.result(which, layer, "moments").n_images for which in every)
    ]


def units_of(measured: Measured, which: str, layer: str) -> Units:
    """Which units of a layer are dead, and which repeat another."""
    moments = measured.result(which, layer, "moments")
    alike = measured.result(which, layer, "coactivation")
    dead = moments.dead
    copy_of = np.full(len(dead), -1)
    for first, second in alike.duplicates(SAME_CORRELATION):
        if copy_of[second] < 0 and not dead[first] and not dead[second] and _same_shape(moments, first, second):
            copy_of[second] = first
    rectified = measured.network.layers[layer].op in RECTIFIERS
    n_on = moments.n_on if rectified else np.full(len(dead), moments.n_images)
    return Units(layer, dead, copy_of, n_on, moments.n_images, compared=alike.correlation is not None)


def _known(units: np.ndarray) -> list[int | None]:
    return [int(unit) if unit >= 0 else None for unit in units]


def _same_shape(moments: Any, first: int, second: int) -> bool:
    """Whether all that was seen of two units, not only the places looked at, is the same up to scale."""
    one, other = (np.array([moments.mean[u], moments.max[u]]) / moments.std[u] for u in (first, second))
    return bool(np.allclose(one, other, rtol=SAME_RATIO, atol=SAME_RATIO))


def share_useful(layers: list[Units], rng: np.random.Generator) -> Interval:
    """Share of useful units, and how it would vary with other images of the same kind.

    Fewer: in as many images drawn again, a unit that is on in k of n is silent with probability (1 - k / n)^n. More: of the
    units that are silent now, about as many will be on in as many new images as are on in exactly one of these (Good 1953,
    Biometrika 40:237; the first term of Efron and Thisted 1976, Biometrika 63:435), give or take twice the root of that.
    """
    useful = np.concatenate([units.useful for units in layers])
    silent = np.concatenate([(1 - units.n_on / units.n_images) ** units.n_images for units in layers])
    at_risk = silent[useful & (silent > NEVER)]
    lost = rng.binomial(1, at_risk, size=(N_DRAWS, len(at_risk))).sum(axis=1)
    fewer = bootstrap(float(useful.mean()), (useful.sum() - lost) / len(useful))
    n_once, n_silent = (sum(int((units.n_on == n).sum()) for units in layers) for n in (1, 0))
    gained = min(n_silent, n_once + 2 * n_once**0.5)
    return Interval(fewer.value, fewer.low, float(useful.sum() + gained) / len(useful))


def _faults(layers: list[Units]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [units.dead for units in layers], [units.copy_of >= 0 for units in layers]


def _summary(measured: Measured, own: list[Units], found: Interval, control: Interval) -> str:
    n_dead, n_copies = (sum(int(part.sum()) for part in parts) for parts in _faults(own))
    n = sum(len(units.dead) for units in own)
    text = (
        f"Of {n:,} units in {_counted(len(own), 'layer')} {n_dead:,} {'is' if n_dead == 1 else 'are'} dead and {n_copies:,} "
        f"{'repeats' if n_copies == 1 else 'repeat'} another: {100 * found.value:.1f} % are alive and their own, "
        f"{100 * control.value:.1f} % with fresh weights."
    )
    n_left = len(measured.layers) - len(own)
    if n_left:
        text += f" {_counted(n_left, 'layer')} without finite values {'is' if n_left == 1 else 'are'} left out."
    too_wide = [units.layer for units in own if not units.compared]
    if too_wide:
        text += f" Copies were not looked for in {_counted(len(too_wide), 'layer')} of very many units."
    return text


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _curves(own: list[Units], fresh: list[list[Units]]) -> dict[str, Any]:
    shares = [[[float(part.mean()) for part in parts] for parts in _faults(layers)] for layers in (own, *fresh)]
    series = [_series(name, [shares[0][i]]) for i, name in enumerate(("dead", "copies"))]
    series += [
        _series(name, [share[i] for share in shares[1:]], control=True)
        for i, name in enumerate(("dead, fresh", "copies, fresh"))
    ]
    return {
        "panel": "curves",
        "title": "Dead units and copies, layer by layer",
        "x_label": "layer",
        "y_label": "share of units",
        "unit": "fraction",
        "x": [units.layer for units in own],
        "series": series,
    }


def _series(name: str, draws: list[list[float]], *, control: bool = False) -> dict[str, Any]:
    """One line over depth: the mean of the draws, and a band that holds them all where there are several."""
    rows = np.array(draws)
    several = len(rows) > 1
    return {
        "name": name,
        "values": rows.mean(axis=0).tolist(),
        "low": rows.min(axis=0).tolist() if several else None,
        "high": rows.max(axis=0).tolist() if several else None,
        "control": control,
    }


def _tables(own: list[Units], most: int = 12) -> list[dict[str, Any]]:
    """The layers with faults, and which units they are."""
    rows = []
    for units in own:
        dead = np.flatnonzero(units.dead)
        copies = np.flatnonzero(units.copy_of >= 0)
        if len(dead) or len(copies):
            said = [f"{unit} = {units.copy_of[unit]}" for unit in copies]
            rows.append([units.layer, len(dead), _listed(list(map(str, dead)), most), len(copies), _listed(said, most)])
    columns = ["layer", "dead", "which", "copies", "which repeats which"]
    if not rows:
        return []
    align = ["left", "right", "left", "right", "left"]
    return [{"panel": "table", "title": "Where they are", "columns": columns, "align": align, "rows": rows}]


def _listed(names: list[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
