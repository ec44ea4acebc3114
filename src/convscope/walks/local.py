"""What would the network have said with another patch here?  Only what a local change of the image reaches is computed again.

The exact form of Krypton's incremental inference (Nakandala, Kumar and Papakonstantinou, SIGMOD 2019): a change in a window of
the image changes a window of every map above it, which is computed from a crop of the unchanged map with the changed part
pasted in. One batch holds many positions. Whole maps are computed from where an operation mixes all positions, or where the
window covers most of the map.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from convscope.errors import UsageError
from convscope.graph.graph import INPUT, Graph
from convscope.walks.fuse import fuse_relu
from convscope.walks.local_batches import batches, classes, n_classes
from convscope.walks.local_pass import Planned, Prepared, prepared
from convscope.walks.window import Window, at, inside, paste

MOST_VARIANTS = 64  # in one batch
MOST_BYTES = 24 * 2**20  # of the largest value of a batch; more costs more in fresh memory than it saves in calls


@dataclass(frozen=True)
class Reach:
    """How far a change of the image stays local: the steps computed in windows, and from where on whole maps are."""

    local: tuple[str, ...]
    whole_from: str | None  # None: local up to where no positions are left
    why: str
    share: float  # of the network's multiply-accumulates, those in steps that are computed in windows

    def __str__(self) -> str:
        steps = f"local through {len(self.local)} steps ({self.share:.0%} of the multiply-accumulates)"
        return steps if self.whole_from is None else f"{steps}; whole maps from '{self.whole_from}' on: {self.why}"


@dataclass(frozen=True, eq=False)
class LocalGraph:
    """A graph as the local walk computes it; made once, for all images of a size."""

    output: str
    plain: Graph
    quick: Graph  # ReLUs joined to convolutions


def local_graph(graph: Graph, output: str) -> LocalGraph:
    """The graph up to an output, its weights in the order of memory that crops are computed in. Give it folded batch norms."""
    if output not in graph.by_name:
        raise UsageError(f"The values of '{output}' were asked for.", "It is no step.", "Name a layer of the network.")
    plain = graph.moved(_channels_last)
    return LocalGraph(output, plain, fuse_relu(plain, keep=[output]))


@dataclass(frozen=True, eq=False)
class LocalWalk:
    """The network around one image. Called with windows and what they shall hold, it returns the output's value for each.

    All values of the unchanged image are computed once and kept. `reach` says how far a change stays local.
    """

    graph: LocalGraph
    image: torch.Tensor  # normalised, `1 channel y x`, in the graph's precision
    quick: Prepared
    is_finite: bool
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)  # of batches, by size of the window

    def __call__(self, tops: Any, patches: torch.Tensor) -> torch.Tensor:
        """The output, `n unit y x` or `n class` in float32, for n variants of the image.

        `tops` are the top left corners (y, x) of the windows, n of them, whole numbers; a window may lie partly outside the image.
        `patches` are what the windows hold: `n channel y x`, or `1 channel y x` for all of them.
        Raises UsageError for patches of another shape.
        """
        found: torch.Tensor | None = None
        for chosen, values in self.each(tops, patches):
            if found is None:
                found = values.new_empty(np.asarray(tops).size // 2, *values.shape[1:])
            found[torch.from_numpy(chosen).to(found.device)] = values
        return self.value[:0] if found is None else found

    def each(self, tops: Any, patches: torch.Tensor) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """The same batch by batch, in an order of its own: which windows (their indices), and the output for these."""
        tops = np.asarray(tops, dtype=np.int64).reshape(-1, 2)
        self._check(tops, patches)
        patches = patches.to(self.image.device, self.image.dtype)
        quick = self.is_finite and bool(torch.isfinite(patches).all())
        over = self.quick if quick else self._plain
        extent = patches.shape[2], patches.shape[3]
        for chosen in self._batches(tops, extent):
            held = patches if len(patches) == 1 else patches[torch.from_numpy(chosen).to(patches.device)]
            with torch.no_grad():
                window = self._window(tops[chosen], extent)
                yield chosen, over.run(window, self._changed(window, tops[chosen], held), self.graph.output)

    @property
    def value(self) -> torch.Tensor:
        """The output for the image as it is, `1 unit y x` or `1 class`, float32."""
        over = (self.quick if self.is_finite else self._plain).unchanged
        layout, value = over.graph[self.graph.output].layout[0], over.values[self.graph.output]
        return (layout.to_map(value) if layout is not None else value).float()

    @cached_property
    def reach(self) -> Reach:
        """How far a change in the middle of the image stays local."""
        middle = self._window(np.array([self._middle((1, 1))]), (1, 1))
        return _reach(self.quick.planned(middle, covered=1.1), self.quick.costs)

    def work(self, tops: Any, extent: tuple[int, int]) -> tuple[float, float]:
        """Multiply-accumulates of these windows of y by x pixels, of the local walk and of full passes."""
        tops = np.asarray(tops, dtype=np.int64).reshape(-1, 2)
        local = 0.0
        for chosen in self._batches(tops, extent):
            local += len(chosen) * self.quick.macs(self.quick.planned(self._window(tops[chosen], extent)))
        return local, len(tops) * float(sum(self.quick.costs.values()))

    @cached_property
    def _plain(self) -> Prepared:
        """For values that are not finite, which ReLUs joined to convolutions would lose."""
        same = self.graph.plain is self.graph.quick
        return self.quick if same else prepared(self.graph.plain, self.image, self.graph.output)

    def _check(self, tops: np.ndarray, patches: torch.Tensor) -> None:
        if patches.dim() != 4 or patches.shape[1] != self.image.shape[1] or patches.shape[0] not in (1, len(tops)):
            raise UsageError(
                f"{len(tops)} windows of an image of {self.image.shape[1]} channels were to be filled.",
                f"The patches have the shape {tuple(patches.shape)}.",
                "Give one patch for each window, or one for all: `n channel y x`.",
            )

    def _window(self, tops: np.ndarray, extent: tuple[int, int]) -> Window:
        """The part of the image that is changed."""
        y, x = (inside(tops[:, i], tops[:, i] + extent[i] - 1, self.image.shape[2 + i]) for i in range(2))
        return Window(y, x, (2, 3))

    def _changed(self, window: Window, tops: np.ndarray, patches: torch.Tensor) -> torch.Tensor:
        """What it holds, `n channel y x`."""
        y, x = (at(tops[:, i], patches.shape[2 + i], self.image.shape[2 + i]) for i in range(2))
        held = patches.permute(0, 2, 3, 1).expand(len(tops), -1, -1, -1)
        crop = self.quick.unchanged.rows(INPUT).take(window)
        return paste(crop, window, held, Window(y, x, window.axes)).permute(0, 3, 1, 2)

    def _batches(self, tops: np.ndarray, extent: tuple[int, int]) -> Iterator[np.ndarray]:
        """Indices of positions whose windows are alike, batch by batch."""
        if len(tops):
            found = [self._classes(tops[:, i], extent, i) for i in range(2)]
            yield from batches(tops, found[0], found[1], self._batch_size(extent))

    def _classes(self, starts: np.ndarray, extent: tuple[int, int], axis: int) -> np.ndarray:
        """Which positions along an axis have windows alike in all layers."""
        n = n_classes(len(starts))
        if n == 1:
            return np.zeros(len(starts), dtype=np.int64)
        unique, where = np.unique(starts, return_inverse=True)
        tops = np.full((len(unique), 2), self._middle(extent))
        tops[:, axis] = unique
        widths, cost = self.quick.widths(self.quick.planned(self._window(tops, extent), covered=1.1), len(unique), axis)
        return classes(widths, cost, n)[where.reshape(-1)]

    def _batch_size(self, extent: tuple[int, int]) -> int:
        if extent not in self.sizes:
            window = self._window(np.array([self._middle(extent)]), extent)
            fitting = MOST_BYTES // (self.quick.most_numbers(self.quick.planned(window)) * self.image.element_size())
            self.sizes[extent] = int(np.clip(fitting, 1, MOST_VARIANTS))
        return self.sizes[extent]

    def _middle(self, extent: tuple[int, int]) -> list[int]:
        return [(self.image.shape[2 + i] - extent[i]) // 2 for i in range(2)]


def local_walk(graph: LocalGraph, inputs: torch.Tensor) -> LocalWalk:
    """The walk for local changes of one image (normalised, `1 channel y x`, in the graph's precision).

    Raises UsageError for more images.
    """
    if inputs.dim() != 4 or inputs.shape[0] != 1:
        raise UsageError(
            "Local changes of one image were asked for.",
            f"The inputs have the shape {tuple(inputs.shape)}.",
            "Give one image: `1 channel y x`; make a walk for each.",
        )
    image = inputs.detach().contiguous(memory_format=torch.channels_last)
    quick = prepared(graph.quick, image, graph.output)
    return LocalWalk(graph, image, quick, is_finite=bool(torch.isfinite(image).all()))


def _reach(found: Sequence[Planned], costs: Mapping[str, int]) -> Reach:
    local = tuple(each.step.name for each in found if each.local and each.local.window)
    first = next((each for each in found if each.local is None and each.had_windows), None)
    share = sum(costs.get(name, 0) for name in local) / max(1, sum(costs.values()))
    return Reach(local, first.step.name if first else None, first.why if first else "", share)


def _channels_last(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
