"""Where does a change meet an operation?  The words that the rules of the local walk are written in.

A rule is given a `Place` (a step, and the windows of its inputs that a change reaches) and says which window of the step's value
depends on them, and how that window is computed from crops (`Local`). Where the changed positions lose their place, or an
operation has no rule, `NotLocal` says why whole maps are computed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from convscope.graph.graph import Graph, Param, Ref, Step, substitute
from convscope.walks.window import Axes, Rows, Window, at, axes_of, paste, rows_of

Values = Mapping[str, Any]  # of the steps that a change reaches, for all variants
Compute = Callable[[Values], Any]
Pair = tuple[int, int]


class NotLocal(Exception):  # noqa: N818 - no error: the way a rule says that whole maps are needed
    """Why the whole map of an operation must be computed."""


@dataclass(frozen=True, eq=False)
class Unchanged:
    """All values of the unchanged image, and what is made of them once: padded maps as rows, sums."""

    graph: Graph
    values: Values
    made: dict[Any, Any] = field(default_factory=dict)

    def axes(self, name: str) -> Axes | None:
        return self._once(("axes", name), lambda: axes_of(self.graph, name))

    def shape(self, name: str) -> tuple[int, ...]:
        value = self.values[name]
        return tuple((value[0] if isinstance(value, (tuple, list)) else value).shape)

    def size(self, name: str) -> Pair:
        """Of a step's map, y x."""
        axes, shape = self.axes(name), self.shape(name)
        assert axes is not None
        return shape[axes[0]], shape[axes[1]]

    def held(self, name: str) -> torch.Tensor:
        """A step's map as `y x rest`."""
        return self.values[name].movedim(self.axes(name), (1, 2))[0]

    def rows(self, name: str, padding: tuple[int, int, int, int] = (0, 0, 0, 0), fill: float = 0.0) -> Rows:
        return self._once((name, padding, fill), lambda: rows_of(self.held(name), padding, fill))

    def sums(self, name: str) -> torch.Tensor:
        """Sum over all positions above and left of each, `y+1 x+1 rest`, in double precision."""

        def made() -> torch.Tensor:
            held = self.held(name).double()
            sums = held.new_zeros((held.shape[0] + 1, held.shape[1] + 1, *held.shape[2:]))
            sums[1:, 1:] = held.cumsum(0).cumsum(1)
            return sums

        return self._once(("sums", name), made)

    def known(self, argument: Any) -> Any:
        """An argument with the parameters and unchanged values it names."""
        if isinstance(argument, Param):
            return self.graph.tensors[argument.name]
        return self.values[argument.step] if isinstance(argument, Ref) else argument

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]


@dataclass(frozen=True, eq=False)
class Local:
    """How a step is computed for all variants at once: in a window of its map, or whole where there is no window."""

    window: Window | None
    compute: Compute


@dataclass(frozen=True, eq=False)
class Place:
    """A step, with the windows of the inputs that a change reaches."""

    step: Step
    unchanged: Unchanged
    windows: Mapping[str, Window]

    @property
    def n(self) -> int:
        return next(iter(self.windows.values())).n

    def first(self) -> tuple[str, Window]:
        """The one changed input, which the operation is about."""
        argument = self.step.args[0]
        if not isinstance(argument, Ref) or set(self.windows) != {argument.step}:
            raise NotLocal(f"'{self.step.op}' depends on the change in more than its first input")
        return argument.step, self.windows[argument.step]

    def axes(self) -> Axes:
        """y and x of the step's own value."""
        axes = self.unchanged.axes(self.step.name)
        if axes is None:
            raise NotLocal(f"after '{self.step.op}' rows and columns are not kept apart")
        return axes

    def whole_axes(self) -> Axes:
        """As `axes`, where the value has as many rows and columns as the changed inputs."""
        axes = self.axes()
        for window in self.windows.values():
            if self.unchanged.size(self.step.name) != (window.y.size, window.x.size):
                raise NotLocal(f"'{self.step.op}' changes the number of rows or columns")
        return axes

    def call(self) -> Compute:
        """The step's own operation on the changed values, everything else as it is."""

        def known(argument: Any) -> Any:
            changed = isinstance(argument, Ref) and argument.step in self.windows
            return argument if changed else self.unchanged.known(argument)

        args, kwargs = substitute(self.step.args, known), substitute(self.step.kwargs, known)
        function, name = self.step.function, next(iter(self.windows))
        if isinstance(self.step.args[0], Ref) and len(self.windows) == 1:
            return lambda values: function(values[name], *args[1:], **kwargs)
        raise NotLocal(f"'{self.step.op}' has no local rule for these inputs")

    def brought(self, argument: Any, to: Window) -> Compute:
        """An argument as it is in a window, whatever window it was known in."""
        if isinstance(argument, Ref) and argument.step in self.windows:
            name, own = argument.step, self.windows[argument.step]
            if own.is_at(to):
                return lambda values: values[name]
            rows = self.unchanged.rows(name)
            return lambda values: crop_of(rows, to, values[name], own)
        value = self.unchanged.known(argument)
        if not isinstance(value, torch.Tensor):
            return lambda values: value
        return lambda values: self._cropped(value, to)

    def _cropped(self, value: torch.Tensor, to: Window) -> torch.Tensor:
        """What does not change, at the positions of a window; as it is where it is the same for all positions."""
        n_dims = len(self.unchanged.shape(self.step.name))
        from_right = [axis - n_dims for axis in to.axes]
        single = at(np.zeros(to.n, dtype=np.int64), 1, 1)
        y, x = (
            span if value.dim() >= -dim and value.shape[dim] > 1 else single
            for dim, span in zip(from_right, (to.y, to.x), strict=True)
        )
        if y is single and x is single:
            return value
        full = value[(None,) * (n_dims - value.dim())]
        taken = rows_of(full.movedim(to.axes, (1, 2))[0]).take(Window(y, x, to.axes))
        return taken.movedim((1, 2), to.axes)


def crop_of(rows: Rows, to: Window, changed: torch.Tensor, own: Window) -> torch.Tensor:
    """The unchanged map in one window, with what changed in another pasted in."""
    crop = paste(rows.take(to), to, changed.movedim(own.axes, (1, 2)), own)
    return crop.movedim((1, 2), to.axes)


Rule = Callable[[Place], Local]
RULES: dict[str, Rule] = {}  # by operation


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enters a rule for operations."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter
