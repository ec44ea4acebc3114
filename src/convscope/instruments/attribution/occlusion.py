"""Which parts does the prediction need?  Each is covered in turn, by a window that slides over the image; the drop is its score.

Zeiler and Fergus 2013 (arXiv:1311.2901), section 4.2, where a grey square covers the image and the map shows the class's
probability. Here it shows how far the score falls, so that it is positive where the prediction needs what was covered.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
import torch
import torch.nn.functional as F

from convscope.errors import NetworkError, UsageError
from convscope.graph.graph import INPUT
from convscope.instruments.attribution.baseline import baseline_inputs
from convscope.instruments.attribution.method import Method, Question, Values, chunks
from convscope.instruments.attribution.variants import positions, scores_of
from convscope.registry import register

PRECISIONS = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}
_MOST_LOCAL = 0.5  # the share of the work that must be done in windows, or the answer says how far that reached
_MOST_BYTES = 64 * 2**20  # of patches that differ from window to window
_Pair = tuple[int, int]


@register("method", "occlusion")
@dataclass(frozen=True)
class Occlusion(Method):
    """score - score with the window covered, in logits; a pixel gets the mean over all windows that cover it.

    Windows start at the top left corner, every `stride` px, until the image is covered; the last of a row or column may reach
    over the border, and is cut off there. With several fills it is the mean of the drops. The image is not computed anew for
    each window: only what the window reaches is, exactly (see walks/local.py); where a network mixes all positions early
    (squeeze and excitation, attention), whole maps are computed, and a note says from where on. At another layer than the
    image, windows of its maps are covered in all units, by what the layer says of the fill; `window` and `stride` stay in px
    of the image, rounded to whole positions. Values are `batch 1 y x`: what a window holds is covered in all units at once.
    Raises UsageError for a window, stride or precision that is not possible, NetworkError for scores that are not finite.
    """

    title = "Occlusion"
    paper = "Zeiler and Fergus 2013, arXiv:1311.2901"

    window: int | _Pair = 16  # px, or (y, x)
    stride: int | _Pair = 8  # px, or (y, x); at most the window, or pixels would stay uncovered
    fill: str | tuple[str, ...] = "zero"  # what covers: "zero", "mean", "black", "white", "blur", "noise", or several
    seed: int = 0  # of the noise
    precision: str | None = (
        None  # "bfloat16" is 2 to 4 times faster on some processors, but small drops drown in its rounding
    )
    batch_size: int | None = None  # variants in one pass, at other layers than the image; None: as many as fit

    def __post_init__(self) -> None:
        window, stride = _checked_pair("window", self.window), _checked_pair("stride", self.stride)
        if not all(1 <= step <= extent for step, extent in zip(stride, window, strict=True)):
            raise UsageError(
                "Occlusion was asked for.",
                f"The window is {window[0]} x {window[1]} px, the stride {stride[0]} x {stride[1]} px (y x).",
                "Both are at least 1, and the stride at most the window.",
            )
        if not isinstance(self.fill, str) and not (self.fill and all(isinstance(kind, str) for kind in self.fill)):
            raise UsageError(
                "Occlusion was asked for.",
                f"The fill is {self.fill!r}.",
                "Name one baseline to cover with, or several.",
            )
        if self.precision is not None and self.precision not in PRECISIONS:
            raise UsageError(
                "Occlusion was asked for.", f"The precision is '{self.precision}'.", f"Use {', '.join(PRECISIONS)}."
            )

    def values(self, question: Question) -> Values:
        if self.precision is not None:
            network = question.network.quick_for(question.inputs, PRECISIONS[self.precision])
            above = network.onward(question.layer, question.inputs, question.target.step)
            question = replace(question, network=network, above=above)
        return self._of_image(question) if question.layer == INPUT else self._of_maps(question)

    def _of_image(self, question: Question) -> Values:
        """By the local walk, image by image."""
        grid = self._grid(question, question.inputs.shape[2:])
        fills = self._fills(question)
        total, done = len(question.inputs) * len(fills) * len(grid), 0
        found, notes = [], self._notes()
        for i in range(len(question.inputs)):
            walk = question.network.local(question.inputs[i : i + 1], question.target.step)
            target, drops = question.target.of(i), torch.zeros(len(grid), dtype=torch.float64)
            unchanged = target.score(walk.value).double().cpu()
            local, whole = walk.work(grid.tops, grid.extent)
            question.took(len(fills) * len(grid) * local / max(1, whole))
            for fill in fills:
                for part, patches in grid.patches(fill[i : i + 1]):
                    for chosen, values in walk.each(grid.tops[part], patches):
                        drops[part.start + torch.from_numpy(chosen)] += unchanged - target.score(values).double().cpu()
                        done += len(chosen)
                        question.progress(done, total)
            found.append(drops / len(fills))
            if i == 0 and walk.reach.share < _MOST_LOCAL:
                notes = (*notes, f"Most of the network is computed on whole maps: {walk.reach}.")
        return Values(grid.spread(_finite(torch.stack(found), question)), notes=notes)

    def _of_maps(self, question: Question) -> Values:
        """By passes through the network above a layer."""
        maps = positions(question, question.maps)
        grid = self._grid(question, maps.shape[2:])
        with torch.no_grad():
            fills = [question.network.run(fill, [question.layer])[question.layer] for fill in self._fills(question)]

        def covered(part: slice) -> torch.Tensor:
            variants = maps[:, None].repeat(1, part.stop - part.start, 1, 1, 1)
            for i, variant in enumerate(range(part.start, part.stop)):
                y, x = grid.window(variant % len(grid))
                variants[:, i, :, y, x] = fills[variant // len(grid)].reshape(maps.shape)[:, :, y, x]
            return variants.reshape(*variants.shape[:2], *question.maps.shape[1:])

        scores = scores_of(question, len(fills) * len(grid), covered, self.batch_size)
        unchanged = question.score(question.maps).double().cpu()
        drops = unchanged[:, None] - scores.unflatten(1, (len(fills), len(grid))).mean(1)
        return Values(grid.spread(drops), notes=self._notes())

    def _fills(self, question: Question) -> list[torch.Tensor]:
        """The images that windows are cut from."""
        kinds = (self.fill,) if isinstance(self.fill, str) else self.fill
        return [baseline_inputs(question.inputs, question.network.preprocess, kind, self.seed) for kind in kinds]

    def _notes(self) -> tuple[str, ...]:
        if self.precision != "bfloat16":
            return ()
        return ("Computed in bfloat16: small drops drown in its rounding, so the map may drift from float32's.",)

    def _grid(self, question: Question, size: torch.Size) -> "Grid":
        image = question.inputs.shape[2:]
        shares = [there / here for there, here in zip(size, image, strict=True)]
        window, stride = (
            [max(1, round(px * share)) for px, share in zip(_pair(asked), shares, strict=True)]
            for asked in (self.window, self.stride)
        )
        return Grid((size[0], size[1]), (window[0], window[1]), (stride[0], stride[1]))


@dataclass(frozen=True)
class Grid:
    """The windows that cover a map, row by row, and what their drops say of its positions."""

    size: _Pair  # of the map, y x
    extent: _Pair  # of a window
    stride: _Pair

    def starts(self, axis: int) -> list[int]:
        """Every stride, until the last window reaches the end."""
        n = 1 + max(0, -((self.extent[axis] - self.size[axis]) // self.stride[axis]))
        return [i * self.stride[axis] for i in range(n)]

    def __len__(self) -> int:
        return len(self.starts(0)) * len(self.starts(1))

    @property
    def tops(self) -> np.ndarray:
        """The top left corners (y, x)."""
        return np.array([(y, x) for y in self.starts(0) for x in self.starts(1)])

    def window(self, i: int) -> tuple[slice, slice]:
        """The rows and columns of a window."""
        row, column = divmod(i, len(self.starts(1)))
        y, x = self.starts(0)[row], self.starts(1)[column]
        return slice(y, y + self.extent[0]), slice(x, x + self.extent[1])

    def patches(self, fill: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """What the windows hold, `window channel y x`, for some of them at a time; one patch where it is the same for all."""
        beyond = [self.starts(i)[-1] + self.extent[i] - self.size[i] for i in (0, 1)]
        padded = F.pad(fill, (0, max(0, beyond[1]), 0, max(0, beyond[0])), mode="replicate")
        if bool((fill == fill[:, :, :1, :1]).all()):
            yield slice(0, len(self)), padded[:, :, : self.extent[0], : self.extent[1]]
            return
        most = max(1, _MOST_BYTES // (fill.shape[1] * self.extent[0] * self.extent[1] * fill.element_size()))
        for part in chunks(len(self), most):
            yield part, torch.cat([padded[:, :, y, x] for y, x in map(self.window, range(part.start, part.stop))])

    def spread(self, drops: torch.Tensor) -> torch.Tensor:
        """For each position the mean of the windows over it: drops `batch window` to scores `batch 1 y x`."""
        n = [len(self.starts(i)) for i in (0, 1)]
        over_y, over_x = (self._covers(i) for i in (0, 1))
        total = over_y.T @ drops.double().reshape(-1, 1, n[0], n[1]) @ over_x
        return (total / (over_y.sum(0)[:, None] * over_x.sum(0))).float()

    def _covers(self, axis: int) -> torch.Tensor:
        """1 where a window covers a position, `window position`."""
        start, at = torch.tensor(self.starts(axis))[:, None], torch.arange(self.size[axis])
        return ((start <= at) & (at < start + self.extent[axis])).double()


def _pair(value: int | _Pair) -> _Pair:
    return (value[0], value[1]) if isinstance(value, (tuple, list)) else (value, value)


def _checked_pair(what: str, value: object) -> _Pair:
    """Two whole numbers (y, x), or one for both."""
    both = value if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or not all(isinstance(one, Integral) for one in both):
        raise UsageError(
            "Occlusion was asked for.",
            f"The {what} is {value!r}.",
            "Give a whole number of px, or two of them: (y, x).",
        )
    return int(both[0]), int(both[1])


def _finite(drops: torch.Tensor, question: Question) -> torch.Tensor:
    if not bool(torch.isfinite(drops).all()):
        raise NetworkError(
            f"The score was computed with windows of '{question.layer}' covered.",
            "The network answers some of them with values that are not finite (NaN or infinite).",
            "Use a method that asks about the image as it is, or another fill.",
        )
    return drops
