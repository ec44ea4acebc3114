"""Which pixels belong together?  Regions of one colour and place, found by SLIC."""

import numpy as np
import torch
import torch.nn.functional as F

from convscope.images import Preprocess

# How much place counts against colour: more of it where colour alone leaves too few regions (noise, flat grey).
_COMPACTNESS = (10.0, 30.0, 100.0, 1e3, 1e5)


def superpixels(inputs: torch.Tensor, preprocess: Preprocess, n: int) -> torch.Tensor:
    """About `n` connected regions of one normalised image (`1 channel y x`): each pixel's region, `y x`, counted from 0.

    SLIC (Achanta et al. 2012, doi:10.1109/TPAMI.2012.120) as in scikit-image, on the colours the image shows; the same image
    gives the same regions.
    """
    from skimage.segmentation import slic

    rgb = inputs.shape[1] == 3
    shown = preprocess.denormalize(inputs.float().cpu()) if rgb else inputs.float().cpu()
    image = shown[0].permute(1, 2, 0).double().contiguous().numpy()
    n_pixels = image.shape[0] * image.shape[1]
    if n <= 1 or n_pixels <= n:
        return torch.arange(n_pixels).reshape(image.shape[:2]) * (n > 1)
    found = np.zeros(image.shape[:2])
    for compactness in _COMPACTNESS:  # colours are on a scale of 100 in Lab, of 1 otherwise
        weight = compactness if rgb else compactness / 100
        found = slic(image, n, compactness=weight, convert2lab=rgb, channel_axis=2, start_label=0)
        if 2 * len(np.unique(found)) > n:
            break
    return _renumbered(torch.from_numpy(np.ascontiguousarray(found)).long())


def at_size(regions: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """The regions on a coarser grid: each position belongs to the region at its centre; those that have none are left out."""
    if regions.shape == size:
        return regions
    coarse = F.interpolate(regions[None, None].float(), size=tuple(size), mode="nearest-exact")[0, 0].long()
    return _renumbered(coarse)


def _renumbered(regions: torch.Tensor) -> torch.Tensor:
    return torch.unique(regions, return_inverse=True)[1]
