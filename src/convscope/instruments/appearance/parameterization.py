"""In what terms is a picture optimised?  Its pixels, its spectrum in decorrelated colours, or the phases of its spectrum alone.

All three can make nearly any picture; they differ in which pictures are near. Numbers change along the gradient in the space of the
parameters, so what is a short step there is what comes out first.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import pi
from typing import ClassVar

import torch

from convscope.instruments.appearance.natural import Natural, frequencies, quick

STRETCH = 0.01
Shape = tuple[int, int, int]  # channel y x
Noise = Callable[..., torch.Tensor]  # normal numbers of a shape (without the batch), for each picture its own


class Parameterization(ABC):
    """A way to write a picture down. Parameters are a tensor whose first axis is the batch."""

    title: ClassVar[str]
    rate: float

    def rate_for(self, shape: Shape) -> float:
        """How large a step is, for pictures of this size."""
        return self.rate

    @abstractmethod
    def start(self, shape: Shape, noise: Noise) -> torch.Tensor:
        """The parameters that are begun with."""

    @abstractmethod
    def painter(self, shape: Shape, natural: Natural, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        """What turns parameters into pictures: float 0-1, `batch channel y x`; differentiable."""


@dataclass(frozen=True)
class Pixel(Parameterization):
    """Each value of each pixel by itself, 0-1, from middle grey on. What raw ascent does, and Yosinski et al. 2015.

    A step goes along the gradient, scaled so that it changes the pixels by `rate` in the root mean square.
    """

    title = "pixels"
    rate: float = 0.02
    sd: float = 0.02  # of the noise that is begun with

    def start(self, shape: Shape, noise: Noise) -> torch.Tensor:
        return 0.5 + self.sd * noise(*shape)

    def painter(self, shape: Shape, natural: Natural, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        return torch.Tensor.clone


@dataclass(frozen=True)
class Fourier(Parameterization):
    """The spectrum, scaled by 1 / frequency, in colours that vary independently (Olah et al. 2017; lucid, param/spatial.py).

    image = sigmoid(C irfft2(n z / max(1, n f)^decay_power) / 4) for n pixels, with C the square root of the covariance of
    colours; stretched by a hundredth and cut, so that black and white can be had. Adam's steps, equal for all coefficients, so
    change low frequencies most. Below 64 px the rate rises, at most six times: a unit that sees few pixels is driven beyond
    natural images by full contrast only.
    """

    title = "Fourier, decorrelated colours"
    rate: float = 0.05
    sd: float = 0.01
    decay_power: float = 1.25  # lucid: 1; Fel et al. 2023 give it 1.5

    def rate_for(self, shape: Shape) -> float:
        return self.rate * min(6.0, max(1.0, 64 / max(shape[1:])))

    def start(self, shape: Shape, noise: Noise) -> torch.Tensor:
        height, width = quick(shape[1:])
        return self.sd * noise(shape[0], height, width // 2 + 1, 2)

    def painter(self, shape: Shape, natural: Natural, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        (height, width), size = shape[1:], quick(shape[1:])
        n = max(size)
        scale = n * (n * frequencies(size)).clamp_min(1).pow(-self.decay_power)[..., None].to(device) / 4

        def paint(spectrum: torch.Tensor) -> torch.Tensor:
            components = torch.fft.irfft2(torch.view_as_complex(spectrum * scale), s=size, norm="ortho")
            colored = natural.colored(components[:, :, :height, :width])
            return (colored.sigmoid() * (1 + 2 * STRETCH) - STRETCH).clamp(0, 1)

        return paint


@dataclass(frozen=True)
class Phase(Parameterization):
    """The phases alone; the amplitudes stay those of natural images (MACO: Fel et al. 2023, arXiv:2306.06805, eq. 4).

    image = sigmoid(contrast C standardised(irfft2(A exp(i phase)))), standardised to mean 0 and deviation 1. Frequencies that no
    natural image has much of cannot be had at all; so a picture is weaker, and looks less like an attack. The amplitudes must go
    somewhere: away from the pattern a picture is noise, see `importance` of Optimised.
    """

    title = "phases alone (MACO)"
    rate: float = 0.2
    contrast: float = 1.0

    def start(self, shape: Shape, noise: Noise) -> torch.Tensor:
        return pi * noise(shape[0], shape[1], shape[2] // 2 + 1)

    def painter(self, shape: Shape, natural: Natural, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        size = shape[1:]
        amplitude = natural.amplitude(size).to(device)

        def paint(phase: torch.Tensor) -> torch.Tensor:
            components = torch.fft.irfft2(torch.polar(amplitude.expand_as(phase), phase), s=size, norm="ortho")
            spread = components.pow(2).mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
            return natural.colored(components * (self.contrast / spread)).sigmoid()

        return paint
