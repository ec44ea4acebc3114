"""Which units does the prediction rest on, and where do they answer?  Each is removed in turn; its map is weighted by the drop."""

from dataclasses import dataclass

import torch

from convscope.instruments.attribution.cam import CAM
from convscope.instruments.attribution.method import Question, Values
from convscope.instruments.attribution.variants import positions, scores_of
from convscope.registry import register


@register("method", "ablation_cam")
@dataclass(frozen=True)
class AblationCAM(CAM):
    """(score - score without unit k) A_k: Ramaswamy and Desai 2020 (doi:10.1109/WACV45572.2020.9093360), eq. 3 and 4.

    A removed unit is 0 everywhere; only the network above the layer is computed again. The weights are in logits: the paper
    divides them by the score, which gives the same map up to its scale, but turns it over where the score is negative.
    """

    title = "Ablation-CAM"
    paper = "Ramaswamy and Desai 2020, doi:10.1109/WACV45572.2020.9093360"

    batch_size: int | None = None  # maps in one pass; None: as many as fit

    def values(self, question: Question) -> Values:
        maps = question.maps
        shown = positions(question, maps)
        live = (maps != 0).transpose(0, 1).flatten(1).any(1).nonzero()[:, 0]  # removing a dead one changes nothing

        def without(part: slice) -> torch.Tensor:
            units = live[part]
            variants = maps[:, None].repeat(1, len(units), *[1] * (maps.dim() - 1))
            variants[:, torch.arange(len(units)), units] = 0
            return variants

        drop = torch.zeros(maps.shape[:2], dtype=torch.float64)
        drop[:, live.cpu()] = question.unchanged.double().cpu()[:, None] - scores_of(
            question, len(live), without, self.batch_size
        )
        return Values(drop.to(shown)[:, :, None, None] * shown)
