"""What do these layers answer to these images?  One pass of the network feeds all gauges of all layers."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from convscope.errors import UsageError
from convscope.images import Batch, Images, Skip
from convscope.network import Network
from convscope.sweep.checkpoint import load_checkpoint, save_checkpoint
from convscope.sweep.gauges import Gauge
from convscope.sweep.response import Response

Progress = Callable[[int, int], None]  # images done, images in all
Gauges = dict[str, dict[str, Gauge]]  # layer -> name of a gauge -> the gauge
OUTPUT = "output"  # the name under which gauges of the logits stand
SECONDS_BETWEEN_CHECKPOINTS = 20.0


@dataclass(eq=False)
class Sweep:
    """What a sweep has seen so far, and what it found."""

    gauges: Gauges
    n_images: int = 0
    stop: int = 0  # all images before this place are done
    skipped: list[Skip] = field(default_factory=list)  # could not be read
    not_finite: list[tuple[str, str]] = field(
        default_factory=list
    )  # layer, id: NaN or infinite there, and left out there
    batch_size: int = 32


def sweep(
    network: Network,
    images: Images,
    gauges: Gauges,
    *,
    batch_size: int = 32,
    workers: int | None = None,
    checkpoint: Path | None = None,
    signature: str = "",
    progress: Progress | None = None,
) -> Sweep:
    """Feeds the gauges with every image once, each image decoded while others are computed.

    `gauges` holds those of each layer, and under "output" those of the logits. With `checkpoint`, the state is saved there now
    and then, and on Ctrl-C; a later call with the same `signature` goes on from it. Out of memory halves the batch.
    Raises UnknownNameError for a layer the network does not have.
    """
    layers = [network.resolve(layer) for layer in gauges if layer != OUTPUT]
    if len(set(layers)) < len(layers):
        raise UsageError("Layers were to be swept.", "Two of the names mean the same layer.", "Name each once.")
    found = Sweep(gauges, batch_size=batch_size)
    if checkpoint is not None:
        load_checkpoint(checkpoint, found, signature)
    keys = _keys(images)
    batches = images.stream(network.preprocess.prepare_one, batch_size=batch_size, workers=workers, start=found.stop)
    saved = time.monotonic()
    try:
        with torch.inference_mode():
            for batch in batches:
                _take_in(network, batch, keys, found)
                if progress:
                    progress(found.stop, len(images))
                if checkpoint is not None and time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                    save_checkpoint(checkpoint, found, signature)
                    saved = time.monotonic()
    except KeyboardInterrupt:
        if checkpoint is not None:
            save_checkpoint(checkpoint, found, signature)
        raise
    finally:
        batches.close()
    if checkpoint is not None:
        save_checkpoint(checkpoint, found, signature)
    return found


def gauges_for(network: Network, layers: Iterable[str], make: Callable[[int], Sequence[Gauge]]) -> Gauges:
    """Fresh gauges for each layer; `make` is given the number of its units."""
    return {layer: {gauge.name: gauge for gauge in make(n_units(network, layer))} for layer in layers}


def n_units(network: Network, layer: str) -> int:
    """How many units a layer has."""
    layout = network.graph[network.resolve(layer)].layout[0]
    assert layout is not None
    return layout.map_shape[0]


def _keys(images: Images) -> np.ndarray:
    """The place of each image in the order of ids: the same in whatever order, or parts, the images are swept."""
    order = np.argsort(np.array(images.ids, dtype=object), kind="stable")
    keys = np.empty(len(order), np.int64)
    keys[order] = np.arange(len(order))
    return keys


def _take_in(network: Network, batch: Batch, keys: np.ndarray, found: Sweep) -> None:
    done: set[tuple[str, str]] = set()  # gauges that have seen this batch, should it have to be tried again
    parts = [slice(0, len(batch))] if len(batch) else []
    own = keys[list(batch.indices)]
    seen: dict[tuple[int, int], set[tuple[str, str]]] = {}
    while parts:
        part = parts.pop(0)
        done = seen.setdefault((part.start, part.stop), set())
        try:
            _answer(network, batch, part, own, found, done)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error) or part.stop - part.start < 2:
                raise
            middle = (part.start + part.stop) // 2
            halves = [slice(part.start, middle), slice(middle, part.stop)]
            for half in halves:
                seen[half.start, half.stop] = set(done)
            parts = halves + parts
            found.batch_size = max(1, min(found.batch_size, middle - part.start))
    found.skipped.extend(batch.skipped)
    found.n_images += len(batch)
    found.stop = batch.stop


def _answer(
    network: Network, batch: Batch, part: slice, keys: np.ndarray, found: Sweep, done: set[tuple[str, str]]
) -> None:
    """One pass over part of a batch; every layer's maps are shown to its gauges as soon as they are there."""
    names = {network.resolve(layer): layer for layer in found.gauges if layer != OUTPUT}
    ids = batch.ids[part]

    def see(step: str, maps: torch.Tensor) -> None:
        layer = names.get(step, step)
        response = Response(layer, maps, keys[part])
        finite = np.isfinite(response.means).all(axis=1)
        if not finite.all():
            if (layer, "") not in done:
                found.not_finite.extend((layer, ids[i]) for i in np.flatnonzero(~finite))
            response = response.only(finite)
        done.add((layer, ""))
        for name, gauge in found.gauges[layer].items():
            if (layer, name) not in done and len(response):
                gauge.update(response)
                done.add((layer, name))

    logits = network.watch(batch.inputs[part], list(names), see)
    if OUTPUT in found.gauges:
        names[OUTPUT] = OUTPUT
        see(OUTPUT, logits)


def _is_out_of_memory(error: BaseException) -> bool:
    return not isinstance(error, RuntimeError) or "memory" in str(error).lower()
