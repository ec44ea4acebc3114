"""Which method, at which layer, on these images?  Each is measured on them, beside maps that know nothing of the network.

A method is worth advising if the checks that decide hold on nearly all images and it is surely more faithful than the trivial maps,
though it was picked among many. Of those that cannot be told from the most faithful, the cheapest is advised; how faithful it is,
is said from images it was not picked on.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from convscope.answer.advice import CHECKS, Advice, Compared, in_words
from convscope.answer.asked import AskedMethod, AskedMethods, asked_methods
from convscope.answer.given import opened
from convscope.errors import ConvscopeError, NetworkError, UsageError
from convscope.instruments.attribution.checks import Outcome, Subject, check_all
from convscope.instruments.attribution.contest import FEWEST_IMAGES, Contest, gains_of, known_mean, mean_interval
from convscope.instruments.attribution.method import LAST_MAPS, places
from convscope.intervals import none
from convscope.network import Network, load

Progress = Callable[[str, int, int], None]
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
    """One image: for each method its gains, what its checks say, and what it costs."""
    subject = Subject(network, inputs, target, seed=seed)
    row: dict[str, Any] = {
        name: {} for name in ("methods", "trivial", "deletion", "checks", "layers", "cost", "refused")
    }
    for i, one in enumerate(asked):
        if progress:
            progress("maps measured", n_done * len(asked) + i, n_images * len(asked))
        try:
            attribution = one.method(network, subject.inputs, subject.target, one.layer)
            found = gains_of(subject, attribution)
            checks = check_all(subject, attribution, only=CHECKS)
        except ConvscopeError as error:
            row["refused"][one.name] = error.found or error.asked
            continue
        row["methods"][one.name], row["deletion"][one.name] = found["insertion"], found["deletion"]
        row["trivial"] = found["trivial"]
        row["checks"][one.name] = {check.check: check.outcome for check in checks}
        row["layers"][one.name], row["cost"][one.name] = attribution.layer, attribution.passes
    if not row["methods"]:
        raise NetworkError(
            "Methods were to be compared.", f"None gave a map: {next(iter(row['refused'].values()))}", ""
        )
    if progress:
        progress("maps measured", (n_done + 1) * len(asked), n_images * len(asked))
    return row


def _advice(
    asked: Sequence[AskedMethod], rows: list[dict[str, Any]], seed: int, skipped: tuple[tuple[str, str], ...]
) -> Advice:
    contest = Contest.of(rows)
    rng = np.random.default_rng([seed, *b"advice"])
    found = [_compared(one, rows, contest, rng) for one in asked]
    order = sorted(found, key=lambda row: -row.gain.value if np.isfinite(row.gain.value) else np.inf)
    trivial = {
        name: mean_interval(known_mean(contest.trivial[:, i], 1), rng) for i, name in enumerate(contest.trivial_names)
    }
    best = _best(order, contest, rng) if len(contest) >= FEWEST_IMAGES else None
    held_out = None
    if best is not None:
        sound = contest.only([row.name for row in order if not row.refused and row.trusted])
        against, beyond = sound.strongest(sound.held_out(), rng)
        held_out = against, sound.gain(rng), beyond
    words = in_words(order, best, held_out, trivial, len(contest))
    return Advice(words, best.name if best else None, tuple(order), trivial, contest.fills, len(contest), seed, skipped)


def _compared(one: AskedMethod, rows: list[dict[str, Any]], contest: Contest, rng: np.random.Generator) -> Compared:
    there = [row for row in rows if one.name in row["methods"]]
    if not there:
        reason = next((row["refused"][one.name] for row in rows if one.name in row["refused"]), "")
        nothing: Any = (none(), none(), "", False, none(), {}, float("nan"), reason)
        return Compared(one.name, one.method.title, one.layer or "", 0, *nothing)
    gains = contest.gains[:, contest.names.index(one.name)]
    against, beyond = contest.strongest(gains, rng)
    deletion = np.array([np.mean(list(row["deletion"][one.name].values())) for row in there])
    return Compared(
        name=one.name,
        title=one.method.title,
        layer=there[0]["layers"][one.name],
        n_images=len(there),
        gain=mean_interval(known_mean(gains, 1), rng),
        beyond=beyond,
        against=against,
        surely=contest.surely_beyond(one.name, len(contest.names)),
        deletion=mean_interval(deletion, rng),
        holds={check: _holding([row["checks"][one.name][check] for row in there]) for check in CHECKS},
        cost=float(np.median([row["cost"][one.name] for row in there])),
    )


def _holding(outcomes: Sequence[Outcome]) -> float | None:
    run = [outcome for outcome in outcomes if outcome != Outcome.NOT_RUN]
    return sum(outcome == Outcome.PASSES for outcome in run) / len(run) if run else None


def _best(order: Sequence[Compared], contest: Contest, rng: np.random.Generator) -> Compared | None:
    """The cheapest of those that cannot be told from the most faithful; None where none is worth advising."""
    worth = [row for row in order if not row.refused and row.trusted and row.surely]
    if not worth:
        return None
    gains = {row.name: known_mean(contest.gains[:, contest.names.index(row.name)], 1) for row in worth}
    first = worth[0]
    alike = [row for row in worth if mean_interval(gains[first.name] - gains[row.name], rng).low <= 0]
    return min(alike, key=lambda row: row.cost)
