"""How do many images reach a network without waiting, and without filling memory?  Through a bounded queue.

Threads, not processes: Pillow lets go of Python's lock while it decodes and resizes, so threads are as fast, start at
once, and hand over their results without copying them.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from convscope.errors import ImagesError, UsageError
from convscope.images.picture import Picture, Skip


@dataclass(frozen=True, eq=False)
class Batch:
    """Some images, prepared, in the collection's order."""

    ids: tuple[str, ...]
    indices: tuple[int, ...]  # places in the collection that is streamed
    inputs: torch.Tensor  # float32 `batch channel y x`
    labels: torch.Tensor  # int64 class indices, -1 where unknown
    skipped: tuple[Skip, ...] = ()  # images that could not be read, met since the batch before
    stop: int = 0  # all images before this place are done once this batch is; where a later stream can start

    def __len__(self) -> int:
        return len(self.ids)


class Collection(Protocol):
    """What a stream needs of a collection."""

    @property
    def ids(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def picture(self, index: int) -> Picture: ...


@dataclass(frozen=True, eq=False)
class _Prepared:
    id: str
    index: int
    label: int
    inputs: torch.Tensor


def stream(
    images: Collection,
    prepare: Callable[[Picture], torch.Tensor],
    *,
    batch_size: int = 32,
    workers: int | None = None,
    start: int = 0,
) -> Generator[Batch]:
    """The images from place `start` on, in batches, in order.

    `prepare` is a Preprocess, or turns a Picture into a float tensor `channel y x`; it runs in `workers` threads (by
    default one per core), at most two batches ahead. A batch covers `batch_size` consecutive places, whatever is
    readable among them, so that a damaged file moves no other image into another batch; images whose prepared sizes
    differ come in one batch per size. Images that cannot be read are named in `skipped`. Raises ImagesError when none
    can be read, UsageError for a wrong size; what else `prepare` raises is raised here. Closing the iterator, or an
    interrupt, cancels what is waiting.
    """
    if batch_size < 1 or start < 0 or (workers is not None and workers < 1):
        found = f"batch_size={batch_size}, workers={workers}, start={start}"
        raise UsageError(
            f"A stream was asked for with {found}.", "That cannot be.", "Give at least 1 (start: at least 0)."
        )
    return _batches(images, getattr(prepare, "prepare_one", prepare), batch_size, workers or n_cores(), start)


def n_cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _batches(
    images: Collection, prepare: Callable[[Picture], torch.Tensor], batch_size: int, workers: int, start: int
) -> Generator[Batch]:
    """One batch is held back until the next is there, so that unreadable images at the end still have one to be in."""
    held: Batch | None = None
    skipped: list[Skip] = []
    results = _results(lambda index: _one(images, prepare, index), range(start, len(images)), workers, 2 * batch_size)
    try:
        for span, stop in _spans(results, start, batch_size):
            skipped += [one for one in span if isinstance(one, Skip)]
            for group in _by_shape([one for one in span if isinstance(one, _Prepared)]):
                if held is not None:
                    yield held
                held, skipped = _batch(group, tuple(skipped), stop), []
            if held is not None:
                held, skipped = replace(held, skipped=(*held.skipped, *skipped), stop=stop), []
    finally:
        results.close()
    if held is not None:
        yield held
    elif skipped:
        raise ImagesError(
            f"{len(skipped)} images were to be read.",
            f"None of them could be; the first is '{skipped[0].id}'. {skipped[0].reason}",
            "Give images that can be read.",
        )


def _results(
    work: Callable[[int], Any], indices: Iterable[int], workers: int, ahead: int
) -> Generator[Any, None, None]:
    """`work` of each index, in order, by `workers` threads, never more than `ahead` results waiting."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="images")
    waiting: deque[Future[Any]] = deque()
    try:
        for index in indices:
            waiting.append(pool.submit(work, index))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _one(images: Collection, prepare: Callable[[Picture], torch.Tensor], index: int) -> _Prepared | Skip:
    try:
        picture = images.picture(index)
        inputs = prepare(picture)
    except ImagesError as error:
        return Skip(images.ids[index], error.found or error.asked)
    if not isinstance(inputs, torch.Tensor) or inputs.ndim != 3:
        found = f"It gave {tuple(inputs.shape) if hasattr(inputs, 'shape') else type(inputs).__name__}."
        raise UsageError(
            "Images were to be prepared for a network.", found, "`prepare` must return a tensor `channel y x`."
        )
    return _Prepared(picture.id, index, -1 if picture.label is None else picture.label, inputs)


def _spans(results: Iterable[Any], start: int, batch_size: int) -> Iterator[tuple[list[Any], int]]:
    """The results in runs of `batch_size`, each with the place after its last."""
    span: list[Any] = []
    stop = start
    for stop, one in enumerate(results, start + 1):
        span.append(one)
        if len(span) == batch_size:
            yield span, stop
            span = []
    if span:
        yield span, stop


def _by_shape(prepared: list[_Prepared]) -> list[list[_Prepared]]:
    """Groups of one input shape each, in the order in which the shapes are first met."""
    groups: dict[torch.Size, list[_Prepared]] = {}
    for one in prepared:
        groups.setdefault(one.inputs.shape, []).append(one)
    return list(groups.values())


def _batch(group: list[_Prepared], skipped: tuple[Skip, ...], stop: int) -> Batch:
    return Batch(
        ids=tuple(one.id for one in group),
        indices=tuple(one.index for one in group),
        inputs=_stacked([one.inputs for one in group]),
        labels=torch.tensor([one.label for one in group], dtype=torch.int64),
        skipped=skipped,
        stop=stop,
    )


def _stacked(inputs: list[torch.Tensor]) -> torch.Tensor:
    """One tensor of all, copied by numpy on this thread alone.

    torch would share the copying out among threads, and wait for cores that the decoders keep busy: half the speed.
    """
    if inputs[0].dtype != torch.float32 or inputs[0].device.type != "cpu" or inputs[0].requires_grad:
        return torch.stack(inputs)
    return torch.from_numpy(np.stack([one.numpy() for one in inputs]))
