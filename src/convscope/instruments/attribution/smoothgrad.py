"""Which pixels would change the prediction, whatever the noise?  The mean gradient over noisy copies of the image.

Smilkov et al. 2017 (arXiv:1706.03825), section 3: noise of a standard deviation that is a part of the image's range.
"""

from dataclasses import dataclass

import torch

from convscope.errors import UsageError
from convscope.instruments.attribution.method import Method, Question, Values, chunks
from convscope.registry import register

AT_ONCE = 8  # copies, where their gradients are not summed before they reach the image


@register("method", "smoothgrad")
@dataclass(frozen=True)
class SmoothGrad(Method):
    """Mean of d score / d value over `n_samples` noisy copies; `squared` takes the mean of squares (Hooker et al. 2019).

    Raises UsageError for fewer than one sample, or less noise than none.
    """

    title = "SmoothGrad"
    paper = "Smilkov et al. 2017, arXiv:1706.03825"
    signed = False
    seeded = True

    n_samples: int = 25
    noise: float = 0.15  # standard deviation, in parts of the image's range (largest less smallest value)
    squared: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_samples < 1 or not self.noise >= 0:
            found = f"n_samples={self.n_samples}, noise={self.noise}."
            raise UsageError(f"{self.title} was asked for.", found, "At least 1 sample; noise of 0 or more, as .15.")

    @property
    def channels(self) -> str:
        return "absolute"

    def values(self, question: Question) -> Values:
        maps, n_images = question.maps, len(question.maps)
        dims = tuple(range(1, maps.dim()))
        spread = self.noise * (maps.amax(dims, keepdim=True) - maps.amin(dims, keepdim=True))

        def copies(part: slice) -> torch.Tensor:
            drawn = torch.stack([self._noise(i, maps) for i in range(part.start, part.stop)], 1)
            return (maps[:, None] + drawn * spread[:, None]).flatten(0, 1)

        if not self.squared:
            return Values(question.total_gradient(self.n_samples, copies) / self.n_samples)
        total = torch.zeros_like(maps)
        for part in chunks(self.n_samples, max(1, AT_ONCE // n_images)):
            gradients, _ = question.back(copies(part))
            total += gradients.square().unflatten(0, (n_images, -1)).sum(1)
            question.progress(part.stop, self.n_samples)
        return Values(total / self.n_samples)

    def _noise(self, sample: int, like: torch.Tensor) -> torch.Tensor:
        """The same noise for every image of a batch, so that an image's answer does not depend on its neighbours."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + sample)
        return torch.randn(like.shape[1:], generator=generator).to(like).expand_as(like)
