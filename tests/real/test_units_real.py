"""Do deconvnet pictures of real networks show what drives their units, and do layers link parts?  SqueezeNet 1.1, MobileNetV2.

Units are drawn by chance over the depth, among those that are alive; each is looked at in its strongest image. Fewer images than
the 800 there are, and fewer units than the figures of the docs are of: the rule is the same.
"""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import convscope as cs
from convscope.instruments.appearance.correspondence import correspondence
from convscope.instruments.appearance.covering import Covered, cover
from convscope.instruments.appearance.deconvnet_picture import Projection, project
from convscope.sweep.engine import gauges_for, keys_of, sweep
from convscope.sweep.gauges import Exemplars

pytestmark = pytest.mark.data
N_IMAGES, N_LAYERS, N_UNITS = 120, 9, 3
SPECS = {
    "squeezenet": ("torchvision:squeezenet1_1", "squeezenet1_1_imagenet.safetensors"),
    "mobilenet": ("timm:mobilenetv2_100?pad_type=same", "mobilenetv2_100_imagenet.safetensors"),
}


@cache
def loaded(name: str, data_dir: Path) -> cs.Network:
    spec, weights = SPECS[name]
    return cs.load(spec, weights=data_dir / "weights" / weights)


@cache
def checked(name: str, data_dir: Path) -> list[tuple[Projection, Covered]]:
    """The picture of each unit drawn, and what covering it does."""
    net = loaded(name, data_dir)
    paths = sorted((data_dir / "images" / "imagenet1k_sample").iterdir())
    chance = np.random.default_rng(0)
    images = cs.images([paths[i] for i in chance.permutation(len(paths))[:N_IMAGES]])
    known = [row.name for row in net.layers if row.kind in ("activation", "sum", "concat")]
    layers = [known[i] for i in np.linspace(0, len(known) - 1, N_LAYERS).round().astype(int)]
    gauges = {}
    for layer in layers:
        saturates = net.layers[layer].op == "relu6"
        gauges |= gauges_for(net, [layer], lambda n, saturates=saturates: [Exemplars(n, 1, saturates)])
    sweep(net, images, gauges)
    index_of, found = np.argsort(keys_of(images)), []
    for layer in layers:
        table = gauges[layer]["exemplars"].result()
        for unit in chance.choice(np.flatnonzero(table.values[:, 0] > 0), N_UNITS, replace=False).tolist():
            inputs = net.preprocess(images[int(index_of[table.keys[unit, 0]])])
            (one,) = project(net, inputs, layer, [unit], [(int(table.y[unit, 0]), int(table.x[unit, 0]))])
            assert one.value == pytest.approx(float(table.values[unit, 0]), rel=1e-3)
            found.append((one, cover(net, inputs, one.place, one.seen, one.energy)))
    return found


@pytest.mark.parametrize("name", SPECS)
def test_all_energy_lies_in_what_the_neuron_sees(name: str, data_dir: Path) -> None:
    """And where nothing arrives at the pixels, the picture says so, and is not checked."""
    for picture, covered in checked(name, data_dir):
        if picture.energy.any():
            assert picture.inside_frac == pytest.approx(1, abs=1e-12)
            assert covered.ran
        else:
            assert "Nothing of the neuron arrives" in " ".join(picture.notes)
            assert not covered.ran


@pytest.mark.parametrize("name", SPECS)
def test_what_they_mark_drives_the_units(name: str, data_dir: Path) -> None:
    """The tenth of the pixels with most energy, covered: twice what random pixels do in 70 %, more than elsewhere in 80 %."""
    ran = [covered for _, covered in checked(name, data_dir) if covered.ran]
    assert len(ran) >= 0.9 * N_LAYERS * N_UNITS
    assert all(one.share == pytest.approx(0.1, abs=0.03) for one in ran if one.n_px > 9)
    assert np.mean([one.beyond_random for one in ran]) >= 0.7
    assert np.mean([one.beyond_shifted for one in ran]) >= 0.8
    if name == "squeezenet":  # in MobileNetV2 a disc in the middle of the field does as much as the pictures
        assert np.mean([one.beyond_random for one in ran]) >= np.mean([one.centre_passes for one in ran])


# Correspondence (Zeiler and Fergus, Table 1) on faces

N_FACES = 14
PARTS = {"left eye": (slice(42, 48), 14, 20), "nose": (slice(27, 36), 20, 20)}  # keypoints; half height and width, px


@cache
def faces(data_dir: Path) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """Faces cut out a little differently each, `batch channel y x`; a box round each part, and as large a one anywhere."""
    net, folder = loaded("squeezenet", data_dir), data_dir / "datasets" / "faces" / "keypoints68"
    with (folder / "keypoints68.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    chance, inputs = np.random.default_rng(0), []
    boxes: dict[str, list[list[int]]] = {name: [] for name in (*PARTS, "anywhere")}
    for i in chance.permutation(len(rows))[:N_FACES]:
        points = np.array(rows[i][1:], float).reshape(68, 2)  # x y
        half = np.ptp(points, 0).max() * chance.uniform(0.75, 1.1)
        corner = points.mean(0) + chance.uniform(-0.15, 0.15, 2) * half - half
        with Image.open(folder / "images" / rows[i][0]) as photo:
            box = (*corner, *(corner + 2 * half))
            cut = photo.convert("RGB").transform((224, 224), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
        inputs.append(net.preprocess(np.asarray(cut)))
        for name, (which, high, wide) in PARTS.items():
            x, y = ((points - corner) * 112 / half)[which].mean(0).clip(24, 200)
            boxes[name].append([int(y) - high, int(x) - wide, int(y) + high, int(x) + wide])
        y, x = chance.integers(24, 200, 2)
        boxes["anywhere"].append([y - 14, x - 20, y + 14, x + 20])
    return torch.cat(inputs), {name: np.array(of) for name, of in boxes.items()}


def test_units_link_eyes_and_noses_of_faces_and_nothing_that_is_anywhere(data_dir: Path) -> None:
    """By the mean of each map, a part changes the same units in all faces. Position by position, its place alone explains that."""
    net, layer = loaded("squeezenet", data_dir), "features.12.cat"
    inputs, boxes = faces(data_dir)
    for name, of in boxes.items():
        (found,) = correspondence(net, inputs, of, [layer], n_draws=4, n_bootstrap=200, pooled=True)
        assert found.linked == (name != "anywhere"), found.words
    (by_place,) = correspondence(net, inputs, boxes["nose"], ["features.7.cat"], n_draws=4, n_bootstrap=200)
    assert by_place.ratio.high < 0.9
    assert by_place.ratio_together.value > 0.95
    assert not by_place.linked
