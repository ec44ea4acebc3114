"""Where in its last maps does the network find the class?  Class activation maps weighted by gradients.

Each takes the maps A of a layer and the gradient G of the score by them, and says what unit k contributes at each position:

    Grad-CAM    mean(G_k) A_k                   Selvaraju et al. 2016 (arXiv:1610.02391), eq. 1 and 2
    Grad-CAM++  sum(alpha_k relu(G_k)) A_k      Chattopadhay et al. 2017 (arXiv:1710.11063), eq. 5 and 19
    LayerCAM    relu(G) A                       Jiang et al. 2021 (doi:10.1109/TIP.2021.3089943), eq. 5 and 6
    HiResCAM    G A                             Draelos and Carin 2020 (arXiv:2011.08891), eq. 4

The map is the sum over units, where it is positive.
"""

from dataclasses import dataclass

import torch

from convscope.instruments.attribution.method import LAST_MAPS, Method, Question, Values
from convscope.registry import register


@dataclass(frozen=True)
class _CAM(Method):
    place = LAST_MAPS
    signed = False

    @property
    def channels(self) -> str:
        return "positive"


@register("method", "grad_cam")
@dataclass(frozen=True)
class GradCAM(_CAM):
    """Maps weighted by the mean gradient of each unit; at the layer below a global mean, times its size, exactly CAM."""

    title = "Grad-CAM"
    paper = "Selvaraju et al. 2016, arXiv:1610.02391"

    def values(self, question: Question) -> Values:
        gradients, _ = question.back(question.maps)
        return Values(_positions(gradients).mean((2, 3), keepdim=True) * _positions(question.maps))


@register("method", "grad_cam_plus_plus")
@dataclass(frozen=True)
class GradCAMPlusPlus(_CAM):
    """Maps weighted by positive gradients, each position's share found as if the score were the exponential of a logit."""

    title = "Grad-CAM++"
    paper = "Chattopadhay et al. 2017, arXiv:1710.11063"

    def values(self, question: Question) -> Values:
        maps = _positions(question.maps)
        gradients = _positions(question.back(question.maps)[0])
        below = 2 * gradients**2 + maps.sum((2, 3), keepdim=True) * gradients**3
        share = gradients**2 / (below + 1e-6)
        share = torch.where(gradients != 0, share, torch.zeros_like(share))
        weights = (share * gradients.clamp(min=0)).sum((2, 3), keepdim=True)
        return Values(weights * maps)


@register("method", "layer_cam")
@dataclass(frozen=True)
class LayerCAM(_CAM):
    """Maps weighted by the positive gradient at each position; sharp at early layers too."""

    title = "LayerCAM"
    paper = "Jiang et al. 2021, doi:10.1109/TIP.2021.3089943"

    def values(self, question: Question) -> Values:
        gradients, _ = question.back(question.maps)
        return Values(_positions(gradients.clamp(min=0)) * _positions(question.maps))


@register("method", "hires_cam")
@dataclass(frozen=True)
class HiResCAM(_CAM):
    """Maps times gradient: where a global mean and one dense layer follow, exactly what each position adds to the logit."""

    title = "HiResCAM"
    paper = "Draelos and Carin 2020, arXiv:2011.08891"

    def values(self, question: Question) -> Values:
        gradients, _ = question.back(question.maps)
        return Values(_positions(gradients) * _positions(question.maps))


def _positions(maps: torch.Tensor) -> torch.Tensor:
    """Values as `batch unit y x`; a vector has one position."""
    return maps.reshape(*maps.shape[:2], 1, 1) if maps.dim() == 2 else maps
