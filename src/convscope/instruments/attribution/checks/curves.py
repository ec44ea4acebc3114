"""How does the answer follow an order of places?  Insertion and deletion curves.

Petsiuk, Das and Saenko 2018 (arXiv:1806.07421), section 3.3. The image is cut into cells. *Insertion* starts from a fill that
shows nothing and shows the cells a map ranks first, first; *deletion* starts from the image and hides them. What counts is the
area under the target's response against the share of cells, by the trapezoid rule: 0-1 for a probability.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from convscope.instruments.attribution.baseline import baseline_inputs
from convscope.instruments.attribution.checks.subject import Subject

FILLS = {"mean": "the image's mean colour", "blur": "the image, blurred"}
WAYS = ("insertion", "deletion")


@dataclass(frozen=True)
class Grid:
    """The cells an image is cut into: as square as whole pixels allow, `n` along the short side (fewer on a smaller image)."""

    y: int
    x: int
    n: int = 14

    @property
    def shape(self) -> tuple[int, int]:
        """How many cells (y, x)."""
        short = min(self.y, self.x)
        n = min(self.n, short)
        return max(1, round(n * self.y / short)), max(1, round(n * self.x / short))

    @property
    def n_cells(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def cells(self) -> torch.Tensor:
        """The cell of each pixel, `y x`."""
        rows, columns = (torch.arange(size) * n // size for size, n in zip((self.y, self.x), self.shape, strict=True))
        return rows[:, None] * self.shape[1] + columns[None]

    def means(self, scores: torch.Tensor) -> torch.Tensor:
        """The mean score in each cell, float64, of scores `y x`."""
        cells = self.cells.flatten()
        total = torch.zeros(self.n_cells, dtype=torch.float64).index_add(
            0, cells, scores.detach().cpu().double().flatten()
        )
        return total / torch.bincount(cells, minlength=self.n_cells)

    def order(self, scores: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The cells from the highest mean score to the lowest; equal ones in random order."""
        shuffled = torch.randperm(self.n_cells, generator=generator)
        return shuffled[torch.argsort(self.means(scores)[shuffled], descending=True, stable=True)]


def counts(n_cells: int, n_parts: int) -> list[int]:
    """How many cells are shown (or hidden) at each point of a curve, both ends included."""
    return [round(n_cells * i / n_parts) for i in range(n_parts + 1)]


def area(curve: torch.Tensor, n_cells: int) -> float:
    """The area under a curve against the share of cells, by the trapezoid rule."""
    at = torch.tensor(counts(n_cells, len(curve) - 1), dtype=torch.float64) / n_cells
    return float(torch.trapezoid(curve, at))


def curves(
    subject: Subject,
    orders: Mapping[str, torch.Tensor],
    grid: Grid,
    n_parts: int,
    fill: str,
    ways: tuple[str, ...] = WAYS,
) -> dict[tuple[str, str], torch.Tensor]:
    """The target's response at each point, float64, for each order of cells and each way, all computed together."""
    ends = _ends(subject)
    inner = counts(grid.n_cells, n_parts)[1:-1]
    asked = [(order, way, n) for order in orders.values() for way in ways for n in inner]
    found = subject.responses(_shown(subject, fill, grid, asked)) if asked else torch.zeros(0, dtype=torch.float64)
    whole, empty = ends["whole"], ends[fill]
    several = iter(found.split(len(inner)) if inner else [found] * len(orders) * len(ways))
    answers = {}
    for name in orders:
        for way in ways:
            first, last = (empty, whole) if way == "insertion" else (whole, empty)
            answers[name, way] = torch.cat(
                [torch.tensor([first]).double(), next(several), torch.tensor([last]).double()]
            )
    return answers


def filled(subject: Subject, fill: str) -> torch.Tensor:
    """The image with everything hidden."""
    return subject.kept(
        ("fill", fill), lambda: baseline_inputs(subject.inputs, subject.network.preprocess, fill, subject.seed)
    )


def hiding(subject: Subject) -> tuple[str, ...]:
    """The fills that hide what the target answers to: with everything hidden, less than half of its response is left.

    Half of what lies above chance, where it does: of two classes, one that is not seen at all still has a half.
    """
    ends = _ends(subject)
    floor = subject.chance if ends["whole"] > subject.chance else 0.0
    return tuple(fill for fill in FILLS if ends[fill] - floor < 0.5 * (ends["whole"] - floor))


def _ends(subject: Subject) -> dict[str, float]:
    """The response to the image ("whole"), and with everything hidden, by fill."""
    images = {"whole": subject.inputs, **{fill: filled(subject, fill) for fill in FILLS}}
    return subject.kept("ends", lambda: dict(zip(images, subject.responses(images.values()).tolist(), strict=True)))


def _shown(
    subject: Subject, fill: str, grid: Grid, asked: list[tuple[torch.Tensor, str, int]]
) -> Iterator[torch.Tensor]:
    """The images: for each, the first cells of an order shown on the fill, or hidden by it."""
    hidden, cells = filled(subject, fill), subject.kept(("cells", grid), lambda: grid.cells)
    for order, way, n in asked:
        chosen = torch.zeros(grid.n_cells, dtype=torch.bool)
        chosen[order[:n]] = True
        if way == "deletion":
            chosen = ~chosen
        yield torch.where(chosen[cells].to(hidden.device), subject.inputs, hidden)
