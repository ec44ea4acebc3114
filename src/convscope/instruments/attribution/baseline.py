"""What is an image that shows nothing?  The baselines that methods start from, and fills that hide what is removed."""

import torch
import torch.nn.functional as F

from convscope.errors import UnknownNameError
from convscope.graph.graph import INPUT
from convscope.images import Preprocess
from convscope.instruments.attribution.method import Question

BASELINES = ("zero", "mean", "black", "white", "blur", "noise")
_BLUR_FRAC = 1 / 12  # standard deviation of the blur, in parts of the short side


def baseline_inputs(inputs: torch.Tensor, preprocess: Preprocess, kind: str, seed: int = 0) -> torch.Tensor:
    """Normalised images of the same shape that show nothing.

    "zero": 0 after normalisation (for the usual recipes the mean colour of the training images); "mean": the image's own mean
    colour; "black", "white"; "blur": the image itself, blurred until no shape is left; "noise": normal noise of the image's own
    mean and spread, channel by channel. Raises UnknownNameError for another kind.
    """
    if kind == "zero":
        return torch.zeros_like(inputs)
    if kind == "mean":
        return inputs.mean((2, 3), keepdim=True).expand_as(inputs).contiguous()
    if kind in ("black", "white"):
        full = torch.full_like(inputs, 1.0 if kind == "white" else 0.0)
        return preprocess.normalize(full).to(inputs)
    if kind == "blur":
        return blurred(inputs, _BLUR_FRAC * min(inputs.shape[-2:]))
    if kind == "noise":
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(inputs.shape[1:], generator=generator).to(inputs)  # the same for all, whatever the batch
        return inputs.mean((2, 3), keepdim=True) + noise * inputs.std((2, 3), keepdim=True)
    raise UnknownNameError("baseline", kind, BASELINES)


def baseline_maps(question: Question, kind: str) -> torch.Tensor:
    """The values of the question's place for such images, in the shape of its maps."""
    inputs = baseline_inputs(question.inputs, question.network.preprocess, kind)
    if question.layer == INPUT:
        return inputs.to(question.maps)
    with torch.no_grad():
        return question.network.run(inputs, [question.layer])[question.layer]


def blurred(inputs: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Images under a Gaussian blur, borders repeated."""
    n_channels = inputs.shape[1]
    for dim in (2, 3):
        reach = min(max(1, round(3 * sigma_px)), inputs.shape[dim] - 1)
        offsets = torch.arange(-reach, reach + 1, dtype=inputs.dtype, device=inputs.device)
        kernel = torch.exp(-(offsets**2) / (2 * sigma_px**2))
        kernel = (kernel / kernel.sum()).reshape((1, 1, -1, 1) if dim == 2 else (1, 1, 1, -1))
        pad = (0, 0, reach, reach) if dim == 2 else (reach, reach, 0, 0)
        padded = F.pad(inputs, pad, mode="replicate")
        inputs = F.conv2d(padded, kernel.expand(n_channels, 1, *kernel.shape[2:]), groups=n_channels)
    return inputs
