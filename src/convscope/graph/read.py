"""How does a model become a graph?  It is exported once, and every operation becomes a step that writes into nothing.

`torch.export` runs the model on stand-in tensors and records the ATen operations with the module each was called from. Here
in-place operations become plain ones, values that do not depend on the image become constants, steps get the names their
owner knows, and every value the meaning of its axes.
"""

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.export import ExportedProgram

from convscope.graph.copying import borrowed_copy
from convscope.graph.failures import explain_failure
from convscope.graph.graph import Graph
from convscope.graph.nodes import (
    SAME,
    op_name,
)
from convscope.graph.reader import EXAMPLE_BATCH, AliasedWriteError, Reader


def read(module: nn.Module, input_shape: tuple[int, int, int]) -> Graph:
    """What does this module compute for images of this shape (channel y x)?  It is left as it was.

    Raises InputShapeError if the module itself refuses such images, ExportError if it cannot be exported.
    """
    twin = borrowed_copy(module)
    example = torch.zeros(EXAMPLE_BATCH, *input_shape, device=device_of(module), dtype=dtype_of(module))
    try:
        with warnings.catch_warnings(), torch.no_grad(), _quiet_logs():
            warnings.simplefilter("ignore")  # about torch's own deprecations, nothing the owner could mend
            program = torch.export.export(
                twin, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=False
            )
    except Exception as error:  # whatever the owner's code raises is told in its own words
        raise explain_failure(error, twin, input_shape) from error
    return read_program(program)


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """torch logs the trace of what it cannot export before it raises; the error says it already."""
    logger = logging.getLogger("torch")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def read_program(program: ExportedProgram) -> Graph:
    """What does an exported program compute?  Raises ExportError for one that is not a plain network of one image."""
    try:
        return Reader(program).graph()
    except AliasedWriteError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Reader(_without_writes(program)).graph()


def _without_writes(program: ExportedProgram) -> ExportedProgram:
    """The same program, rewritten by torch so that nothing is written into."""
    tensors = (*program.state_dict.values(), *program.constants.values())
    twin = copy.deepcopy(program, {id(tensor): tensor for tensor in tensors})
    for node in list(twin.graph.nodes):
        if node.op == "call_function" and op_name(node) in SAME:  # torch would take their value for new memory
            node.replace_all_uses_with(node.args[0])
            twin.graph.erase_node(node)
    return twin.run_decompositions({})


def device_of(tensors: nn.Module | Mapping[str, torch.Tensor]) -> torch.device:
    """The device a model computes on: that of its first parameter."""
    return next((tensor.device for tensor in _tensors(tensors)), torch.device("cpu"))


def dtype_of(tensors: nn.Module | Mapping[str, torch.Tensor]) -> torch.dtype:
    """The precision a model computes in: that of its first parameter that is not a whole number."""
    return next((tensor.dtype for tensor in _tensors(tensors) if tensor.is_floating_point()), torch.float32)


def _tensors(tensors: nn.Module | Mapping[str, torch.Tensor]) -> Iterator[torch.Tensor]:
    yield from tensors.parameters() if isinstance(tensors, nn.Module) else tensors.values()
