"""Where in its last maps does the network find the class?  Class activation maps weighted by gradients.

Each takes the maps A of a layer and the gradient G of the score by them, and says what unit k contributes at each position:

    Grad-CAM    mean(G_k) A_k                   Selvaraju et al. 2016 (arXiv:1610.02391), eq. 1 and 2
    Grad-CAM++  sum(alpha_k relu(G_k)) A_k      Chattopadhay et al. 2017 (arXiv:1710.11063), eq. 5 and 19
    LayerCAM    relu(G) A                       Jiang et al. 2021 (doi:10.1109/TIP.2021.3089943), eq. 5 and 6
    HiResCAM    G A                             Draelos and Carin 2020 (arXiv:2011.08891), eq. 4

The map is the sum over units, where it is positive.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch

from convscope.graph.graph import Step
from convscope.instruments.attribution.method import LAST_MAPS, Method, Question, Values
from convscope.instruments.attribution.variants import positions
from convscope.network import Network
from convscope.registry import register

# Operations that are affine in a value they read; those that are so in several at once.
_AFFINE = frozenset(
    {"mean", "sum", "avg_pool2d", "adaptive_avg_pool2d", "conv2d", "linear", "addmm", "batch_norm"}
    | {"flatten", "reshape", "permute", "transpose", "squeeze", "unsqueeze"}
)
_ADDED = frozenset({"add", "sub", "cat"})


@dataclass(frozen=True)
class CAM(Method):
    """What the family shares: scores live in the last maps, and only positive ones are shown."""

    place = LAST_MAPS
    signed = False

    @property
    def channels(self) -> str:
        return "positive"

    def computed(self, network: Network, inputs: torch.Tensor) -> Network:
        """As it is quickest: most of the work is the pass up to the layer."""
        return network.quick_for(inputs)


@register("method", "grad_cam")
@dataclass(frozen=True)
class GradCAM(CAM):
    """Maps weighted by the mean gradient of each unit; at the layer below a global mean, times its size, exactly CAM."""

    title = "Grad-CAM"
    paper = "Selvaraju et al. 2016, arXiv:1610.02391"

    def values(self, question: Question) -> Values:
        maps, gradients = _maps_and_gradients(question)
        return Values(gradients.mean((2, 3), keepdim=True) * maps)


@register("method", "grad_cam_plus_plus")
@dataclass(frozen=True)
class GradCAMPlusPlus(CAM):
    """Maps weighted by positive gradients, each position's share found as if the score were the exponential of a logit.

    Eq. 19 divides G^2 by 2 G^2 + sum(A) G^3: that is 1 / (2 + sum(A) G), which is used here. With a small number added below
    instead (as in grad-cam, 1e-6) gradients below a thousandth, the usual size on real networks, get other shares.
    """

    title = "Grad-CAM++"
    paper = "Chattopadhay et al. 2017, arXiv:1710.11063"

    def values(self, question: Question) -> Values:
        maps, gradients = _maps_and_gradients(question)
        below = 2 + maps.sum((2, 3), keepdim=True) * gradients
        share = torch.where(below.abs() > 1e-6, 1 / below, torch.zeros_like(below))
        weights = (share * gradients.clamp(min=0)).sum((2, 3), keepdim=True)
        return Values(weights * maps)


@register("method", "layer_cam")
@dataclass(frozen=True)
class LayerCAM(CAM):
    """Maps weighted by the positive gradient at each position; sharp at early layers too."""

    title = "LayerCAM"
    paper = "Jiang et al. 2021, doi:10.1109/TIP.2021.3089943"

    def values(self, question: Question) -> Values:
        maps, gradients = _maps_and_gradients(question)
        return Values(gradients.clamp(min=0) * maps)


@register("method", "hires_cam")
@dataclass(frozen=True)
class HiResCAM(CAM):
    """Maps times gradient: where a global mean and one dense layer follow, exactly what each position adds to the logit.

    There (and above any layer that only affine operations follow) the values add up to the score less that of empty maps.
    """

    title = "HiResCAM"
    paper = "Draelos and Carin 2020, arXiv:2011.08891"

    def values(self, question: Question) -> Values:
        maps, gradients = _maps_and_gradients(question)
        promised = None
        followed = question.graph.above([question.layer])
        if all(_is_affine(step, followed) for step in question.path):
            promised = question.unchanged.double() - question.score(torch.zeros_like(question.maps)).double()
        return Values(gradients * maps, promised)


def _is_affine(step: Step, followed: Collection[str]) -> bool:
    """Whether a step is affine in what follows from the place; a weight that follows from it too makes a product."""
    n_followed = sum(name in followed for name in step.inputs)
    return step.op in _ADDED or (step.op in _AFFINE and n_followed <= 1)


def _maps_and_gradients(question: Question) -> tuple[torch.Tensor, torch.Tensor]:
    maps = positions(question, question.maps)
    return maps, positions(question, question.back(question.maps)[0])
