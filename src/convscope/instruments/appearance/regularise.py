"""What keeps a picture from being an attack?  Small accidents between the steps, and pixels that are pulled back to grey.

Transforms: the picture is moved, scaled and turned at random before the network sees it, so that only what survives that is driven
(Mordvintsev et al. 2015; Olah et al. 2017). Regularisers: after each step r(x), of Yosinski et al. 2015 (arXiv:1506.06579,
section 3.1), act on the pixels' difference from grey; they belong to pictures optimised as pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, pi

import torch
from torch.nn import functional as F

from convscope.instruments.appearance.natural import frequencies, quick

HALF_NYQUIST = 0.25  # cycles per pixel
FADED = 0.75  # after this part of the steps nothing is scaled or turned any more
ONE_PX = torch.tensor([(0.0, 0.0), (0.0, 1.0), (0.0, -1.0), (1.0, 0.0), (-1.0, 0.0)])  # moves (y, x)
Noise = Callable[..., torch.Tensor]
# difference from grey, its gradient, number of the step -> the difference that is kept; all `batch channel y x`
Regulariser = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


@dataclass(frozen=True)
class Transforms:
    """Moves, scales and turns a picture at random, each of a batch in its own way; beyond its edge it is mirrored.

    Scaling and turning fade to nothing before the last steps: they blur, and a small unit wants sharp edges in the end.
    `jitter_frac` is the largest move in parts of the longer side, at least one pixel; where it is one pixel, along one axis at a
    time. `scale` is the largest change of scale (.1: .9 to 1.1).
    """

    jitter_frac: float = 1 / 16
    scale: float = 0.1
    rotate_deg: float = 10.0

    def drawn(self, n_steps: int, size: tuple[int, int], uniform: Noise) -> torch.Tensor:
        """The maps from positions on the moved picture to positions on the picture, `batch step 2 3`, as affine_grid takes them."""
        height, width = size
        draw = uniform(n_steps, 4) * 2 - 1  # -1 to 1
        reach = max(1, round(self.jitter_frac * max(size))) if self.jitter_frac else 0
        shift = (draw[..., :2] * (reach + 0.5)).round().clamp(-reach, reach)
        if reach == 1:
            shift = ONE_PX[((draw[..., 0] + 1) * 2.5).long().clamp(max=4)]
        fading = torch.linspace(1, 1 - 1 / FADED, n_steps).clamp(min=0)
        scale, angle = 1 / (1 + self.scale * fading * draw[..., 2]), self.rotate_deg * pi / 180 * fading * draw[..., 3]
        cos, sin = scale * angle.cos(), scale * angle.sin()
        rows = [
            torch.stack([cos, -sin * height / width, 2 * shift[..., 1] / width], -1),
            torch.stack([sin * width / height, cos, 2 * shift[..., 0] / height], -1),
        ]
        return torch.stack(rows, -2)

    def __call__(self, images: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """The pictures as they are shown, by the maps of one step, `batch 2 3`; differentiable."""
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


@dataclass(frozen=True)
class Decay:
    """Every value fades: x <- (1 - rate) x (L2 decay)."""

    rate: float = 0.01

    def __call__(self, values: torch.Tensor, gradient: torch.Tensor, step: int) -> torch.Tensor:
        return values * (1 - self.rate)


@dataclass(frozen=True)
class Blur:
    """A Gaussian blur of `sigma_px` after every `every`-th step."""

    sigma_px: float = 1.0
    every: int = 4

    def __call__(self, values: torch.Tensor, gradient: torch.Tensor, step: int) -> torch.Tensor:
        if step % self.every != self.every - 1:
            return values
        for dim in (2, 3):
            values = _blurred(values, self.sigma_px, dim)
        return values


@dataclass(frozen=True)
class ClipNorm:
    """Pixels that differ from grey by less than this percentile (over the picture) become grey."""

    percentile: float = 20.0

    def __call__(self, values: torch.Tensor, gradient: torch.Tensor, step: int) -> torch.Tensor:
        return _clipped(values, values.norm(dim=1, keepdim=True), self.percentile)


@dataclass(frozen=True)
class ClipContribution:
    """Pixels that matter less than this percentile become grey; what one matters is |x . gradient|, summed over colours.

    To first order that is how much the response would change if the pixel were grey.
    """

    percentile: float = 20.0

    def __call__(self, values: torch.Tensor, gradient: torch.Tensor, step: int) -> torch.Tensor:
        return _clipped(values, (values * gradient).sum(1, keepdim=True).abs(), self.percentile)


def fine(images: torch.Tensor) -> torch.Tensor:
    """What of pictures is above half the Nyquist frequency, `batch channel y x`; as a gradient, it is that of half its power.

    Sizes whose transform is slow are enlarged by the few pixels needed, the edge repeated.
    """
    height, width = images.shape[2:]
    size = quick((height, width))
    enlarged = F.pad(images, (0, size[1] - width, 0, size[0] - height), mode="replicate")
    is_fine = (frequencies(size) > HALF_NYQUIST).to(images.device)
    return torch.fft.irfft2(torch.fft.rfft2(enlarged) * is_fine, s=size)[:, :, :height, :width]


def _clipped(values: torch.Tensor, measure: torch.Tensor, percentile: float) -> torch.Tensor:
    limit = measure.flatten(1).quantile(percentile / 100, dim=1).view(-1, 1, 1, 1)
    return torch.where(measure < limit, 0, values)


def _blurred(values: torch.Tensor, sigma: float, dim: int) -> torch.Tensor:
    """Blurred along one dimension, the edge mirrored (repeated where the picture is smaller than the kernel)."""
    radius = max(1, ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=values.device) / sigma) ** 2)
    n_channels = values.shape[1]
    shape = (n_channels, 1, -1, 1) if dim == 2 else (n_channels, 1, 1, -1)
    pad = (0, 0, radius, radius) if dim == 2 else (radius, radius, 0, 0)
    weight = (kernel / kernel.sum()).expand(n_channels, -1).reshape(shape)
    mode = "reflect" if values.shape[dim] > radius else "replicate"
    return F.conv2d(F.pad(values, pad, mode=mode), weight, groups=n_channels)
