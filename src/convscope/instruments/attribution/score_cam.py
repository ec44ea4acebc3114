"""Which units point at what the prediction needs?  The image is shown through each unit's map; its score weights the map."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from convscope.errors import UsageError
from convscope.instruments.attribution.baseline import baseline_inputs
from convscope.instruments.attribution.cam import CAM
from convscope.instruments.attribution.method import Question, Values
from convscope.instruments.attribution.variants import at_images, positions, scores_of
from convscope.registry import register


@register("method", "score_cam")
@dataclass(frozen=True)
class ScoreCAM(CAM):
    """softmax over units of (score of the image through map k - score of the baseline), times A_k.

    Wang et al. 2019 (arXiv:1910.01279), eq. 5 to 9 and algorithm 1. A map becomes a mask: spread over the image and stretched to
    0 to 1 (a map that is the same everywhere shows nothing); what it hides is the baseline, 0 after normalisation in the paper.
    Raises UsageError for a layer whose maps have a single position.
    """

    title = "Score-CAM"
    paper = "Wang et al. 2019, arXiv:1910.01279"

    softmax: bool = True  # False: weights are the increase of the score itself, signed, in logits
    baseline: str = "zero"
    align_corners: bool = False  # whether the corners of maps lie on those of the image, as grad-cam spreads them
    batch_size: int | None = None  # images in one pass; None: as many as fit

    def values(self, question: Question) -> Values:
        maps = positions(question, question.maps)
        if maps.shape[2] * maps.shape[3] < 2:
            raise UsageError(
                f"Score-CAM was asked for at '{question.layer}'.",
                "Its maps have a single position: as masks they would show all of the image or nothing.",
                "Name a layer with larger maps, or use Ablation-CAM.",
            )
        hidden = baseline_inputs(question.inputs, question.network.preprocess, self.baseline)
        live = (maps.amax((2, 3)) > maps.amin((2, 3))).any(0).nonzero()[:, 0]
        shown = question.inputs - hidden

        def seen_through(part: slice) -> torch.Tensor:
            masks = self._masks(maps[:, live[part]], question.inputs.shape[-2:])
            return torch.addcmul(hidden[:, None], masks[:, :, None], shown[:, None])

        images = at_images(question)
        empty = images.score(hidden).double().cpu()
        increase = torch.zeros(maps.shape[:2], dtype=torch.float64)
        increase[:, live.cpu()] = scores_of(images, len(live), seen_through, self.batch_size) - empty[:, None]
        weights = increase.softmax(1) if self.softmax else increase
        return Values(weights.to(maps)[:, :, None, None] * maps)

    def _masks(self, maps: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Maps as masks from 0 to 1, of the size of the image."""
        large = F.interpolate(maps, size=size, mode="bilinear", align_corners=self.align_corners)
        low, high = large.amin((2, 3), keepdim=True), large.amax((2, 3), keepdim=True)
        return (large - low) / (high - low).clamp_min(torch.finfo(large.dtype).tiny)
