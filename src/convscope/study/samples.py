"""What is measured one by one?  Images of a sample, units, or whatever a claim takes: things with an id, one row for each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from convscope.errors import ImagesError
from convscope.images import Images
from convscope.network import Network

Row = dict[str, Any]  # what was measured of one of them, fit for JSON
_Thing = TypeVar("_Thing")


@dataclass(frozen=True, eq=False)
class Sample:
    """Things to be measured one by one. `rows` measures those at some places, in order: id and row, None for what cannot be had."""

    ids: tuple[str, ...]  # each once
    rows: Callable[[Sequence[int]], Iterator[tuple[str, Row | None]]]


def of_images(images: Images, network: Network, measure: Callable[[Tensor], Row]) -> Sample:
    """Images, each given as normalised inputs `1 channel y x`; those that cannot be read have no row."""

    def rows(places: Sequence[int]) -> Iterator[tuple[str, Row | None]]:
        with suppress(ImagesError):  # that of a stream with no readable image
            for batch in images[places].stream(network.preprocess.prepare_one, batch_size=1):
                for skip in batch.skipped:
                    yield skip.id, None
                for id_, inputs in zip(batch.ids, batch.inputs, strict=True):
                    yield id_, measure(inputs[None])

    return Sample(tuple(images.ids), rows)


def of_things(things: dict[str, _Thing], measure: Callable[[_Thing], Row]) -> Sample:
    """Whatever has an id: units, classes."""
    ids = tuple(things)
    return Sample(ids, lambda places: ((ids[place], measure(things[ids[place]])) for place in places))
