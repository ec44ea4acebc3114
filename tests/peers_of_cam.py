"""pytorch-grad-cam as an oracle: its map of an image, and ours taken through what it does to maps before it shows them."""

import contextlib
import copy
import io
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from convscope.instruments.attribution import Attribution


def grad_cam(
    name: str, module: nn.Module, layer: nn.Module, inputs: torch.Tensor, targets: Sequence[int]
) -> np.ndarray:
    """What pytorch-grad-cam shows, `batch y x`, 0 to 1."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    path = next(path for path, part in module.named_modules() if part is layer)
    twin = copy.deepcopy(module).eval()
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        method = getattr(pytorch_grad_cam, name)(twin, [twin.get_submodule(path)])
        shown = method(inputs.clone(), [ClassifierOutputTarget(target) for target in targets])
        method.activations_and_grads.release()
    return shown


def as_grad_cam_shows(found: Attribution) -> np.ndarray:
    """Our map stretched to 0 to 1, enlarged by OpenCV and stretched again, as pytorch-grad-cam does with its own."""
    from pytorch_grad_cam.utils.image import scale_cam_image

    size = found.inputs.shape[-1], found.inputs.shape[-2]
    return scale_cam_image(scale_cam_image(found.map.detach().numpy(), size))
