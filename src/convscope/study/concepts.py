"""Which concepts does a study look for, and what do the network and its controls say?  Labels once, a sweep for each network."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from convscope.images.concepts.concept import Source
from convscope.instruments.concepts.dissect import dissect, labels_of, spread_over, with_maps
from convscope.network import Network
from convscope.see.dissected import MOST_IMAGES
from convscope.study.claim import FRESH, N_FRESH, TRAINED, Concepts, Question


def named(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """The sources as a manifest names them."""
    return [
        {"source": type(one).__name__, "n": len(one.concepts), "concepts": sorted(map(str, one.concepts))[:1000]}
        for one in sources
    ]


def concepts_of(
    question: Question,
    networks: Callable[[str], Network],
    *,
    folder: Path,
    signature: str,
    batch_size: int,
    workers: int | None,
    progress: Callable[[str, int, int], None],
) -> Concepts | None:
    """What the network, and each draw of fresh weights, says of the concepts; None where none were given.

    Sweeps that were stopped are gone on with from `folder`.
    """
    if not question.sources:
        return None
    images = question.images.limited(MOST_IMAGES, question.seed)
    network = question.network
    labels = labels_of(network, images, question.sources, seed=question.seed, workers=workers, progress=progress)
    read = spread_over(with_maps(network, question.layers))
    found = {}
    for which in (TRAINED, *(f"{FRESH}-{draw}" for draw in range(N_FRESH))):
        stage = "units against concepts"
        if which != TRAINED:
            stage = f"fresh weights against concepts, {int(which.removeprefix(FRESH + '-')) + 1} of {N_FRESH}"
        found[which] = dissect(
            networks(which),
            labels,
            question.layers,
            read=read if which in (TRAINED, f"{FRESH}-0") else (),
            control=which != TRAINED,
            seed=question.seed,
            batch_size=batch_size,
            workers=workers,
            checkpoint=folder / f"concepts-{which}.safetensors",
            signature=f"{signature} {which} {network.fingerprint} {batch_size}",
            progress=lambda done, total, stage=stage: progress(stage, done, total),  # type: ignore[misc]
        )
    return Concepts(labels, found)
