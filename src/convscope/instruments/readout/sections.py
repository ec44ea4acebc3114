"""Is a network its last layers, its middle, or its depth?  Sections of it left out, and the last layer read anew.

After Zeiler and Fergus 2013 (arXiv:1311.2901, table 3), who left out layers and trained again: dense layers or middle
convolutions cost little, both together much. Nothing is trained here. What is left of the network keeps its weights, and a
linear reading (ridge regression) of what it gives is learned from some of the images and measured on the others; the whole
network is read in the same way. So a section that later layers had come to count on costs more than it would after training.

Middle convolutions are left out where all values pass through two places of one shape, and what lies between is all in the middle
third of the convolutions: a residual branch, or a convolution with as many units below as above, its norm and activation with it.
Sections that change the shape stay.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from convscope.graph.graph import INPUT, Graph, Ref, Step
from convscope.instruments.readout.head import Head
from convscope.network import Network
from convscope.walks.fold import fold_batch_norm
from convscope.walks.forward import plan
from convscope.walks.swap import identity

WHOLE, HIDDEN, MIDDLE, BOTH = "nothing", "hidden dense layers", "middle convolutions", "both"  # what is left out
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # in parts of the mean square of what is read
CELLS = 16  # maps that are read are averaged to at most so many places
Labelled = tuple[Tensor, Tensor, Tensor]  # a batch: inputs, labels, which images the reading is learned from


@dataclass(frozen=True)
class Section:
    """A part that can be left out: what comes out of it is what goes in."""

    first: str  # the place before it
    last: str  # the place after it, of the same shape
    convolutions: tuple[str, ...]  # between


@dataclass(frozen=True, eq=False)
class Sections:
    """What can be left out, how well the rest can be read, and what cannot be left out."""

    middle: tuple[Section, ...]
    hidden: tuple[str, ...]
    right: dict[str, np.ndarray]  # by what was left out: whether each measured image is read rightly
    said: tuple[str, ...]  # what cannot be left out, and why

    @property
    def accuracy(self) -> dict[str, float]:
        """Share of images that are read rightly, by what was left out."""
        return {name: float(found.mean()) for name, found in self.right.items()}

    def more_than_the_sum(self, right: dict[str, np.ndarray] | None = None) -> float:
        """How much more both cost together than one by one, in accuracy; NaN where there is nothing of one kind."""
        right = self.right if right is None else right
        if BOTH not in right:
            return float("nan")
        whole, hidden, middle, both = (float(right[name].mean()) for name in (WHOLE, HIDDEN, MIDDLE, BOTH))
        return (whole - both) - (whole - hidden) - (whole - middle)


def middle_sections(graph: Graph, head: Head) -> tuple[Section, ...]:
    """The sections of the middle third that keep the shape, in order, none within another."""
    needed = graph.below([head.layer])
    below = [step for step in graph.steps if step.name in needed]
    place = {step.name: i for i, step in enumerate(below)}
    convolutions = _convolutions(below)
    third = set(convolutions[slice(*_third(len(convolutions)))])
    passed = [step for step in _all_pass(graph, below) if step.is_layer]
    found: list[Section] = []
    start = _settled(passed, 0)
    while start < len(passed) - 1:
        end = next((i for i in range(start + 1, len(passed)) if passed[i].shape == passed[start].shape), start)
        end = _settled(passed, end) if passed[end].kind == "conv" else end  # a sum's activation is not the branch's
        own = _convolutions(below[place[passed[start].name] + 1 : place[passed[end].name] + 1])
        if own and third.issuperset(own) and passed[start].shape == passed[end].shape:
            found.append(Section(passed[start].name, passed[end].name, own))
            start = _settled(passed, end)
        else:
            start = _settled(passed, start + 1)
    return tuple(found)


def left_out(graph: Graph, sections: Iterable[Section]) -> Graph:
    """The same network without these sections."""
    passes = {section.last: section.first for section in sections}

    def passed(step: Step) -> Step:
        if step.name not in passes:
            return step
        return replace(step, op="identity", function=identity, args=(Ref(passes[step.name]),), kwargs={})

    return graph.with_steps(map(passed, graph.steps))


def leave_out(network: Network, head: Head, batches: Callable[[], Iterable[Labelled]]) -> Sections:
    """The network without its hidden dense layers, its middle convolutions, and both.

    `batches` gives normalised inputs, labels (int64, -1 where unknown, left out), and which images the reading is learned from
    (bool; the others measure it), all of one size, the same each time.
    """
    middle, hidden = middle_sections(network.graph, head), head.products[:-1]
    places = {WHOLE: (_before_last(network.graph, head), ()), MIDDLE: (_before_last(network.graph, head), middle)}
    places |= {HIDDEN: (head.read, ()), BOTH: (head.read, middle)}
    absent = {HIDDEN, BOTH} if not hidden else set()
    absent |= {MIDDLE, BOTH} if not middle else set()
    right = {
        name: _read_anew(network, read, sections, batches)
        for name, (read, sections) in places.items()
        if name not in absent
    }
    return Sections(middle, hidden, right, _said(network.graph, head, middle, hidden))


def _all_pass(graph: Graph, below: Sequence[Step]) -> list[Step]:
    """The steps that every way from the images to the last of these passes, in order."""
    place = {step.name: i for i, step in enumerate(below)}
    moving = graph.above([INPUT])
    reach, found = 0, []
    for i, step in enumerate(below):
        if step.name not in moving:
            continue
        if reach <= i:
            found.append(step)
        reach = max([reach, *(place[name] for name in graph.readers[step.name] if name in place)])
    return found


def _third(n: int) -> tuple[int, int]:
    """The middle third of n things: its first, and the one after its last."""
    return round(n / 3), round(2 * n / 3)


def _settled(passed: Sequence[Step], start: int) -> int:
    """Past the norms and activations that follow a place: it is left out with them, or not at all."""
    while start + 1 < len(passed) and passed[start + 1].kind in ("norm", "activation"):
        if passed[start + 1].inputs != (passed[start].name,):
            break
        start += 1
    return start


def _convolutions(steps: Iterable[Step]) -> tuple[str, ...]:
    return tuple(step.name for step in steps if step.kind == "conv")


def _before_last(graph: Graph, head: Head) -> str:
    """The last value that a dense layer turns into logits."""
    if len(head.products) == 1:
        return head.read
    return graph[head.products[-1]].inputs[0]


def _read_anew(
    network: Network, read: str, sections: Sequence[Section], batches: Callable[[], Iterable[Labelled]]
) -> np.ndarray:
    """Whether the images that measure are given their class by a reading learned from the others, truth values."""
    features, labels, learns = [], [], []
    graph, program = None, None
    for inputs, known, learn in batches():
        if program is None:
            graph = left_out(network.graph_for(inputs), sections)
            program = plan(fold_batch_norm(graph, keep=[read], made={}), [read])
        with torch.no_grad():
            features.append(_averaged(program({INPUT: inputs})[read]))
        labels.append(known)
        learns.append(learn)
    values, wanted, own = torch.cat(features).double(), torch.cat(labels), torch.cat(learns)
    learned, rest = own & (wanted >= 0), ~own & (wanted >= 0)
    scores = ridge(values[learned], wanted[learned], values[rest])
    return (scores.argmax(1) == wanted[rest]).numpy()


def _averaged(values: Tensor) -> Tensor:
    """Units, with few places each, as one row an image."""
    if values.dim() == 4 and values.shape[2] * values.shape[3] > CELLS:
        values = F.adaptive_avg_pool2d(values, int(CELLS**0.5))
    return values.flatten(1).float()


def ridge(features: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
    """Scores `image class` of ridge regression on 0 and 1; the penalty is that of the least error of leaving one image out.

    Features are brought to mean 0 and deviation 1. With the hat matrix H, leaving an image out changes its residual by the
    factor 1 / (1 - H_ii) (Allen 1974, Technometrics 16:125).
    """
    mean, std = features.mean(0), features.std(0)
    std = std + 1e-3 * std.mean() + 1e-12
    own, other = (features - mean) / std, (asked - mean) / std
    wanted = F.one_hot(labels).double()
    base = wanted.mean(0)
    products = own @ own.T
    values, vectors = torch.linalg.eigh(products)
    turned = vectors.T @ (wanted - base)
    best: tuple[float, Tensor] | None = None
    for part in RIDGES:
        penalty = part * products.diagonal().mean()
        shrunk = 1 / (values.clamp_min(0) + penalty)
        weights = vectors @ (shrunk[:, None] * turned)  # (A A^T + c I)^-1 Y
        leverage = (vectors.square() * shrunk).sum(1)  # the residual over 1 - H_ii is this one over its own diagonal
        error = float((weights / leverage[:, None]).square().mean())
        if best is None or error < best[0]:
            best = error, weights
    assert best is not None
    return other @ (own.T @ best[1]) + base


def _said(graph: Graph, head: Head, middle: Sequence[Section], hidden: Sequence[str]) -> tuple[str, ...]:
    """What stays, and why."""
    found = []
    if not hidden:
        found.append("The head has no hidden dense layers to leave out.")
    below = graph.below([head.layer])
    n = len(_convolutions(step for step in graph.steps if step.name in below))
    start, stop = _third(n)
    n_gone = sum(len(section.convolutions) for section in middle)
    if n_gone < stop - start:
        stay = f"{stop - start - n_gone} of the {stop - start} convolutions in the middle third stay"
        found.append(f"{stay}: without them the shape would change.")
    if stop == start:
        found.append(f"With {n} convolutions there is no middle third.")
    return tuple(found)
