"""What tests share: the folder of real networks and images, and a torchvision that can be imported."""

import os
from pathlib import Path

import pytest
import torch


def _operators_torchvision_needs() -> "torch.library.Library | None":
    """Two operator schemas that torchvision looks up when imported, and that a CPU build of torch does not have."""
    if hasattr(torch.ops.torchvision, "nms"):
        return None
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


_LIBRARY = _operators_torchvision_needs()  # the definitions last as long as this object
os.environ.pop("COLUMNS", None)  # processes of pytest-xdist have it; what is printed here is as wide as in a pipe


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real networks and images: $CONVSCOPE_DATA, or ../shared/data beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CONVSCOPE_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"the real networks and images are not at {folder} (set CONVSCOPE_DATA)")
    return folder
