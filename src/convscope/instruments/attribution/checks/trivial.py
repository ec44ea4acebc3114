"""Which maps know nothing of the network?  The controls a map has to beat: the centre of the image, and its edges."""

import torch
import torch.nn.functional as F

_SOBEL = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8

WORDS = {"centre": "a map that only knows the centre of the image", "edges": "a map of the edges in the image"}


def trivial_maps(inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Both, `y x`, for one image (`1 channel y x`)."""
    return {"centre": centre_prior(int(inputs.shape[2]), int(inputs.shape[3])), "edges": edge_map(inputs)}


def centre_prior(y: int, x: int) -> torch.Tensor:
    """Largest in the middle of the image, `y x`, 0-1: a Gaussian whose standard deviation is a quarter of each side."""
    rows, columns = ((torch.arange(n) + 0.5) / n - 0.5 for n in (y, x))
    return torch.exp(-8 * (rows[:, None] ** 2 + columns[None] ** 2))


def edge_map(inputs: torch.Tensor) -> torch.Tensor:
    """How steep is the image at each pixel?  Size of the Sobel gradient of the mean over channels, `y x`, in input units a px."""
    grey = F.pad(inputs.float().mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    kernels = torch.stack([_SOBEL, _SOBEL.T])[:, None].to(grey)
    return F.conv2d(grey, kernels)[0].norm(dim=0)
