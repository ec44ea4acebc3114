"""What tests build: small networks, weights that test something, and copies that write into nothing."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from convscope.network import Network, load


def randomized(module: nn.Module, size: tuple[int, int] = (20, 28), n_channels: int = 3, seed: int = 0) -> nn.Module:
    """The module in evaluation mode with weights that test something.

    No parameter stays constant (zero gains would hide their branch), signals neither fade nor grow (or rounding would be all
    that is compared), and batch norms hold the statistics of a few random images, so that folding them matters.
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=generator)

    module.eval()
    norms = [
        part
        for part in module.modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.track_running_stats
    ]
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() and bool((parameter == parameter.flatten()[0]).all()):
                parameter += 0.2 * noise(parameter)
            elif not norms and parameter.dim() > 1:
                parameter.copy_(noise(parameter) * (2 / parameter[0].numel()) ** 0.5)
        for norm in norms:
            norm.training, norm.momentum = True, 1.0
        module(torch.randn(8, n_channels, *size, generator=generator))
    return module.eval()


def out_of_place(module: nn.Module) -> nn.Module:
    """A copy whose activations write into nothing."""
    twin = copy.deepcopy(module).eval()
    for part in twin.modules():
        if getattr(part, "inplace", False):
            part.inplace = False
    return twin


def hooked(module: nn.Module, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a forward hook sees at every leaf module that is called once and gives one tensor."""
    seen: dict[str, list[torch.Tensor]] = {}

    def keep(path: str) -> Callable[..., None]:
        def hook(part: nn.Module, args: object, value: object) -> None:
            if isinstance(value, torch.Tensor):
                seen.setdefault(path, []).append(value.detach().clone())

        return hook

    leaves = [(path, part) for path, part in module.named_modules() if path and not list(part.children())]
    handles = [part.register_forward_hook(keep(path)) for path, part in leaves]
    with torch.no_grad():
        module(inputs)
    for handle in handles:
        handle.remove()
    return {path: values[0] for path, values in seen.items() if len(values) == 1}


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, in parts of the largest value."""
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def network(module: nn.Module, y: int = 20, x: int = 28, *, channels: int | None = None, fold: bool = False) -> Network:
    """A module of images of y by x pixels, as a Network; batch norms are not folded unless asked."""
    return load(module.eval(), size=(y, x), n_channels=channels, fold=fold)


class Pooled(nn.Sequential):
    """Parts in a row, then the mean over positions: what makes any feature extractor a classifier."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs).mean((2, 3))
