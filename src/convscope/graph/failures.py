"""Why could a model not be read?  Names the module and the line where it stopped, and what would work."""

from pathlib import Path
from types import TracebackType

import torch
from torch import nn

from convscope.errors import ExportError, InputShapeError, NetworkError


def explain_failure(error: Exception, module: nn.Module, input_shape: tuple[int, int, int]) -> NetworkError:
    """The error to raise when `torch.export` refused a module: is it the module itself, or what export can follow?"""
    shape = "x".join(map(str, input_shape))
    own = _run(module, input_shape)
    if own is not None:
        return InputShapeError(
            f"The network was given an image of {shape} (channel y x).",
            f"It refuses: {_first_line(own)} ({_place(own, module)})",
            "Give another size or number of channels: size= and n_channels=, or --size and --input-channels.",
        )
    return ExportError(
        f"The network was to be read by torch.export, for images of {shape} (channel y x).",
        f"It stopped {_place(error, module)}: {_first_line(error)}",
        "Decisions that depend on the values of a tensor must be rewritten (torch.where, masks), or the part replaced.",
    )


def _run(module: nn.Module, input_shape: tuple[int, int, int]) -> Exception | None:
    """What the module itself says to such an image; None if it takes it."""
    parameter = next(module.parameters(), torch.zeros(()))
    images = torch.zeros(2, *input_shape, device=parameter.device, dtype=parameter.dtype)
    try:
        with torch.no_grad():
            module(images)
    except Exception as error:
        return error
    return None


def _place(error: Exception, module: nn.Module) -> str:
    """The innermost module of the owner's and the line of its code, from a traceback."""
    paths = {id(part): path for path, part in module.named_modules()}
    found = ""
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        owner = frame.f_locals.get("self")
        file = Path(frame.f_code.co_filename)
        if id(owner) in paths and frame.f_code.co_name != "_call_impl" and "_wrapped_call" not in frame.f_code.co_name:
            path = paths[id(owner)] or "the model itself"
            found = f"in module '{path}' ({type(owner).__name__}), {file.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found or f"in {type(module).__name__}"


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
