"""How is a batch of changed images computed?  Step by step: each in a window where its rule allows, on whole maps above that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import torch

from convscope.graph.graph import INPUT, Graph, Ref, Size, Step, substitute
from convscope.graph.layout import BATCH
from convscope.walks.cost import costs
from convscope.walks.forward import needed, plan
from convscope.walks.local_place import Local, NotLocal, Pair, Place, Unchanged
from convscope.walks.local_rules import rule_for
from convscope.walks.window import Window, at, paste

COVERED = 0.85  # the part of a map from which on the whole of it is computed: a crop costs a copy, too


@dataclass(frozen=True, eq=False)
class Planned:
    """A step of a batch: computed locally, or whole, and then why."""

    step: Step
    local: Local | None
    why: str
    had_windows: bool
    done: tuple[str, ...]  # values nobody reads after it

    @property
    def share(self) -> float:
        """The part of its map that is computed."""
        return self.local.window.share if self.local and self.local.window else 1.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """A graph with all values of the unchanged image."""

    unchanged: Unchanged
    steps: tuple[Step, ...]
    costs: Mapping[str, int]  # multiply-accumulates of each step
    size: Pair  # of the image, y x

    def planned(self, window: Window, covered: float = COVERED) -> list[Planned]:
        """What is to be computed for a batch whose images change in this window."""
        windows: dict[str, Window | None] = {INPUT: window}  # None: changed, without a window
        found: list[Planned] = []
        last_use = {name: i for i, step in enumerate(self.steps) for name in step.inputs}
        for i, step in enumerate(self.steps):
            changed = {name: windows[name] for name in dict.fromkeys(step.inputs) if name in windows}
            if not changed:
                continue
            local, why = self._local(step, changed, covered)
            windows[step.name] = local.window if local else None
            had = any(each is not None for each in changed.values())
            done = tuple(name for name in changed if last_use[name] == i)
            found.append(Planned(step, local, why, had, done))
        return found

    def _local(self, step: Step, changed: Mapping[str, Window | None], covered: float) -> tuple[Local | None, str]:
        everywhere = [name for name, window in changed.items() if window is None]
        if everywhere:
            return None, f"it reads '{everywhere[0]}', which depends on every position"
        try:
            local = rule_for(step)(Place(step, self.unchanged, {n: w for n, w in changed.items() if w is not None}))
        except NotLocal as reason:
            return None, str(reason)
        if local.window is not None and local.window.share > covered:
            return None, "the window covers most of the map"
        return local, ""

    def run(self, window: Window, changed: torch.Tensor, output: str) -> torch.Tensor:
        """The output for a batch, `n ...` in float32, given the changed part of its images."""
        batch = _Batch(self, window.n, {INPUT: window}, {INPUT: changed})
        for each in self.planned(window):
            batch.compute(each)
            batch.forget(name for name in each.done if name != output)
        found = batch.whole(output)
        layout = self.unchanged.graph[output].layout[0]
        return (layout.to_map(found) if layout is not None else found).float()

    def macs(self, found: Sequence[Planned]) -> float:
        """Multiply-accumulates of one variant."""
        return sum(self.costs.get(each.step.name, 0) * each.share for each in found)

    def widths(self, found: Sequence[Planned], n: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """How much of each map changes along an axis, `variant step`, and what the steps cost in windows as wide as the map."""
        widths, cost = [], []
        for each in found:
            window = each.local.window if each.local else None
            if window is not None and self.costs.get(each.step.name):
                along, across = (window.y, window.x)[axis], (window.x, window.y)[axis]
                widths.append((along.last - along.first + 1) / along.size)
                cost.append(self.costs[each.step.name] * across.extent / across.size)
        return np.stack(widths, axis=1) if widths else np.zeros((n, 1)), np.array(cost or [0.0])

    def most_numbers(self, found: Sequence[Planned]) -> int:
        """The largest value of one variant."""
        return max([1, *(int(each.share * prod(self.unchanged.shape(each.step.name))) for each in found)])


def prepared(graph: Graph, image: torch.Tensor, output: str) -> Prepared:
    """All values below the output, computed once."""
    size = int(image.shape[2]), int(image.shape[3])
    steps = tuple(_of_size(step, size) for step in needed(graph, [output], [INPUT]))
    kept = graph.with_steps(steps)
    with torch.no_grad():
        # Nothing of these is written over, as all are wanted.
        values = plan(kept, [step.name for step in steps])({INPUT: image})
    macs = {name: cost.n_macs for name, cost in costs(kept).items()}
    return Prepared(Unchanged(kept, {INPUT: image, **values}), steps, macs, size)


def _of_size(step: Step, size: Pair) -> Step:
    """The step with numbers for all sizes that depend on the image's alone."""

    def number(argument: Any) -> Any:
        depends = isinstance(argument, Size) and not any(str(s) == "batch" for s in argument.expression.free_symbols)
        return argument.at(1, *size) if depends else argument

    return replace(step, args=substitute(step.args, number), kwargs=substitute(step.kwargs, number))


@dataclass(frozen=True, eq=False)
class _Batch:
    """The changed images of a batch, on their way through the network."""

    prepared: Prepared
    n: int
    windows: dict[str, Window]  # of the values that are computed in windows
    values: dict[str, Any]  # changed, and still needed
    pasted: dict[str, Any] = field(default_factory=dict)  # whole maps made of windows

    def compute(self, each: Planned) -> None:
        name = each.step.name
        if each.local is None:
            self.values[name] = self._as_ever(each.step)
            return
        self.values[name] = each.local.compute(self.values)
        if each.local.window is not None:
            self.windows[name] = each.local.window

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.values.pop(name, None)
            self.pasted.pop(name, None)

    def whole(self, name: str) -> Any:
        """A value as whole maps, one for each variant."""
        unchanged = self.prepared.unchanged
        if name not in self.values:
            return _repeated(unchanged.values[name], _images(unchanged.graph, name), self.n)
        if name not in self.windows:
            return self.values[name]
        if name not in self.pasted:
            self.pasted[name] = _pasted(unchanged.values[name], self.values[name], self.windows[name])
        return self.pasted[name]

    def _as_ever(self, step: Step) -> Any:
        """A step computed as the network would."""

        def filled(argument: Any) -> Any:
            if isinstance(argument, Size):
                return argument.at(self.n, *self.prepared.size)
            if isinstance(argument, Ref):
                return self.whole(argument.step)
            return self.prepared.unchanged.known(argument)

        return step.function(*substitute(step.args, filled), **substitute(step.kwargs, filled))


def _pasted(kept: Any, value: Any, window: Window) -> Any:
    """The unchanged map, once for each variant, with its window pasted in."""
    if isinstance(value, (tuple, list)):
        return [_pasted(one, part, window) for one, part in zip(kept, value, strict=True)]
    if window.y.extent == window.y.size and window.x.extent == window.x.size:
        return value
    held = kept.movedim(window.axes, (1, 2))
    # A copy even of one: what is kept must stay as it is.
    full = held.expand(window.n, *held.shape[1:]).clone(memory_format=torch.contiguous_format)
    y, x = (at(np.zeros(window.n, dtype=np.int64), span.size, span.size) for span in (window.y, window.x))
    paste(full, Window(y, x, window.axes), value.movedim(window.axes, (1, 2)), window)
    return full.movedim((1, 2), window.axes)


def _repeated(value: Any, dim: int | None, n: int) -> Any:
    """What does not change, for all variants; `dim` counts the images."""
    if isinstance(value, (tuple, list)):
        return [_repeated(part, dim, n) for part in value]
    return value if dim is None else torch.cat([value] * n, dim)


def _images(graph: Graph, name: str) -> int | None:
    """Which dimension of a step's value counts the images."""
    if name == INPUT:
        return 0
    layout, shape = graph[name].layout[0], graph[name].shape
    if layout is not None:
        return next((i for i, dim in enumerate(layout.dims) if any(atom.axis == BATCH for atom in dim)), None)
    return shape.index(None) if shape is not None and None in shape else None
