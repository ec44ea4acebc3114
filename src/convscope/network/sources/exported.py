"""Networks saved by `torch.export.save`: `FILE.pt2`."""

import io
import pickle
import warnings
import zipfile
from pathlib import Path

import torch

from convscope.errors import InputError, WeightsError
from convscope.network.origin import Origin, Request
from convscope.registry import register

_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


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
    refuse_code(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(path)
    except Exception as error:  # torch raises whatever its parser of the archive meets
        found = f"It cannot be read as an exported program: {str(error).splitlines()[0] if str(error) else error!r}"
        raise InputError(asked, found, "Write it with torch.export.save, using the torch installed here.") from error
    return Origin(model=program, weights=path.name)


def refuse_code(path: Path) -> None:
    """Raises WeightsError if any part of the archive is a pickle that needs more than tensors to be read.

    `torch.export.load` would otherwise fall back to reading such a part without protection.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as part:
                    start = part.read(2)
                if start == b"PK" or start in _PICKLE_STARTS:
                    _check(path, name, archive.read(name))
    except zipfile.BadZipFile as error:
        raise InputError(
            f"The network '{path}' was asked for.",
            "It is not an exported program (not a zip archive).",
            "Write it with torch.export.save.",
        ) from error


def _check(path: Path, name: str, content: bytes) -> None:
    try:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"The network '{path}' was asked for.",
            f"Its part '{name}' is a pickle that wants more than tensors; nothing in it was run.",
            "Export the model again without custom objects.",
        ) from error
    except RuntimeError:
        return  # a zip that is not a torch archive
