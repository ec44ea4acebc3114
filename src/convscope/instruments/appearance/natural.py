"""What have all natural images in common?  How their colours vary together, and how much of each frequency they hold.

Pictures are optimised in these terms, so that each step changes them the way natural images differ from one another.
"""

from dataclasses import dataclass, field

import torch
from scipy.fft import next_fast_len

from convscope.errors import ImagesError

# Square root of the covariance of the colours of ImageNet, as in lucid (tensorflow/lucid, optvis/param/color.py, Apache-2.0):
# its columns are lightness, red against blue, and green against both.
IMAGENET_COLORS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
N_CROPS = 4  # of each image, where spectra are measured


@dataclass(frozen=True, eq=False)
class Natural:
    """The statistics that pictures are made in.

    `colors` (`channel component`) turns independent components into channels; its longest column has length 1. `crops` are the
    images that spectra are measured on; without them the amplitude falls as 1 / frequency (Field 1987, doi:10.1364/JOSAA.4.002379).
    """

    colors: torch.Tensor
    source: str
    crops: torch.Tensor | None = field(repr=False, default=None)  # `batch channel y x`, 0-1

    def colored(self, components: torch.Tensor) -> torch.Tensor:
        """Channels from components, `batch channel y x`."""
        return torch.einsum("ck,bkyx->bcyx", self.colors.to(components), components)

    def amplitude(self, size: tuple[int, int]) -> torch.Tensor:
        """The mean amplitude of each frequency of pictures of this size, `component fy fx` (as rfft2 has them); the mean is 0."""
        n_components = self.colors.shape[1]
        if self.crops is None:
            found = (1 / frequencies(size).clamp_min(1 / max(size))).expand(n_components, -1, -1).clone()
        else:
            found = torch.fft.rfft2(_components(_cropped(self.crops, size), self.colors), norm="ortho").abs().mean(0)
        found[:, 0, 0] = 0
        return found


def prior(n_channels: int) -> Natural:
    """What is known without looking at an image: ImageNet's colours for three channels (RGB), none for other numbers."""
    if n_channels != 3:
        return Natural(torch.eye(n_channels), f"1/f amplitudes, {n_channels} independent channels")
    return Natural(_longest_is_1(torch.tensor(IMAGENET_COLORS)), "1/f amplitudes, the colours of ImageNet as in lucid")


def measured(images: torch.Tensor) -> Natural:
    """What these images have in common; float 0-1, `batch channel y x`, RGB where there are three channels.

    Raises ImagesError for images of another form.
    """
    if images.dim() != 4 or not images.is_floating_point() or float(images.min()) < 0 or float(images.max()) > 1:
        raise ImagesError(
            "The statistics of natural images were to be measured.",
            f"They are {images.dtype} of shape {tuple(images.shape)}.",
            "Give float images 0-1, batch channel y x: net.preprocess.denormalize(inputs) makes them.",
        )
    pixels = images.movedim(1, 0).flatten(1).double()
    centered = pixels - pixels.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh(centered @ centered.T / pixels.shape[1])
    root = (vectors * values.clamp_min(1e-6).sqrt()).flip(1)  # the largest component first
    sign = root.sum(0).sign()
    colors = _longest_is_1((root * torch.where(sign == 0, 1, sign)).float())
    return Natural(colors, f"measured on {len(images)} images", images)


def frequencies(size: tuple[int, int]) -> torch.Tensor:
    """The frequency of each entry of rfft2 of pictures of this size, cycles per pixel, `fy fx`."""
    return torch.hypot(torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])[None, :])


def quick(size: tuple[int, int]) -> tuple[int, int]:
    """The next size whose Fourier transform is quick: canvases are often of 151 or 181 px, and primes take many times as long."""
    return next_fast_len(size[0]), next_fast_len(size[1])


def _components(images: torch.Tensor, colors: torch.Tensor) -> torch.Tensor:
    centered = images - images.mean((0, 2, 3), keepdim=True)
    return torch.einsum("kc,bcyx->bkyx", torch.linalg.inv(colors), centered)


def _cropped(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Parts of this size: the corners and so on of each image, enlarged first where it is too small."""
    if images.shape[2] < size[0] or images.shape[3] < size[1]:
        larger = max(images.shape[2], size[0]), max(images.shape[3], size[1])
        images = torch.nn.functional.interpolate(images, size=larger, mode="bilinear", align_corners=False)
    rest = images.shape[2] - size[0], images.shape[3] - size[1]
    starts = {(rest[0] * i // (N_CROPS - 1), rest[1] * (i * 2 % N_CROPS) // (N_CROPS - 1)) for i in range(N_CROPS)}
    return torch.cat([images[:, :, y : y + size[0], x : x + size[1]] for y, x in sorted(starts)])


def _longest_is_1(colors: torch.Tensor) -> torch.Tensor:
    return colors / colors.norm(dim=0).max()
