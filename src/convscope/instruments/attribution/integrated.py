"""How much does each pixel add on the way from a baseline to the image?  Integrated gradients.

Sundararajan, Taly and Yan 2017 (arXiv:1703.01365), eq. 1 to 3: (x - x0) times the mean gradient on the straight line from x0 to
x, which adds up to score(x) - score(x0). The integral is a sum at the middles of `n_steps` equal parts; its error is stated.
"""

from dataclasses import dataclass

import torch

from convscope.instruments.attribution.baseline import baseline_maps
from convscope.instruments.attribution.method import Method, Question, Values
from convscope.registry import register

MOST_STEPS = 4096
TOLD = 0.1  # an error that is told with the answer


@register("method", "integrated_gradients")
@dataclass(frozen=True)
class IntegratedGradients(Method):
    """(x - x0) x mean gradient; adds up to score(x) - score(x0), up to the stated error.

    With `error` the number of steps is doubled until the sum is that close (as `Attribution.error` counts), or 4,096 are reached.
    """

    title = "Integrated gradients"
    paper = "Sundararajan et al. 2017, arXiv:1703.01365"

    n_steps: int = 50
    baseline: str = "zero"  # "zero" (0 after normalisation, the mean colour of training), "black", "white", "blur"
    error: float | None = None  # stop when completeness holds to this part

    def values(self, question: Question) -> Values:
        start = baseline_maps(question, self.baseline)
        promised = (question.score(question.maps) - question.score(start)).double()
        n_steps = self.n_steps
        found = self._integral(question, start, n_steps)
        while self.error is not None and n_steps < MOST_STEPS:
            if float(_missing(found, promised, question.unchanged).max()) <= self.error:
                break
            n_steps *= 2
            found = self._integral(question, start, n_steps)
        notes = () if n_steps == self.n_steps else (f"{n_steps} steps were needed for an error of {self.error:g}.",)
        missing = float(_missing(found, promised, question.unchanged).max())
        if missing > TOLD:
            notes = (*notes, f"The sum of {n_steps} steps is {missing:.0%} off: take more, or another baseline.")
        return Values(found, promised, notes)

    def _integral(self, question: Question, start: torch.Tensor, n_steps: int) -> torch.Tensor:
        middles = [(step + 0.5) / n_steps for step in range(n_steps)]
        return (question.maps - start) * question.line_gradient(start, middles) / n_steps


def _missing(found: torch.Tensor, promised: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """How far the sum is from the difference, as a part of it or of the score, as `Attribution.error` has it."""
    whole = torch.maximum(promised.abs(), score.to(promised).abs()).clamp_min(1e-12)
    return (found.double().flatten(1).sum(1) - promised).abs() / whole
