"""A small network and images whose classes are planted, shared by the tests of answers."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted import planted_images, planted_network
from planted_answers import Told

import convscope as cs


@pytest.fixture(scope="session")
def network() -> cs.Network:
    return planted_network()


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """uint8 `image y x channel`, 21 x 34 pixels, of the classes red, green, blue, grey in turn."""
    images = planted_images(6)
    return np.stack([picture.pixels for picture in images])


@pytest.fixture
def photos(tmp_path: Path, pixels: np.ndarray) -> Path:
    """A folder of the images, a sub-folder for each class, and two files that cannot be read."""
    for i, image in enumerate(pixels[:4]):
        folder = tmp_path / "photos" / ("red", "green", "blue", "grey")[i % 4]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    (tmp_path / "photos" / "red" / "empty.png").write_bytes(b"")
    (tmp_path / "photos" / "blue" / "text <b>.jpg").write_text("not an image")
    return tmp_path / "photos"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Checks that come out as told."""
    stand_in = Told()
    monkeypatch.setattr("convscope.answer.one.check_all", stand_in)
    return stand_in
