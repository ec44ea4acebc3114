"""What drives a unit most?  Gradient ascent on a picture (Erhan et al. 2009; Yosinski et al. 2015; Olah et al. 2017).

Each picture of a batch has an objective, a random stream and an update of its own, so a batch gives what one by one gives. Only the
part of the network below the layer is computed, on a canvas of the unit's receptive field; no gradient of any weight is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from convscope.errors import UsageError
from convscope.instruments.appearance.canvas import REACH_PX, Canvas, canvas
from convscope.instruments.appearance.drive import Drive
from convscope.instruments.appearance.natural import Natural, prior
from convscope.instruments.appearance.objective import Asked, Objective, objective
from convscope.instruments.appearance.parameterization import Fourier, Parameterization, Pixel
from convscope.instruments.appearance.regularise import (
    Blur,
    ClipContribution,
    ClipNorm,
    Decay,
    Regulariser,
    Transforms,
    fine,
)
from convscope.instruments.appearance.update import updates
from convscope.network import Network

Progress = Callable[[int, int], None]  # steps done, steps in all
See = Callable[[int, Sequence[Objective], torch.Tensor], None]  # step, objectives, pictures so far
SETS = 10_000  # seeds between those of two restarts
SMALL_PX, SMALL_RESTARTS = 24, 16  # pictures up to this size are tried so often
TINY_PX, TINY_STEPS = 16, 2  # and up to this size so many steps stand for one: natural images are nearly the strongest
MIDDLE_FIRST = 0.5  # so long only the neuron in the middle is driven, or a larger picture would begin beside it


@dataclass(frozen=True, eq=False)
class Optimised:
    """The picture (or the diverse set of pictures) that was found for one objective."""

    objective: Objective
    images: torch.Tensor = field(repr=False)  # float 0-1, `picture channel y x`, RGB
    values: torch.Tensor  # the response to each picture, at the layer that was asked about
    # 0-1, `picture y x`: where the response depended on the pixels, over all steps; elsewhere a picture means nothing
    importance: torch.Tensor = field(repr=False)
    curve: np.ndarray = field(repr=False)  # the response of the driven step as it was seen, `step picture`
    snapshots: Mapping[int, torch.Tensor] = field(repr=False)  # pictures after some of the steps
    canvas: Canvas = field(repr=False)
    method: "Optimise" = field(repr=False)
    natural: str  # where the statistics of natural images come from
    seed: int
    n_steps: int  # done; fewer than asked for if it was interrupted
    notes: tuple[str, ...] = ()

    @property
    def pixels(self) -> np.ndarray:
        """uint8 0-255, `picture y x channel`."""
        return self.images.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()

    @property
    def shown(self) -> np.ndarray:
        """What to show of the first picture: uint8 `y x channel`, without pixels that no neuron sees which is asked."""
        found: np.ndarray = self.pixels[0][self.canvas.seen]
        return found

    @property
    def interrupted(self) -> bool:
        return self.n_steps < self.method.n_steps

    @cached_property
    def silent(self) -> bool:
        """Whether nothing that was tried drove the unit above (below) zero: it is dead, as far as this can tell."""
        return bool((self.values * self.objective.sign <= 0).all()) and not self.objective.negative


@dataclass(frozen=True)
class Optimise:
    """How pictures are optimised. Called with a network and what to drive, it returns an Optimised for each.

    `parameterization`: Pixel, Fourier or Phase. `transforms`: None for none. `regularisers` (Pixel only): what is done to the
    pixels after each step. `n_diverse` pictures of each objective that differ from one another: the mean cosine between their
    Gram matrices at the driven layer is subtracted, times `diversity` times the response (Olah et al. 2017, "Diversity").
    `n_restarts`: the best of so many tries is kept; None stands for sixteen where a picture is small, where starts matter and
    cost little, and for one elsewhere. `keep`: after which steps a snapshot is kept. `reach_px`: see canvas.py. `quiet`: how
    strongly frequencies above half the Nyquist frequency are held down: what is there of a picture is pulled back by its amplitude
    times this, measured in the response's own gradient; 0 for not at all.
    """

    parameterization: Parameterization = field(default_factory=Fourier)
    transforms: Transforms | None = field(default_factory=Transforms)
    regularisers: tuple[Regulariser, ...] = ()
    n_steps: int = 256
    n_diverse: int = 1
    diversity: float = 1.0
    n_restarts: int | None = None
    seed: int = 0
    keep: tuple[int, ...] = ()
    reach_px: int = REACH_PX
    quiet: float = 1.5

    def __post_init__(self) -> None:
        if self.regularisers and not isinstance(self.parameterization, Pixel):
            raise UsageError(
                "Decay, blur or clipping was asked for.",
                f"They act on pixels; the picture is optimised as {self.parameterization.title}.",
                "Use Pixel(), or leave them out: the spectrum is regularised by its scale.",
            )
        for name in ("n_steps", "n_diverse", "n_restarts"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)} was asked for.", "", f"{name} must be at least 1.")

    def __call__(
        self,
        network: Network,
        asked: Asked | Objective | Sequence[Asked | Objective],
        *,
        natural: Natural | None = None,
        progress: Progress | None = None,
        see: See | None = None,
    ) -> tuple[Optimised, ...]:
        """The pictures for one thing or several: `LAYER:UNIT`, `LAYER:UNIT@y,x`, a class, a Direction, or an Objective.

        Those of one layer are computed together. Ctrl-C ends it, and what is there is returned; `see` is shown the pictures
        after each step. Raises UnknownNameError and UsageError for what the network does not have.
        """
        several = asked if isinstance(asked, Sequence) and not isinstance(asked, str) else [asked]
        wanted = [one if isinstance(one, Objective) else objective(network, one) for one in several]
        given = natural or prior(network.input_shape[0])
        found: dict[int, Optimised] = {}
        batches = self._batches(network, wanted)
        total = len(batches) * self.n_steps
        for number, (where, places) in enumerate(batches):
            before = number * self.n_steps
            told = None if progress is None else (lambda n, before=before: progress(before + n, total))
            run = _Run(self, where, [wanted[i] for i in places], given)
            is_whole = run(told, see)
            found.update(zip(places, run.results(), strict=True))
            if not is_whole:
                break
        return tuple(found[i] for i in sorted(found))

    def restarts(self, size: tuple[int, int]) -> int:
        """How many tries there are for pictures of this size."""
        return self.n_restarts or (SMALL_RESTARTS if max(size) <= SMALL_PX else 1)

    def _batches(self, network: Network, wanted: Sequence[Objective]) -> list[tuple[Canvas, list[int]]]:
        """The objectives that are computed together, with their canvas."""
        groups: dict[tuple, list[int]] = {}
        for i, one in enumerate(wanted):
            groups.setdefault((one.driven, one.layer, one.position), []).append(i)
        found = []
        for (driven, shown, position), places in groups.items():
            where = canvas(network, driven, shown, position, self.reach_px)
            at_once = max(1, where.n_at_once // (self.n_diverse * self.restarts(where.size)))
            found += [(where, places[i : i + at_once]) for i in range(0, len(places), at_once)]
        return found


class _Run:
    """One batch of pictures, as far as it has got."""

    def __init__(self, method: Optimise, where: Canvas, wanted: Sequence[Objective], natural: Natural) -> None:
        self.method, self.canvas, self.wanted, self.natural = method, where, wanted, natural
        self.n_restarts = method.restarts(where.size)
        self.n_each = self.n_restarts * method.n_diverse
        self.n_steps = 0
        self.n_middle = 0 if max(where.size) <= SMALL_PX else MIDDLE_FIRST * method.n_steps
        self.n_for_one = TINY_STEPS if max(where.size) <= TINY_PX else 1
        device = where.network.device
        siblings = [r * SETS + d for r in range(self.n_restarts) for d in range(method.n_diverse)]
        self.streams = [
            torch.Generator().manual_seed(method.seed * SETS**2 + sibling) for _ in wanted for sibling in siblings
        ]
        self.theta = None
        if method.transforms is not None:
            n_steps = method.n_steps * self.n_for_one
            self.theta = method.transforms.drawn(n_steps, where.size, self._uniform).to(device)
        self.parameters = method.parameterization.start(where.shape, self._normal).to(device).requires_grad_()
        self.paint = method.parameterization.painter(where.shape, natural, device)
        self.drive = Drive(where, [one for one in wanted for _ in siblings], method.n_diverse, method.diversity)
        self.importance = torch.zeros(len(self.parameters), *where.size, device=device)
        self.curve: list[torch.Tensor] = []
        self.snapshots: dict[int, torch.Tensor] = {}

    def __call__(self, progress: Callable[[int], None] | None, see: See | None) -> bool:
        """Goes all the steps; False if Ctrl-C ended it."""
        update = updates(
            self.method.parameterization, self.canvas.shape, self.parameters, self.method.regularisers, self._nudge
        )
        try:
            for step in range(self.method.n_steps):
                for small_step in range(step * self.n_for_one, (step + 1) * self.n_for_one):
                    values, gradient = self._gradient(small_step)
                    update(gradient, small_step)
                self.curve.append(values)
                self.n_steps = step + 1
                if self.n_steps in self.method.keep:
                    self.snapshots[self.n_steps] = self.images()
                if see is not None:
                    see(self.n_steps, self.wanted, self.images()[:: self.n_each])
                if progress is not None:
                    progress(self.n_steps)
        except KeyboardInterrupt:
            return False
        return True

    def images(self) -> torch.Tensor:
        """The pictures so far, float 0-1, `batch channel y x`, on the CPU."""
        with torch.no_grad():
            return self.paint(self.parameters).float().cpu()

    def results(self) -> list[Optimised]:
        images = self.images()
        values = self.drive.responses(images)
        quality = self.drive.quality(images) if self.n_restarts > 1 else values
        curve = torch.stack(self.curve).cpu().numpy() if self.curve else np.zeros((0, len(images)), np.float32)
        found = []
        for i, one in enumerate(self.wanted):
            sets = quality[i * self.n_each : (i + 1) * self.n_each].view(-1, self.method.n_diverse).mean(1)
            first = i * self.n_each + int(sets.argmax()) * self.method.n_diverse
            own = slice(first, first + self.method.n_diverse)
            found.append(
                Optimised(
                    objective=one,
                    images=images[own],
                    values=values[own],
                    importance=_to_1(self.importance[own].cpu()),
                    curve=curve[:, own],
                    snapshots={step: kept[own] for step, kept in self.snapshots.items()},
                    canvas=self.canvas,
                    method=self.method,
                    natural=self.natural.source,
                    seed=self.method.seed,
                    n_steps=self.n_steps,
                    notes=self._notes(one),
                )
            )
        return found

    def _gradient(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The responses, and the derivative of the objectives by the parameters, as the pictures are seen at this step."""
        seen = images = self.paint(self.parameters)
        if self.theta is not None and self.method.transforms is not None:
            seen = self.method.transforms(images, self.theta[:, step])
        inputs = self.canvas.network.preprocess.normalize(seen)
        with torch.no_grad():
            values, signal = self.drive.gradient(inputs, middle=step < self.n_middle)
        (at_pixels,) = torch.autograd.grad(inputs, images, signal, retain_graph=True)
        self.importance += at_pixels.abs().mean(1)
        if self.method.quiet:
            at_pixels = at_pixels - self.method.quiet * _size_of(at_pixels) * fine(images.detach())
        return values, torch.autograd.grad(images, self.parameters, at_pixels)[0]

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.stack([torch.randn(shape, generator=stream) for stream in self.streams])

    def _uniform(self, *shape: int) -> torch.Tensor:
        return torch.stack([torch.rand(shape, generator=stream) for stream in self.streams])

    def _nudge(self, rows: list[int]) -> torch.Tensor:
        """Normal numbers for pictures without a gradient, so that they wander until the unit answers."""
        shape = self.parameters.shape[1:]
        return torch.stack([torch.randn(shape, generator=self.streams[row]) for row in rows])

    def _notes(self, one: Objective) -> tuple[str, ...]:
        notes = []
        if self.canvas.is_whole and one.position is None and one.target is None:
            notes.append("The canvas is the whole image.")
        in_pixels = isinstance(self.method.parameterization, Pixel)
        if self.canvas.shape[0] not in (1, 3) and self.natural.crops is None and not in_pixels:
            notes.append(f"The {self.canvas.shape[0]} input channels are taken as independent.")
        return tuple(notes)


def _size_of(gradient: torch.Tensor) -> torch.Tensor:
    """How large a gradient is where it is not zero, `batch 1 1 1`: the mean of its size, weighted by its size."""
    size = gradient.abs()
    return size.pow(2).sum((1, 2, 3), keepdim=True) / size.sum((1, 2, 3), keepdim=True).clamp_min(1e-30)


def _to_1(importance: torch.Tensor) -> torch.Tensor:
    return importance / importance.amax((1, 2), keepdim=True).clamp_min(1e-30)


RAW = Optimise(
    parameterization=Pixel(), transforms=None, n_restarts=1, quiet=0.0
)  # gradient ascent and nothing else: the control of all of it

# The four combinations of decay, blur, clipped norm and clipped contribution of Yosinski et al. 2015, table 1, as the guide of
# their toolbox gives them. Rates are ours: their steps are not scaled by the gradient's size.
YOSINSKI: dict[str, Optimise] = {
    "blur and clipped norm": replace(RAW, regularisers=(Blur(0.5, 4), ClipNorm(50))),
    "decay and clipped norm": replace(RAW, parameterization=Pixel(rate=0.08), regularisers=(Decay(0.3), ClipNorm(20))),
    "blur and slight decay": replace(RAW, regularisers=(Decay(1e-4), Blur(1.0, 4))),
    "blur and clipped contribution": replace(RAW, regularisers=(Blur(0.5, 4), ClipContribution(90))),
}
