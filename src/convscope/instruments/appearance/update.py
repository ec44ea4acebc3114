"""How does a picture take a step?  Adam for spectra and phases; for pixels the scaled gradient, and the regularisers after it."""

from collections.abc import Callable, Sequence

import torch

from convscope.instruments.appearance.parameterization import Parameterization, Pixel, Shape
from convscope.instruments.appearance.regularise import Regulariser

GREY = 0.5
BETAS = 0.9, 0.999
TINY = 1e-8
WANDER_EVERY = 8  # steps; in between, looking for such pictures would cost time
WANDER = 0.1  # deviation of the random step of a picture that has no gradient

Update = Callable[[torch.Tensor, int], None]  # gradient, number of the step
Nudge = Callable[[list[int]], torch.Tensor]  # pictures -> random numbers shaped like their parameters


def updates(
    parameterization: Parameterization,
    shape: Shape,
    parameters: torch.Tensor,
    regularisers: Sequence[Regulariser],
    nudge: Nudge,
) -> Update:
    """What to call with each gradient; it changes the parameters where they are."""
    rate = parameterization.rate_for(shape)
    step_of = _scaled if isinstance(parameterization, Pixel) else _adam(parameters)
    silent = torch.ones(len(parameters), dtype=torch.bool, device=parameters.device)  # never had a gradient

    def update(gradient: torch.Tensor, step: int) -> None:
        with torch.no_grad():
            parameters.add_(step_of(gradient, step), alpha=rate)
            silent.logical_and_(gradient.flatten(1).abs().amax(1) == 0)
            if step % WANDER_EVERY == 0:
                _wander(parameters, silent, nudge)
            if isinstance(parameterization, Pixel):
                difference = parameters - GREY
                for regulariser in regularisers:
                    difference = regulariser(difference, gradient, step)
                parameters.copy_((difference + GREY).clamp(0, 1))

    return update


def _scaled(gradient: torch.Tensor, step: int) -> torch.Tensor:
    """The gradient of each picture, of root mean square 1."""
    return gradient / gradient.pow(2).mean((1, 2, 3), keepdim=True).sqrt().clamp_min(TINY)


def _adam(parameters: torch.Tensor) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """Kingma and Ba 2015, algorithm 1, uphill; with a smaller epsilon, for gradients of any scale."""
    mean, square = torch.zeros_like(parameters), torch.zeros_like(parameters)

    def step_of(gradient: torch.Tensor, step: int) -> torch.Tensor:
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        scale = (1 - BETAS[1] ** (step + 1)) ** 0.5 / (1 - BETAS[0] ** (step + 1))
        return mean / (square.sqrt() + TINY * TINY) * scale

    return step_of


def _wander(parameters: torch.Tensor, silent: torch.Tensor, nudge: Nudge) -> None:
    """A random step for each picture that never had a gradient: its unit is silent. Later, where there is none, all is reached."""
    flat = silent.nonzero().flatten().tolist()
    if flat:
        parameters[flat] += WANDER * nudge(flat).to(parameters)
