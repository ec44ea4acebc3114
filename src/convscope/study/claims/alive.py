"""Are the network's units alive?  Which answer to no image, and which only repeat another one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.finding import Control, Finding, judge
from convscope.intervals import Interval, bootstrap, none
from convscope.registry import register
from convscope.study.claims.base import FRESH, TRAINED, Claim, Column, Measured, Question
from convscope.sweep.gauges import Coactivation, Gauge, Moments

LEAST = -0.05  # training may have cost up to 5 units in a hundred
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
    means = (
        "A unit is dead if no image moves it: it is silent, or stays at one value (its standard deviation is below a "
        "thousandth of what is usual in its layer). It is a copy if it is another unit up to scale, at every place looked at. "
        "Dead units and copies can be removed without any change. A unit that is silent on these images may answer to others: "
        "silent on n images, it answers to fewer than 3 in n (95 %). That units are alive does not say that they are useful."
    )

    def gauges(self, question: Question, which: str, layer: str, n_units: int) -> Sequence[Gauge]:
        return (Moments(n_units), Coactivation(n_units))

    def find(self, measured: Measured) -> Finding:
        own, fresh = ([units_of(measured, which, layer) for layer in _seen(measured)] for which in (TRAINED, FRESH))
        if not own:
            return self._finding(none(), (), none(), "No unit was measured.", "No image could be computed.")
        rng = measured.rng("alive units")
        found = _share_useful(own, rng)
        control = Control(
            "fresh weights",
            "The same architecture with weights that have learned nothing, shown the same images.",
            _share_useful(fresh, rng),
        )
        n_dead, n_copies = (sum(int(part.sum()) for part in parts) for parts in _faults(own))
        n = sum(len(units.dead) for units in own)
        summary = (
            f"Of {n:,} units in {len(own)} layers {n_dead:,} {'is' if n_dead == 1 else 'are'} dead and {n_copies:,} "
            f"{'repeats' if n_copies == 1 else 'repeat'} another: {100 * found.value:.1f} % are alive and their own, "
            f"{100 * control.value.value:.1f} % with fresh weights."
        )
        evidence = (_curves(own, fresh), *_tables(own))
        return self._finding(found, (control,), found.minus(control.value), summary, "", evidence)

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

    def _finding(
        self,
        value: Interval,
        controls: tuple[Control, ...],
        beyond: Interval,
        summary: str,
        why_not: str,
        evidence: tuple[dict[str, Any], ...] = (),
    ) -> Finding:
        return Finding(
            claim=self.key,
            statement=self.statement,
            quantity="share of units that answer to some image and repeat no other unit",
            value=value,
            unit="fraction",
            controls=controls,
            beyond=beyond,
            least=LEAST,
            verdict=judge(beyond, LEAST, undecidable=why_not),
            summary=summary,
            means=self.means,
            resampled="images",
            reason=why_not,
            evidence=evidence,
        )


def _seen(measured: Measured) -> list[str]:
    """The layers that gave finite values, for some image, in both networks."""
    return [
        layer
        for layer in measured.layers
        if all(measured.result(which, layer, "moments").n_images for which in (TRAINED, FRESH))
    ]


def units_of(measured: Measured, which: str, layer: str) -> Units:
    """Which units of a layer are dead, and which repeat another."""
    moments = measured.result(which, layer, "moments")
    pairs = measured.result(which, layer, "coactivation").duplicates(SAME_CORRELATION)
    dead = moments.dead
    copy_of = np.full(len(dead), -1)
    for first, second in pairs:
        if copy_of[second] < 0 and not dead[first] and not dead[second] and _same_shape(moments, first, second):
            copy_of[second] = first
    rectified = measured.network.layers[layer].op in RECTIFIERS
    n_on = moments.n_on if rectified else np.full(len(dead), moments.n_images)
    return Units(layer, dead, copy_of, n_on, moments.n_images)


def _known(units: np.ndarray) -> list[int | None]:
    return [int(unit) if unit >= 0 else None for unit in units]


def _same_shape(moments: object, first: int, second: int) -> bool:
    """Whether all that was seen of two units, not only the places looked at, is the same up to scale."""
    mean, std, peak = (getattr(moments, name) for name in ("mean", "std", "max"))
    one, other = (np.array([mean[u] / std[u], peak[u] / std[u]]) for u in (first, second))
    return bool(np.allclose(one, other, rtol=SAME_RATIO, atol=SAME_RATIO))


def _share_useful(layers: list[Units], rng: np.random.Generator) -> Interval:
    """Share of useful units, and how it would vary with other images of the same kind.

    In a sample of n images drawn again, a unit that is on in k of them is silent with probability (1 - k / n)^n.
    """
    useful = np.concatenate([units.useful for units in layers])
    silent = np.concatenate([(1 - units.n_on / max(units.n_images, 1)) ** max(units.n_images, 1) for units in layers])
    at_risk = silent[useful & (silent > NEVER)]
    lost = rng.binomial(1, at_risk, size=(N_DRAWS, len(at_risk))).sum(axis=1)
    return bootstrap(float(useful.mean()), (useful.sum() - lost) / len(useful))


def _faults(layers: list[Units]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [units.dead for units in layers], [units.copy_of >= 0 for units in layers]


def _curves(own: list[Units], fresh: list[Units]) -> dict[str, Any]:
    series = [
        {
            "name": name,
            "values": [float(np.mean(part)) for part in parts],
            "low": None,
            "high": None,
            "control": control,
        }
        for layers, control, names in (
            (own, False, ("dead", "copies")),
            (fresh, True, ("dead, fresh", "copies, fresh")),
        )
        for name, parts in zip(names, _faults(layers), strict=True)
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
