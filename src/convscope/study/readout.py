"""What is measured of a network's read-out?  Images as its head reads them, classes one by one, sections left out.

Labels are those of the images where they are the network's classes; otherwise, and with fresh weights, the network's own answers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convscope.errors import ConvscopeError
from convscope.images import Images
from convscope.instruments.concepts.collect import halves
from convscope.instruments.readout.by_class import by_class
from convscope.instruments.readout.head import head_of
from convscope.instruments.readout.kept import Kept, keep
from convscope.instruments.readout.sections import leave_out
from convscope.network import Network
from convscope.study.claim import FRESH, N_FRESH, TRAINED, Measured, Networks
from convscope.study.drawn import n_affordable
from convscope.study.samples import Row, Sample, of_things
from convscope.sweep.gauges.labelled import CHOOSE

MOST_IMAGES, FEWEST_IMAGES = 2000, 200
FEWEST_COSTLY, HEAD_BUDGET, PASSES = 24, 2e12, 2200  # classes, multiplications, and of the head for one class, about
BUDGET = 1e12  # multiplications for the network, and as many for fresh weights
MOST_READ, EACH_CLASS = 1000, 8  # images that sections are left out for, and of each class: fewer teach no reading
SECTIONS = "sections"  # what a row about sections has in the place of a class


def read_outs(measured: Measured, networks: Networks, key: str, n_classes: int) -> Sample:
    """Classes of the network and of its control, one by one, and sections left out of both; or why there is no head."""
    try:
        head = head_of(measured.network)
    except ConvscopeError as error:
        return of_things({"head": error.found}, lambda found: {"refused": found})
    if head.n_units < 2:
        return of_things({"head": ""}, lambda found: {"refused": f"'{head.layer}' has a single unit."})
    read = cache(partial(_read, key, n_classes, measured, networks))
    places: dict[str, tuple[str, int]] = {}
    for which in (TRAINED, *(f"{FRESH}-{draw}" for draw in range(N_FRESH))):
        places |= {f"{which} {wanted}": (which, wanted) for wanted in read(which).asked}
    if _can_be_read_anew(measured):
        places |= {f"{which} {SECTIONS}": (which, -1) for which in (TRAINED, f"{FRESH}-0")}

    def row(place: tuple[str, int]) -> Row:
        which, wanted = place
        if wanted < 0:
            return _sections(measured, networks(which), which)
        return _class(measured, read(which), which, wanted)

    return of_things(places, row)


@dataclass(frozen=True, eq=False)
class _Shown:
    """Images as the head of a network reads them, their classes, and those that are asked for."""

    kept: Kept
    labels: torch.Tensor
    asked: tuple[int, ...]
    sharpness: float


def _read(key: str, n_classes: int, measured: Measured, networks: Networks, which: str) -> _Shown:
    network = networks(which)
    n = n_affordable(measured, 1, BUDGET, MOST_IMAGES, FEWEST_IMAGES)
    by_label = which == TRAINED and not measured.mismatch
    images = _labelled(measured.images) if by_label else measured.images
    images = images.limited(n if which == TRAINED else -(-n // N_FRESH), measured.seed)
    given: list[torch.Tensor] = []

    def batches(network: Network) -> Any:
        for batch in images.stream(network.preprocess.prepare_one):
            if len(batch):
                given.append(batch.labels)
                yield batch.inputs

    kept = keep(network, batches(network))
    sound = (kept.values.flatten(1).isfinite() & kept.logits.isfinite().all(1, keepdim=True)).all(1)
    kept = Kept(kept.head, kept.values[sound], kept.logits[sound], kept.onward)  # others say nothing
    labels = torch.cat(given)[sound] if by_label else kept.logits.argmax(1)
    classes = np.unique(labels.numpy())
    if len(classes) < 2:
        return _Shown(kept, labels, (), 1.0)
    most = _n_classes(n_classes, kept, network)
    most = most if which == TRAINED else -(-most // N_FRESH)
    drawn = measured.rng(f"{key} {which}").permutation(classes)[:most]
    sharpness = 1.0 if which == TRAINED else _as_sharp(kept)
    return _Shown(kept, labels, tuple(int(one) for one in np.sort(drawn)), sharpness)


def _n_classes(most: int, kept: Kept, network: Network) -> int:
    """How many classes are asked; fewer where the head has to be computed anew for each."""
    if kept.slopes is not None:
        return most
    macs = sum(network.layers[step.name].n_macs for step in kept.head.steps if step.is_layer)
    return int(max(FEWEST_COSTLY, min(most, HEAD_BUDGET // max(PASSES * macs, 1))))


def _as_sharp(kept: Kept, wanted: float = 0.8) -> float:
    """What logits are multiplied by to make the mean probability of the answers so: fresh weights shall have something to lose."""
    low, high = 1e-3, 1e6
    for _ in range(60):
        middle = (low * high) ** 0.5
        sure = float((middle * kept.logits).softmax(1).max(1).values.mean())
        low, high = (middle, high) if sure < wanted else (low, middle)
    return low


def _class(measured: Measured, shown: _Shown, which: str, wanted: int) -> Row:
    rng = measured.rng(f"dense_readout {which} {wanted}")
    others = np.setdiff1d(np.unique(shown.labels.numpy()), [wanted])
    found = by_class(shown.kept, shown.labels, wanted, int(rng.choice(others)), rng, shown.sharpness)
    head = shown.kept.head
    return found.as_dict() | {"which": which, "layer": head.layer, "head": head.words, "n_layer": head.n_units}


def _can_be_read_anew(measured: Measured) -> bool:
    """Whether the images teach a reading: known classes, several images of each."""
    labels = measured.images.labels[measured.images.labels >= 0]
    return not measured.mismatch and len(labels) >= EACH_CLASS * len(np.unique(labels)) > EACH_CLASS


def _sections(measured: Measured, network: Network, which: str) -> Row:
    """How well the network is read anew, whole and without sections."""
    images = _labelled(measured.images).limited(
        n_affordable(measured, 4, BUDGET, MOST_READ, FEWEST_IMAGES), measured.seed
    )
    size = network.input_shape[1:]
    learns = torch.from_numpy(halves(images) == CHOOSE)  # runs of images: frames of a film are alike

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for batch in images.stream(network.preprocess.prepare_one):
            if len(batch) and batch.inputs.shape[2:] == size:
                yield batch.inputs, batch.labels, learns[list(batch.indices)]

    found = leave_out(network, head_of(network), batches)
    right = {name: [int(hits.sum()), len(hits)] for name, hits in found.right.items()}
    return {"which": which, SECTIONS: right, "said": list(found.said), "more_than_the_sum": found.more_than_the_sum()}


def _labelled(images: Images) -> Images:
    return images[np.flatnonzero(images.labels >= 0)]
