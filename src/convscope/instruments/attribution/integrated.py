"""How much does each pixel add on the way from a baseline to the image?  Integrated gradients.

Sundararajan, Taly and Yan 2017 (arXiv:1703.01365), eq. 1 to 3: (x - x0) times the mean gradient on the straight line from x0 to
x, which adds up to score(x) - score(x0). The integral is a sum at the middles of `n_steps` equal parts; its error is stated.
"""

from dataclasses import dataclass

import torch

from convscope.errors import UsageError
from convscope.instruments.attribution.baseline import baseline_maps
from convscope.instruments.attribution.method import Method, Question, Values
from convscope.instruments.attribution.variants import alone
from convscope.registry import register

MOST_STEPS = 4096
TOLD = 0.1  # an error that is told with the answer


@register("method", "integrated_gradients")
@dataclass(frozen=True)
class IntegratedGradients(Method):
    """(x - x0) x mean gradient; adds up to score(x) - score(x0), up to the stated error.

    With `error` the number of steps is doubled, image by image, until the sum is that close (as `Attribution.error` counts), or
    4,096 are reached. Raises UsageError for fewer than one step, or an error that is not above zero.
    """

    title = "Integrated gradients"
    paper = "Sundararajan et al. 2017, arXiv:1703.01365"

    n_steps: int = 50
    baseline: str = "zero"  # "zero" (0 after normalisation, the mean colour of training), "black", "white", "blur"
    error: float | None = None  # stop when completeness holds to this part

    def __post_init__(self) -> None:
        if self.n_steps < 1 or (self.error is not None and not self.error > 0):
            found = f"n_steps={self.n_steps}, error={self.error}."
            raise UsageError(f"{self.title} were asked for.", found, "At least 1 step; an error above zero, as .01.")

    def values(self, question: Question) -> Values:
        n_images = len(question.inputs)
        if self.error is None or n_images == 1:
            return self._summed(question)
        each = [self._summed(alone(question, i, n_images)) for i in range(n_images)]  # each its own number of steps
        values, promised = (
            torch.cat(parts) for parts in zip(*((one.values, one.promised) for one in each), strict=True)
        )
        notes = [f"Image {i + 1}: {note}" for i, one in enumerate(each) for note in one.notes]
        return Values(values, promised, tuple(notes))

    def _summed(self, question: Question) -> Values:
        start = baseline_maps(question, self.baseline)
        promised = (question.score(question.maps) - question.score(start)).double()
        n_steps, notes = self.n_steps, []
        found = self._integral(question, start, n_steps)
        missing = _missing(found, promised, question.unchanged)
        while self.error is not None and missing > self.error and n_steps < MOST_STEPS:
            n_steps = min(2 * n_steps, MOST_STEPS)
            found = self._integral(question, start, n_steps)
            missing = _missing(found, promised, question.unchanged)
        if self.error is not None and missing > self.error:
            notes.append(f"An error of {self.error:g} was not reached in {n_steps} steps: it is {missing:.2g}.")
        elif n_steps > self.n_steps:
            notes.append(f"{n_steps} steps were needed for an error of {self.error:g}.")
        if missing > TOLD:
            notes.append(f"The sum of {n_steps} steps is {missing:.0%} off: take more, or another baseline.")
        return Values(found, promised, tuple(notes))

    def _integral(self, question: Question, start: torch.Tensor, n_steps: int) -> torch.Tensor:
        middles = [(step + 0.5) / n_steps for step in range(n_steps)]
        return (question.maps - start) * question.line_gradient(start, middles) / n_steps


def _missing(found: torch.Tensor, promised: torch.Tensor, score: torch.Tensor) -> float:
    """How far the sum is at most from the difference, as a part of it or of the score, as `Attribution.error` has it."""
    whole = torch.maximum(promised.abs(), score.to(promised).abs()).clamp_min(1e-12)
    return float(((found.double().flatten(1).sum(1) - promised).abs() / whole).max())
