"""How is a borrowed model looked at without changing it?  On a copy of its structure that shares its tensors."""

import copy
from typing import Any

import torch
from torch import nn

# Hooks that are part of what a module computes (weight norm, spectral norm in their older form); all others are onlookers.
_COMPUTING_HOOKS = ("WeightNorm", "SpectralNorm")


def borrowed_copy(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode, without the owner's hooks, that shares every parameter and buffer.

    The original is not touched: neither its training flags nor its gradients, buffers or hooks.
    """
    shared: dict[int, Any] = {}
    for part in module.modules():
        for value in (*part._parameters.values(), *part._buffers.values(), *vars(part).values()):
            if isinstance(value, torch.Tensor):
                shared[id(value)] = value
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            for hook in getattr(part, name).values():
                shared[id(hook)] = hook
    twin = copy.deepcopy(module, shared)
    for part in twin.modules():
        part.training = False
        for name in ("_forward_hooks", "_backward_hooks", "_backward_pre_hooks"):
            getattr(part, name).clear()
        for key, hook in list(part._forward_pre_hooks.items()):
            if type(hook).__name__ not in _COMPUTING_HOOKS:
                del part._forward_pre_hooks[key]
    return twin


def own_copy(module: nn.Module) -> nn.Module:
    """The same, with tensors of its own: what happens to the original afterwards does not show."""
    twin = borrowed_copy(module)
    made: dict[int, torch.Tensor] = {}  # tied parameters stay tied
    for part in twin.modules():
        places: tuple[dict[str, Any], ...] = (part._parameters, part._buffers, vars(part))
        for tensors in places:
            for name, value in list(tensors.items()):
                if isinstance(value, torch.Tensor):
                    tensors[name] = made.setdefault(id(value), _cloned(value))
    return twin


def _cloned(value: torch.Tensor) -> torch.Tensor:
    copied = value.detach().clone()
    return nn.Parameter(copied, requires_grad=value.requires_grad) if isinstance(value, nn.Parameter) else copied


def onlookers(module: nn.Module) -> list[str]:
    """Paths of the modules that carry hooks of their owner; what those hooks change is not part of the graph."""
    return [
        path
        for path, part in module.named_modules()
        if part._forward_hooks
        or any(type(h).__name__ not in _COMPUTING_HOOKS for h in part._forward_pre_hooks.values())
    ]
