"""Which method, at which layer, on these images?  Each is measured on them, beside maps that know nothing of the network.

A method is worth advising if the checks that decide hold on nearly all images and it is more faithful than the trivial maps.
Of those that cannot be told from the most faithful, the cheapest is advised.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from convscope.answer.asked import AskedMethod, AskedMethods, asked_methods
from convscope.answer.given import opened
from convscope.documents import finite
from convscope.errors import ConvscopeError, NetworkError, UsageError
from convscope.instruments.attribution.checks import Outcome, Subject, check_all
from convscope.instruments.attribution.contest import FEWEST_IMAGES, Contest, gains_of, mean_interval
from convscope.instruments.attribution.method import LAST_MAPS, places
from convscope.intervals import Interval
from convscope.network import Network, load

Progress = Callable[[str, int, int], None]
CHECKS = ("class_dependence", "weight_dependence")  # what decides besides faithfulness
MOST_FAILING = 0.2  # share of the images on which a check may fail
N_IMAGES = 24
COMPARED = (  # none takes thousands of passes; the others can be named
    *(
        "gradient",
        "input_x_gradient",
        "integrated_gradients",
        "smoothgrad",
        "guided_backprop",
        "deconvnet",
        "deeplift",
        "lrp",
    ),
    *("grad_cam", "grad_cam_plus_plus", "layer_cam", "hires_cam", "ablation_cam", "occlusion:window=32,stride=16"),
)


@dataclass(frozen=True, eq=False)
class Compared:
    """One method at one layer, on all images."""

    name: str
    title: str
    layer: str
    n_images: int
    gain: Interval  # insertion, over random order; mean over images and fills
    beyond: Interval  # the same over the strongest trivial map
    deletion: Interval
    holds: Mapping[str, float | None]  # check -> share of the images on which it holds; None where it could not be run
    cost: float  # times a forward pass, median
    refused: str = ""  # why there is nothing

    @property
    def trusted(self) -> bool:
        """Whether the checks that decide hold on nearly all images."""
        return all(share is None or share >= 1 - MOST_FAILING for share in self.holds.values())

    def as_dict(self) -> dict[str, Any]:
        """The row, fit for JSON."""
        same = {
            name: getattr(self, name) for name in ("name", "title", "layer", "n_images", "cost", "refused", "trusted")
        }
        measured = {name: getattr(self, name).as_dict() for name in ("gain", "beyond", "deletion")}
        return finite({**same, **measured, "holds": dict(self.holds)})


@dataclass(frozen=True, eq=False)
class Advice:
    """Which method to use here, and the evidence."""

    recommendation: str  # in words
    best: str | None  # the name that `explain --method` takes; None where nothing can be advised
    rows: tuple[Compared, ...]  # best first
    trivial: Mapping[str, Interval]  # insertion gain of each trivial map
    fills: tuple[str, ...]
    n_images: int
    seed: int
    skipped: tuple[tuple[str, str], ...] = ()  # id and reason

    def as_dict(self) -> dict[str, Any]:
        """The advice, fit for JSON."""
        return {
            "recommendation": self.recommendation,
            "best": self.best,
            "rows": [row.as_dict() for row in self.rows],
            "trivial": {name: gain.as_dict() for name, gain in self.trivial.items()},
            "fills": list(self.fills),
            "n_images": self.n_images,
            "seed": self.seed,
            "skipped": [{"id": id, "reason": reason} for id, reason in self.skipped],
            "evidence": self.evidence,
        }

    @property
    def evidence(self) -> list[dict[str, Any]]:
        """The panels that show it."""
        shown = [row for row in self.rows if not row.refused]
        bars = [
            {"name": f"{row.title} at {row.layer}", **finite(row.gain.as_dict()), "control": False} for row in shown
        ]
        bars += [
            {"name": f"{name} map", **finite(gain.as_dict()), "control": True} for name, gain in self.trivial.items()
        ]
        title = (
            f"Insertion gain over random order, mean of {self.n_images} images and of {' and '.join(self.fills)} fill"
        )
        return [
            {"panel": "bars", "title": title, "unit": "probability", "bars": bars},
            {
                "panel": "table",
                "title": "What was measured",
                "columns": list(COLUMNS),
                "rows": [list(cells(row)) for row in self.rows],
            },
        ]


COLUMNS = ("method", "layer", "gain", "95 %", "beyond trivial", "deletion", "class", "weights", "passes")


def cells(row: Compared) -> tuple[str, ...]:
    """A row as short text, in the order of COLUMNS."""
    if row.refused:
        return (row.title, row.layer, "–", "", "", "", "", "", row.refused)
    return (
        *(row.title, row.layer, _signed(row.gain.value), f"{_signed(row.gain.low)} to {_signed(row.gain.high)}"),
        *(_signed(row.beyond.value), _signed(row.deletion.value)),
        *(_share(row.holds.get(check)) for check in CHECKS),
        f"{row.cost:.3g}",
    )


def compare(
    network: Any,
    images: Any,
    methods: AskedMethods = None,
    layers: Sequence[str] = (),
    *,
    target: Any = None,
    limit: int = N_IMAGES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """Which method and layer should explain this network, on these images?  Measured, not remembered.

    `methods` as in `explain`; by default all that take less than thousands of passes. Methods whose scores live in maps are
    tried at `layers`, by default at the last layer of each of the last sizes of maps. `limit` images are drawn by `seed`. Each map
    is held against random order, the centre and the edges of the image (insertion and deletion under two fills), another class's
    map and shuffled weights. Raises what `explain` raises.
    """
    network = network if isinstance(network, Network) else load(network)
    shown = opened(images, network)
    asked = _entries(network, asked_methods(network, COMPARED if methods is None else methods), layers)
    rows: list[dict[str, Any]] = []
    skipped = [(skip.id, skip.reason) for skip in shown.skipped]
    sample = shown.limited(limit, seed)
    fault: NetworkError | None = None
    for batch in sample.stream(network.preprocess.prepare_one, batch_size=1):
        skipped += [(skip.id, skip.reason) for skip in batch.skipped]
        for id_, inputs in zip(batch.ids, batch.inputs, strict=True):
            try:
                rows.append(_measure(network, inputs[None], asked, target, seed, len(rows), len(sample), progress))
            except NetworkError as error:
                fault = error
                skipped.append((id_, error.found))
    if not rows:
        raise fault or UsageError("Methods were to be compared.", "No image could be explained.", "Give other images.")
    return _advice(asked, rows, seed, tuple(skipped))


def _entries(network: Network, asked: Sequence[AskedMethod], layers: Sequence[str]) -> tuple[AskedMethod, ...]:
    """Each method at each place it is tried at."""
    tried = tuple(dict.fromkeys(network.resolve(layer) for layer in layers)) or places(network)
    found = []
    for one in asked:
        several = tried if one.layer is None and one.method.place == LAST_MAPS else (one.layer,)
        found += [replace(one, layer=layer) for layer in several]
    return tuple(found)


def _measure(
    network: Network,
    inputs: torch.Tensor,
    asked: Sequence[AskedMethod],
    target: Any,
    seed: int,
    n_done: int,
    n_images: int,
    progress: Progress | None,
) -> dict[str, Any]:
    """One image: for each method its gains, what its checks say, and its time in forward passes."""
    subject = Subject(network, inputs, target, seed=seed)
    row: dict[str, Any] = {
        name: {} for name in ("methods", "trivial", "deletion", "checks", "layers", "cost", "refused")
    }
    for i, one in enumerate(asked):
        if progress:
            progress("maps measured", n_done * len(asked) + i, n_images * len(asked))
        try:
            start = time.perf_counter()
            attribution = one.method(network, subject.inputs, subject.target, one.layer)
            spent = time.perf_counter() - start
            found = gains_of(subject, attribution)
            checks = check_all(subject, attribution, only=CHECKS)
        except ConvscopeError as error:
            row["refused"][one.name] = error.found or error.asked
            continue
        row["methods"][one.name], row["deletion"][one.name] = found["insertion"], found["deletion"]
        row["trivial"] = found["trivial"]
        row["checks"][one.name] = {check.check: check.outcome for check in checks}
        row["layers"][one.name], row["cost"][one.name] = attribution.layer, spent / _pass(network, inputs)
    if not row["methods"]:
        raise NetworkError(
            "Methods were to be compared.", f"None gave a map: {next(iter(row['refused'].values()))}", ""
        )
    if progress:
        progress("maps measured", (n_done + 1) * len(asked), n_images * len(asked))
    return row


def _pass(network: Network, inputs: torch.Tensor) -> float:
    """Seconds of a forward pass, now: the machine may be busy with other things."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        network(inputs)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _advice(
    asked: Sequence[AskedMethod], rows: list[dict[str, Any]], seed: int, skipped: tuple[tuple[str, str], ...]
) -> Advice:
    contest = Contest.of(rows)
    rng = np.random.default_rng([seed, *b"advice"])
    found = [_compared(one, rows, contest, rng) for one in asked]
    order = sorted(found, key=lambda row: -row.gain.value if np.isfinite(row.gain.value) else np.inf)
    trivial = {name: mean_interval(contest.trivial[:, i].mean(1), rng) for i, name in enumerate(contest.trivial_names)}
    best = _best(order, contest, rng) if len(contest) >= FEWEST_IMAGES else None
    words = _words(order, best, contest, trivial)
    return Advice(words, best.name if best else None, tuple(order), trivial, contest.fills, len(contest), seed, skipped)


def _compared(one: AskedMethod, rows: list[dict[str, Any]], contest: Contest, rng: np.random.Generator) -> Compared:
    there = [row for row in rows if one.name in row["methods"]]
    if not there:
        none = Interval(*(float("nan"),) * 3)
        reason = next((row["refused"][one.name] for row in rows if one.name in row["refused"]), "")
        return Compared(one.name, one.method.title, one.layer or "", 0, none, none, none, {}, float("nan"), reason)
    gains = contest.gains[:, contest.names.index(one.name)]
    beyond = [mean_interval((gains - contest.trivial[:, i]).mean(1), rng) for i in range(len(contest.trivial_names))]
    deletion = np.array([np.mean([row["deletion"][one.name][fill] for fill in contest.fills]) for row in there])
    return Compared(
        name=one.name,
        title=one.method.title,
        layer=there[0]["layers"][one.name],
        n_images=len(there),
        gain=mean_interval(gains.mean(1), rng),
        beyond=min(beyond, key=lambda interval: interval.low),
        deletion=mean_interval(deletion, rng),
        holds={check: _holding([row["checks"][one.name][check] for row in there]) for check in CHECKS},
        cost=float(np.median([row["cost"][one.name] for row in there])),
    )


def _holding(outcomes: Sequence[Outcome]) -> float | None:
    run = [outcome for outcome in outcomes if outcome != Outcome.NOT_RUN]
    return sum(outcome == Outcome.PASSES for outcome in run) / len(run) if run else None


def _best(order: Sequence[Compared], contest: Contest, rng: np.random.Generator) -> Compared | None:
    """The cheapest of those that cannot be told from the most faithful; None where none is worth advising."""
    worth = [row for row in order if not row.refused and row.trusted and row.beyond.low > 0]
    if not worth:
        return None
    gains = {row.name: contest.gains[:, contest.names.index(row.name)].mean(1) for row in worth}
    first = worth[0]
    alike = [row for row in worth if mean_interval(gains[first.name] - gains[row.name], rng).low <= 0]
    return min(alike, key=lambda row: row.cost)


def _words(order: Sequence[Compared], best: Compared | None, contest: Contest, trivial: Mapping[str, Interval]) -> str:
    if len(contest) < FEWEST_IMAGES:
        return f"{len(contest)} images are too few for advice: give {FEWEST_IMAGES} or more."
    strongest = max(trivial, key=lambda name: trivial[name].value)
    known = f"a map that only knows the {strongest} of the image ({_signed(trivial[strongest].value)})"
    sound = [row for row in order if not row.refused and row.trusted]
    if best is None:
        told = f"No method can be advised yet: on these {len(contest)} images none that depends on class and weights is surely "
        told += f"more faithful than {known}."
        if sound and sound[0].beyond.high > 0:
            nearest = sound[0]
            told += f" {_at(nearest)} comes nearest, {_span(nearest.beyond)} beyond it: more images may decide."
        return told
    told = (
        f"Use {_at(best)}: on these {len(contest)} images it gains {_signed(best.gain.value)} over random order, "
        f"{_span(best.beyond)} beyond {known}, for the time of {best.cost:.2g} forward passes."
    )
    if sound[0] is not best and sound[0].beyond.low > 0:
        first = sound[0]
        told += f" {_at(first)} gains {_signed(first.gain.value)} for {first.cost:.2g}; these images cannot tell them apart."
    untrusted = dict.fromkeys(row.title for row in order if not row.refused and not row.trusted)
    if untrusted:
        told += f" Of {', '.join(untrusted)} some maps hardly depend on the class or the weights: see the table."
    return told


def _at(row: Compared) -> str:
    return f"{row.title} at '{row.layer}'"


def _span(found: Interval) -> str:
    return f"{_signed(found.value)} ({_signed(found.low)} to {_signed(found.high)})"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−") if np.isfinite(value) else "–"


def _share(value: float | None) -> str:
    return "not run" if value is None else f"{100 * value:.0f} %"
