"""What do these layers answer to these images?  One pass of the network feeds all gauges of all layers."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from convscope.errors import UsageError
from convscope.images import Batch, Images, Skip
from convscope.network import Network
from convscope.sweep.checkpoint import load_checkpoint, save_checkpoint
from convscope.sweep.gauges import Coactivation, Distribution, Exemplars, Gauge, Moments
from convscope.sweep.reduce import images_at_once
from convscope.sweep.response import Response, joined

Progress = Callable[[int, int], None]  # images done, images in all
Gauges = dict[str, dict[str, Gauge]]  # layer -> name of a gauge -> the gauge
OUTPUT = "output"  # the name under which gauges of the logits stand
SECONDS_BETWEEN_CHECKPOINTS = 20.0  # at least
SAVING_SHARE = 0.05  # of the time, at most, goes into saving


@dataclass(eq=False)
class Sweep:
    """What a sweep has seen so far, and what it found."""

    gauges: Gauges
    n_images: int = 0
    stop: int = 0  # all images before this place are done
    skipped: list[Skip] = field(default_factory=list)  # could not be read
    # layer, id: NaN or infinite there
    not_finite: list[tuple[str, str]] = field(default_factory=list)
    batch_size: int = 32  # of what is computed at once: less than was asked for, where caches or memory do not suffice

    @property
    def is_whole(self) -> bool:
        """Whether every image before `stop` is done; not between two batches of one span, which differ in the images' size."""
        return self.n_images + len(self.skipped) == self.stop


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
    and then, and on Ctrl-C between two batches; a later call with the same `signature` and batch size goes on from it, to the
    same bytes. Images for which a layer or the logits are not finite are named in `not_finite`, and left out there and in what
    is computed after it. Out of memory halves what is
    computed at once, from there on. Raises UnknownNameError for a layer the network does not have.
    """
    layers = [network.resolve(layer) for layer in gauges if layer != OUTPUT]
    if len(set(layers)) < len(layers):
        raise UsageError("Layers were to be swept.", "Two of the names mean the same layer.", "Name each once.")
    found = Sweep(gauges, batch_size=images_at_once(network, batch_size, torch.get_num_threads()))
    saving = _Saving(checkpoint, signature)
    if checkpoint is not None:
        load_checkpoint(checkpoint, found, signature)
    keys = keys_of(images)
    batches = images.stream(network.preprocess.prepare_one, batch_size=batch_size, workers=workers, start=found.stop)
    can_stop = True  # no batch is half taken in
    try:
        with _crew(network) as crew:
            for batch in batches:
                can_stop = False
                _take_in(network, batch, keys, found, crew)
                can_stop = found.is_whole
                if progress:
                    progress(found.stop, len(images))
                if can_stop:
                    saving.if_due(found)
    except KeyboardInterrupt:
        if can_stop:
            saving.now(found)
        raise
    finally:
        batches.close()
    saving.now(found)
    return found


def try_out(network: Network, inputs: torch.Tensor, layers: Sequence[str]) -> None:
    """One batch, swept as images are, and forgotten: what the time a sweep takes can be told from."""
    places = tuple(range(len(inputs)))
    batch = Batch(tuple(map(str, places)), places, inputs, torch.full((len(inputs),), -1), (), len(inputs))
    gauges = gauges_for(network, layers, lambda n: [Exemplars(n), Moments(n), Distribution(n), Coactivation(n)])
    found = Sweep(gauges, batch_size=images_at_once(network, len(inputs), torch.get_num_threads()))
    with _crew(network) as crew:
        _take_in(network, batch, np.arange(len(inputs)), found, crew)


class _Saving:
    """When is it time to save? Not before 20 s, and so seldom that it takes a twentieth of the time at most."""

    def __init__(self, path: Path | None, signature: str) -> None:
        self.path, self.signature = path, signature
        self.due = time.monotonic() + SECONDS_BETWEEN_CHECKPOINTS

    def if_due(self, found: Sweep) -> None:
        if time.monotonic() >= self.due:
            self.now(found)

    def now(self, found: Sweep) -> None:
        if self.path is None:
            return
        start = time.monotonic()
        save_checkpoint(self.path, found, self.signature)
        end = time.monotonic()
        self.due = end + max(SECONDS_BETWEEN_CHECKPOINTS, (end - start) / SAVING_SHARE)


def gauges_for(network: Network, layers: Iterable[str], make: Callable[[int], Sequence[Gauge]]) -> Gauges:
    """Fresh gauges for each layer; `make` is given the number of its units."""
    return {layer: {gauge.name: gauge for gauge in make(n_units(network, layer))} for layer in layers}


def n_units(network: Network, layer: str) -> int:
    """How many units a layer has."""
    layout = network.graph[network.resolve(layer)].layout[0]
    assert layout is not None
    return layout.map_shape[0]


def keys_of(images: Images) -> np.ndarray:
    """The place of each image in the order of ids: the same in whatever order, or parts, the images are swept."""
    order = np.argsort(np.array(images.ids, dtype=object), kind="stable")
    keys = np.empty(len(order), np.int64)
    keys[order] = np.arange(len(order))
    return keys


@contextmanager
def _crew(network: Network) -> Iterator[Executor | None]:
    """Threads that each compute a part of a batch, on one core. None where torch has one thread only, or computes elsewhere.

    The other way, all cores at one part, makes them wait for one another after every operation; and the longer, the busier
    the machine is.
    """
    n_threads = torch.get_num_threads()
    if network.device.type != "cpu" or n_threads < 2:
        yield None
        return
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="sweep", initializer=_on_one_core)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(n_threads)  # part of that setting is the process's, not the thread's


def _on_one_core() -> None:
    torch.get_num_threads()  # a thread's first question sets its number: not after we have
    torch.set_num_threads(1)


@dataclass
class _Part:
    """Some images of a batch, computed together."""

    span: slice
    seen: set[tuple[str, str]] = field(
        default_factory=set
    )  # layer, gauge: not to be fed again if memory gave out later
    responses: dict[str, Response] = field(default_factory=dict)
    not_finite: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return int(self.span.stop - self.span.start)

    def cut(self, size: int) -> "list[_Part]":
        """The same in parts of at most this size, nothing computed yet."""
        places = range(self.span.start, self.span.stop, size)
        return [_Part(slice(at, min(at + size, self.span.stop)), set(self.seen)) for at in places]


def _take_in(network: Network, batch: Batch, keys: np.ndarray, found: Sweep, crew: Executor | None) -> None:
    own, locks = keys[list(batch.indices)], {layer: Lock() for layer in (*found.gauges, OUTPUT)}
    work = partial(_answer, network, batch, own, found.gauges, locks)
    done: list[_Part] = []
    waiting = [_Part(slice(0, len(batch)))] if len(batch) else []
    while waiting:
        parts = [cut for part in waiting for cut in part.cut(found.batch_size)]
        waiting = []
        together = crew if len(parts) > 1 else None
        runs = [together.submit(work, part).result if together else partial(work, part) for part in parts]
        for part, run in zip(parts, runs, strict=True):
            try:
                run()
                done.append(part)
            except (MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error) or len(part) < 2:
                    raise
                found.batch_size = min(found.batch_size, len(part) // 2)
                waiting.append(part)
    done.sort(key=lambda part: part.span.start)
    feed = partial(_feed, done, found.gauges)
    layers = list(done[0].responses) if done else []
    list(crew.map(feed, layers) if crew else map(feed, layers))
    found.not_finite.extend(named for part in done for named in part.not_finite)
    found.skipped.extend(batch.skipped)
    found.n_images += len(batch)
    found.stop = batch.stop


def _feed(done: list[_Part], gauges: Gauges, layer: str) -> None:
    """Shows the gauges of a layer what is left of its answers to a whole batch."""
    whole = joined([part.responses[layer] for part in done])
    for gauge in gauges[layer].values():
        if not gauge.reads_maps and len(whole):
            gauge.update(whole)


def _answer(
    network: Network, batch: Batch, keys: np.ndarray, gauges: Gauges, locks: dict[str, Lock], part: _Part
) -> None:
    """One pass over part of a batch: shows every layer's maps to the gauges that read them, and keeps the rest, reduced."""
    names = {network.resolve(layer): layer for layer in gauges if layer != OUTPUT}
    ids = batch.ids[part.span]
    sound = np.ones(len(part), bool)  # images that were finite so far: what comes after NaN is no answer to the image

    def see(step: str, maps: torch.Tensor) -> None:
        layer = names.get(step, step)
        response = Response(layer, maps, keys[part.span])
        here = gauges.get(layer, {})
        rest = [gauge for gauge in here.values() if not gauge.reads_maps]
        finite = response.finite if rest else response.finite_alone
        if not finite.all():
            part.not_finite.extend((layer, ids[i]) for i in np.flatnonzero(~finite))
            sound[:] &= finite
        if not sound.all():
            response = response.only(sound.copy())
        for name, gauge in here.items():
            if gauge.reads_maps and (layer, name) not in part.seen and len(response):
                with locks[layer]:
                    gauge.update(response)
                part.seen.add((layer, name))
        if rest:
            looks = [look for gauge in rest if (look := gauge.looks_at(response)) is not None]
            anywhere = np.zeros((len(response), response.n_units), bool)
            extents = any(gauge.needs_extents for gauge in rest)
            part.responses[layer] = response.without_maps(np.logical_or.reduce([anywhere, *looks]), extents=extents)

    with torch.inference_mode():
        see(OUTPUT, network.watch(batch.inputs[part.span], list(names), see))


def _is_out_of_memory(error: BaseException) -> bool:
    said = str(error).lower()
    return not isinstance(error, RuntimeError) or "out of memory" in said or "allocate memory" in said
