"""Which parts have to be visible?  The image is seen through thousands of random masks; each pixel gets their mean score."""

from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F

from convscope.errors import UsageError
from convscope.graph.graph import INPUT
from convscope.instruments.attribution.baseline import baseline_maps
from convscope.instruments.attribution.method import Method, Question, Values, chunks
from convscope.instruments.attribution.variants import at_images, positions, scores_of
from convscope.registry import register

_MASKS_AT_ONCE = 64


@register("method", "rise")
@dataclass(frozen=True)
class RISE(Method):
    """Petsiuk et al. 2018 (arXiv:1806.07421), eq. 4 to 6: sum over masks of score x mask, divided by `n_masks` x `visible`.

    Masks are grids of `cells` x `cells` values, 1 with the chance `visible`, enlarged bilinearly and shifted at random (section
    3.2). The mean score of all masks, which every pixel has in common, is taken out (`centred`): what is left is positive where
    seeing the pixel helps, is unbiased (divided by `n_masks` - 1), and needs many times fewer masks for the same error; the
    order of pixels is the paper's. Scores are logits, where the paper has probabilities. Each value comes with its standard
    error. Raises UsageError for settings that allow no mask.
    """

    title = "RISE"
    paper = "Petsiuk et al. 2018, arXiv:1806.07421"
    seeded = True

    n_masks: int = 2000
    cells: int = 7
    visible: float = 0.5
    baseline: str = "zero"
    centred: bool = True
    seed: int = 0
    batch_size: int | None = None  # images in one pass; None: as many as fit

    def __post_init__(self) -> None:
        if not (self.n_masks >= 2 and self.cells >= 1 and 0 < self.visible < 1):
            raise UsageError(
                "RISE was asked for.",
                f"n_masks={self.n_masks}, cells={self.cells}, visible={self.visible}.",
                "At least 2 masks and 1 cell, and a chance between 0 and 1.",
            )

    def values(self, question: Question) -> Values:
        images = at_images(question) if question.layer == INPUT else question
        maps, hidden = images.maps, baseline_maps(question, self.baseline)
        size = positions(question, maps).shape[2:]
        shape = size if maps.dim() == 4 else ()  # a vector is seen as a whole or not at all
        cells, shifts = self._drawn(size)

        def masks(part: slice) -> torch.Tensor:
            return self._masks(cells[part], shifts[part], size).to(maps)

        def seen(part: slice) -> torch.Tensor:
            through = masks(part).reshape(1, -1, 1, *shape)
            return hidden[:, None] + through * (maps - hidden)[:, None]

        scores = scores_of(images, self.n_masks, seen, self.batch_size)
        mean = scores.mean(1, keepdim=True)
        total, squares = (torch.zeros(len(maps), size[0] * size[1], dtype=torch.float64) for _ in range(2))
        for part in chunks(self.n_masks, _MASKS_AT_ONCE):
            mask = masks(part).flatten(1).double().cpu()
            off = (scores - mean)[:, part] if self.centred else scores[:, part]
            total += off @ mask
            squares += off**2 @ ((mask - self.visible) if self.centred else mask) ** 2
        n = self.n_masks - 1 if self.centred else self.n_masks
        found = total / (n * self.visible)
        variance = squares / (self.n_masks * self.visible**2) - found**2
        error = (variance.clamp(min=0) / n).sqrt()
        return Values(_shaped(found, size), standard_error=_shaped(error, size))

    def _drawn(self, size: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
        """The small grids, `mask y x`, and how far each is shifted, in positions (y, x)."""
        generator = torch.Generator().manual_seed(self.seed)
        cells = torch.rand(self.n_masks, self.cells, self.cells, generator=generator) < self.visible
        extents = torch.tensor([ceil(side / self.cells) for side in size])
        shifts = (torch.rand(self.n_masks, 2, generator=generator) * extents).long()
        return cells, shifts

    def _masks(self, cells: torch.Tensor, shifts: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Masks from 0 to 1, `mask y x`."""
        large = [(self.cells + 1) * ceil(side / self.cells) for side in size]
        grown = F.interpolate(cells[:, None].float(), size=large, mode="bilinear", align_corners=False)[:, 0]
        return torch.stack(
            [one[y : y + size[0], x : x + size[1]] for one, (y, x) in zip(grown, shifts.tolist(), strict=True)]
        )


def _shaped(values: torch.Tensor, size: torch.Size) -> torch.Tensor:
    return values.reshape(-1, 1, *size).float()
