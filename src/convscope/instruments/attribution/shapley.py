"""What does each part add, whatever else is visible?  Shapley values of the image's superpixels.

The parts are players of a game whose worth is the score of the image with only some of them visible. A part's value is what it
adds to those before it, averaged over all orders (Shapley 1953); the values add up to score(image) - score(baseline).
"""

from dataclasses import dataclass
from math import comb

import torch

from convscope.errors import UsageError
from convscope.graph.graph import INPUT
from convscope.instruments.attribution.baseline import baseline_maps
from convscope.instruments.attribution.method import Method, Question, Values
from convscope.instruments.attribution.superpixels import at_size, superpixels
from convscope.instruments.attribution.variants import alone, at_images, positions, scores_of
from convscope.registry import register


@register("method", "shapley")
@dataclass(frozen=True)
class Shapley(Method):
    """The Shapley value of each superpixel, spread evenly over its positions; adds up to score(x) - score(x0) exactly.

    Over `n_orders` random orders (Castro et al. 2009, doi:10.1016/j.cor.2008.04.004, algorithm 1), each taken forwards and
    backwards too (antithetic: Mitchell et al. 2022, arXiv:2104.12199), with a standard error for each value; over all subsets,
    without error, where these are no more. Raises UsageError for settings that allow no order.
    """

    title = "Shapley values of superpixels"
    paper = "Castro et al. 2009, doi:10.1016/j.cor.2008.04.004"
    seeded = True

    n_regions: int = 40  # superpixels, about
    n_orders: int = 20  # an even number: half of them are the others, backwards
    baseline: str = "zero"
    seed: int = 0
    batch_size: int | None = None  # images in one pass; None: as many as fit

    def __post_init__(self) -> None:
        if self.n_regions < 1 or self.n_orders < 2 or self.n_orders % 2:
            raise UsageError(
                "Shapley values were asked for.",
                f"n_regions={self.n_regions}, n_orders={self.n_orders}.",
                "At least 1 region; an even number of orders, at least 2.",
            )

    def values(self, question: Question) -> Values:
        images = at_images(question) if question.layer == INPUT else question
        hidden = baseline_maps(question, self.baseline)
        size = positions(question, images.maps).shape[2:]
        found, errors, promised, notes = [], [], [], []
        for i in range(len(question.inputs)):
            one = alone(images, i, len(question.inputs))
            regions = at_size(superpixels(one.inputs, question.network.preprocess, self.n_regions), size)
            game = _Game(one, hidden[i : i + 1], regions, self.batch_size)
            exact = 2**game.n_players <= self.n_orders * (game.n_players - 1) + 2
            worth, error, whole = exactly(game) if exact else self._sampled(game)
            share = torch.bincount(regions.flatten()).double()
            found.append((worth / share)[regions])
            errors.append((error / share)[regions])
            promised.append(whole)
            way = "all their subsets" if exact else f"{self.n_orders} orders"
            notes.append(f"{game.n_players} superpixels, {way}; standard error {float(error.mean()):.2g} of a value.")
        return Values(
            torch.stack(found)[:, None].float(),
            torch.stack(promised),
            tuple(dict.fromkeys(notes)),
            torch.stack(errors)[:, None].float(),
        )

    def _sampled(self, game: "_Game") -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        n, n_pairs = game.n_players, self.n_orders // 2
        generator = torch.Generator().manual_seed(self.seed)
        forwards = torch.stack([torch.randperm(n, generator=generator) for _ in range(n_pairs)])
        orders = torch.stack([forwards, forwards.flip(1)], 1).flatten(0, 1)
        ranks = orders.argsort(1)
        steps = ranks[:, None, :] <= torch.arange(n - 1)[None, :, None]  # who is visible after each step but the last
        ends = torch.stack([torch.zeros(n, dtype=torch.bool), torch.ones(n, dtype=torch.bool)])
        worths = game(torch.cat([ends, steps.flatten(0, 1)]))
        inner = worths[2:].reshape(self.n_orders, n - 1)
        path = torch.cat([worths[:1].expand(self.n_orders, 1), inner, worths[1:2].expand(self.n_orders, 1)], 1)
        added = path.diff(dim=1).gather(1, ranks)  # by player
        pairs = added.reshape(n_pairs, 2, n).mean(1)
        error = pairs.std(0) / n_pairs**0.5 if n_pairs > 1 else torch.full((n,), torch.nan, dtype=torch.float64)
        return added.mean(0), error, worths[1] - worths[0]


def exactly(game: "_Game") -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The values of the players over all subsets, their errors (0), and the worth of all less that of none."""
    n = game.n_players
    subsets = torch.arange(2**n)
    worths = game((subsets[:, None] >> torch.arange(n)) & 1 > 0)
    sizes = ((subsets[:, None] >> torch.arange(n)) & 1).sum(1)
    chance = torch.tensor([1 / (n * comb(n - 1, size)) for size in range(n)], dtype=torch.float64)
    values = []
    for player in range(n):
        without = subsets[(subsets >> player) & 1 == 0]
        values.append((chance[sizes[without]] * (worths[without + (1 << player)] - worths[without])).sum())
    return torch.stack(values), torch.zeros(n, dtype=torch.float64), worths[-1] - worths[0]


@dataclass(frozen=True, eq=False)
class _Game:
    """What subsets of regions are worth: the score with these visible and the baseline elsewhere."""

    question: Question  # of one image
    hidden: torch.Tensor
    regions: torch.Tensor  # each position's region, `y x`
    batch_size: int | None

    @property
    def n_players(self) -> int:
        return int(self.regions.max()) + 1

    def __call__(self, visible: torch.Tensor) -> torch.Tensor:
        """The worth of each subset (`subset region`, bool), float64."""
        maps = self.question.maps
        shape = tuple(self.regions.shape) if maps.dim() == 4 else ()

        def seen(part: slice) -> torch.Tensor:
            masks = visible[part][:, self.regions].to(maps.device).reshape(1, -1, 1, *shape)
            return torch.where(masks, maps[:, None], self.hidden[:, None])

        return scores_of(self.question, len(visible), seen, self.batch_size)[0]
