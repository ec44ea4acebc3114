"""What weights belong to this module?  Checkpoints are read without running anything they contain, and matched by name."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from convscope.errors import WeightsError

_WRAPPINGS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "ema",
    "model_ema",
    "module",
)
_BENIGN = re.compile(r"(^|\.)num_batches_tracked$")


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name: safetensors, or a file torch reads with `weights_only=True`.

    Raises WeightsError for a file that is not there, is damaged, holds no tensors, or needs to run code to be read.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"Weights were to be read from '{path}'.", "There is no such file.", "Give the path of a file."
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what cannot be read is refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unsafe(path, error) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        found = f"It cannot be read: {said.split('Re-running')[0]}"
        raise WeightsError(
            f"Weights were to be read from '{path}'.", found, "Give a whole .safetensors or .pt file."
        ) from error
    return _unwrapped(content, path)


def _unsafe(path: Path, error: Exception) -> WeightsError:
    """A pickle that wants more than tensors: refused by name, with the way to convert it."""
    found = re.search(r"GLOBAL ([\w.]+\.[\w.]+)|([\w]+\.[\w.]+) was not an allowed global", str(error))
    name = next((group for group in (found.groups() if found else ()) if group), "an object that is not a tensor")
    return WeightsError(
        f"Weights were to be read from '{path}'.",
        f"The file is a pickle that wants to build {name}; nothing in it was run.",
        "If you trust it, convert it once, in a Python of your own: load it with torch.load(FILE, weights_only=False), take its "
        "state_dict(), and write that with safetensors.torch.save_file.",
    )


def _unwrapped(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """The tensors inside the usual wrappings of a checkpoint."""
    for _ in range(3):
        if not isinstance(content, Mapping):
            break
        tensors = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
        if tensors:
            return tensors
        inner = next((content[key] for key in _WRAPPINGS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    kind = f"keys {', '.join(map(repr, list(content)[:6]))}" if isinstance(content, Mapping) else type(content).__name__
    raise WeightsError(
        f"Weights were to be read from '{path}'.",
        f"It holds no tensors by name, but {kind}.",
        "Save model.state_dict(), not the model or the optimizer.",
    )


def apply_weights(
    module: nn.Module, state: Mapping[str, torch.Tensor], *, source: str, partial: bool = False
) -> list[str]:
    """Puts the tensors into the module, by name; prefixes such as `module.` are understood.

    Names that are missing, not expected, or of another shape are listed and refused (WeightsError) unless `partial`; then what
    fits is loaded and the rest is returned, one line each.
    """
    own = module.state_dict()
    state = _without_prefix(state, own)
    missing = [name for name in own if name not in state and not _BENIGN.search(name)]
    unexpected = [name for name in state if name not in own and not _BENIGN.search(name)]
    shapes = [
        f"{name}: {tuple(state[name].shape)} in the file, {tuple(own[name].shape)} in the network"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    problems = _listed("missing", missing) + _listed("not expected", unexpected) + _listed("of another shape", shapes)
    if problems and not partial:
        n_fit = sum(name in state and state[name].shape == own[name].shape for name in own)
        raise WeightsError(
            f"The weights of '{source}' were to be loaded into {type(module).__name__}.",
            f"They belong to another network: {n_fit} of {len(own)} tensors fit.\n" + "\n".join(problems),
            "Give the weights of this architecture, check the options after '?', or ask for a part (partial=True, --partial).",
        )
    fitting = {name: tensor for name, tensor in state.items() if name in own and tensor.shape == own[name].shape}
    module.load_state_dict(fitting, strict=False)
    return problems


def _without_prefix(state: Mapping[str, torch.Tensor], own: Mapping[str, Any]) -> Mapping[str, torch.Tensor]:
    """The state with that prefix cut off (`module.`, `model.module.`), or put on, that makes most names fit."""

    def n_fitting(candidate: Mapping[str, Any]) -> int:
        return sum(name in own for name in candidate)

    samples = list(own)[:3]  # a prefix common to all names shows at any of them
    cut = {name.removesuffix(key) for key in samples for name in state if name.endswith("." + key)}
    put = {key.removesuffix(name) for name in list(state)[:3] for key in own if key.endswith("." + name)}
    candidates: list[Mapping[str, torch.Tensor]] = [state]
    candidates += [{name.removeprefix(prefix): tensor for name, tensor in state.items()} for prefix in sorted(cut)]
    candidates += [{prefix + name: tensor for name, tensor in state.items()} for prefix in sorted(put)]
    return max(candidates, key=n_fitting)


def _listed(what: str, names: list[str], most: int = 6) -> list[str]:
    if not names:
        return []
    more = f"\n    and {len(names) - most} more" if len(names) > most else ""
    return [f"  {len(names)} {what}:\n    " + "\n    ".join(names[:most]) + more]
