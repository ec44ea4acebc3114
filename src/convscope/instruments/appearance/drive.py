"""How strongly do pictures drive what they shall drive, and which way is up?  The response, its derivative, the diversity term."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from convscope.instruments.appearance.canvas import Canvas
from convscope.instruments.appearance.objective import Objective

BEYOND = 0.1  # the weight of what a unit is driven beyond the end of its activation


class Drive:
    """The objectives of a batch of pictures, one each; sets of `n_diverse` neighbours have the same."""

    def __init__(self, where: Canvas, objectives: Sequence[Objective], n_diverse: int, diversity: float) -> None:
        device = where.network.device
        self.canvas, self.objectives = where, objectives
        self.n_diverse, self.diversity = n_diverse, diversity
        self.driven = torch.stack([one.driven_weights for one in objectives]).to(device)
        self.shown = torch.stack([one.weights for one in objectives]).to(device)
        # Beyond what is enough there is little to gain; what counts is that it is reached wherever the picture is moved.
        self.enough = torch.tensor([np.inf if one.enough is None else one.enough for one in objectives], device=device)
        self.sign = torch.tensor([one.sign for one in objectives], device=device)

    def gradient(self, inputs: torch.Tensor, *, middle: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """The response to each picture at the driven step, and the derivative of the objectives by the inputs.

        With `middle`, only of the neuron in the middle.
        """
        maps, found = self.canvas.gradient(inputs, partial(self.signal, middle=middle))
        return self._peak(maps, self.driven, middle), found

    def signal(self, maps: torch.Tensor, *, middle: bool = False) -> torch.Tensor:
        """The derivative of what is raised by the driven step's maps, `batch unit ...`."""
        leaf = maps.detach().requires_grad_()
        with torch.enable_grad():
            response = self.sign * self._peak(leaf, self.driven, middle)
            raised = torch.where(response > self.enough, BEYOND * response, response).sum()
            if self.n_diverse > 1:
                weight = self.diversity * response.detach().abs().view(-1, self.n_diverse).mean(1)
                raised = raised - (weight * likeness(leaf, self.n_diverse)).sum()
            (found,) = torch.autograd.grad(raised, leaf)
        return found

    def responses(self, images: torch.Tensor) -> torch.Tensor:
        """The response to each picture (float 0-1, `batch channel y x`) at the layer that was asked about, on the CPU."""
        return self._peak(self._maps(images, self.canvas.shown), self.shown).cpu()

    def derivative(self, images: torch.Tensor) -> torch.Tensor:
        """The derivative of the objectives by pictures (float 0-1), at the driven step; zero where nothing raises them further."""
        network = self.canvas.network
        return self.gradient(network.preprocess.normalize(images.to(network.device)))[1].cpu()

    def quality(self, images: torch.Tensor) -> torch.Tensor:
        """What tries are compared by, higher is better: the weakest response to the bytes, and to the bytes moved by a pixel.

        Of a class, by how much its logit is the largest.
        """
        bytes_ = images.mul(255).round() / 255
        maps = self._maps(bytes_, self.canvas.shown)
        answers = [self._peak(maps, self.shown).cpu(), *(self.responses(one) for one in moved(bytes_))]
        quality = (self.sign.cpu() * torch.stack(answers)).amin(0)
        for i, one in enumerate(self.objectives):
            if one.target is not None and not one.negative and maps.dim() == 2 and maps.shape[1] > 1:
                others = torch.cat([maps[i, : one.target], maps[i, one.target + 1 :]])
                quality[i] = maps[i, one.target] - others.max()
        return quality

    def _maps(self, images: torch.Tensor, layer: str) -> torch.Tensor:
        network, parts = self.canvas.network, images.split(max(1, self.canvas.n_at_once))
        normalized = (network.preprocess.normalize(part.to(network.device)) for part in parts)
        return torch.cat([self.canvas.maps(part, layer) for part in normalized])

    def _peak(self, maps: torch.Tensor, weights: torch.Tensor, middle: bool = False) -> torch.Tensor:
        """The response of the neuron that answers most (least, where it is driven down), of those that are asked."""
        along = (self.canvas.asked(maps, middle=middle) * weights[:, :, None]).sum(1)
        return (self.sign[:, None] * along).amax(1) * self.sign


def moved(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The pictures moved by one pixel in each of four directions; the edge is repeated."""
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    return tuple(padded[:, :, y : y + height, x : x + width] for y, x in ((0, 1), (2, 1), (1, 0), (1, 2)))


def likeness(maps: torch.Tensor, n: int) -> torch.Tensor:
    """How alike are the pictures of each set?  The mean cosine between the Gram matrices of two of its n, `set`.

    G = A A^T with A `unit position`; <G, H> = |A^T B|^2 summed over entries, so no Gram matrix need be made.
    """
    features = maps.reshape(maps.shape[0] // n, n, maps.shape[1], -1)
    products = torch.einsum("siup,sjuq->sijpq", features, features).pow(2).sum((3, 4))
    sizes = products.diagonal(dim1=1, dim2=2).clamp_min(1e-12).sqrt()
    cosines = products / (sizes[:, :, None] * sizes[:, None, :])
    off = 1 - torch.eye(n, device=maps.device)
    return (cosines * off).sum((1, 2)) / (n * (n - 1))
