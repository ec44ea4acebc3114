"""Networks saved by `torch.export.save`: `FILE.pt2`."""

import logging
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from convscope.errors import InputError, WeightsError
from convscope.network.origin import Origin, Request
from convscope.registry import register

_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


@register("source", "exported")
def exported_source(request: Request) -> Origin:
    """An exported program. It knows neither preprocessing nor class names: give them.

    Raises InputError for a file that is not there or not an exported program, WeightsError for one that wants to run code, or
    when other weights are given.
    """
    path = Path(request.spec.name)
    asked = f"The network '{path}' was asked for."
    if not path.is_file():
        raise InputError(asked, "There is no such file.", "Give the path of a file written by torch.export.save.")
    if request.weights is not None:
        raise WeightsError(asked, "An exported program holds its own weights.", "Leave out --weights.")
    try:
        with warnings.catch_warnings(), _only_tensors():
            warnings.simplefilter("ignore")
            program = torch.export.load(path)
    except Exception as error:  # torch raises whatever its parser of the archive meets
        raise _refused(path, error) from error
    return Origin(model=program, weights=path.name)


@contextmanager
def _only_tensors() -> Iterator[None]:
    """torch.export.load reads pickles, and falls back to running what they contain; this forbids that, and its log of it."""
    before = os.environ.get(_FORCE)
    loggers = [logging.getLogger(name) for name in ("torch.export", "torch._export", "torch._export.serde.serialize")]
    levels = [logger.level for logger in loggers]
    os.environ[_FORCE] = "1"
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if before is None:
            del os.environ[_FORCE]
        else:
            os.environ[_FORCE] = before


def _refused(path: Path, error: Exception) -> InputError:
    asked = f"The network '{path}' was asked for."
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, pickle.UnpicklingError) or "weights_only" in str(chain).lower():
            return WeightsError(
                asked,
                "A part of it is a pickle that wants more than tensors; nothing in it was run.",
                "Export the model again without custom objects.",
            )
        chain = chain.__cause__ or chain.__context__
    found = (
        "It is not an exported program" if not zipfile.is_zipfile(path) else "It cannot be read as an exported program"
    )
    return InputError(
        asked, f"{found} ({type(error).__name__}).", "Write it with torch.export.save, using the torch installed here."
    )
