"""Do the real networks reach the accuracy they are known for, read through `convscope check`?"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import convscope as cs
from convscope.cli import main

pytestmark = [pytest.mark.data, pytest.mark.slow]
NETWORKS = str(Path(__file__).parents[1] / "networks.py")
SAMPLE = "images/imagenet1k_sample"
CIFAR = "datasets/cifar10/test_10000.npz"
CAFFE = (
    "--size",
    "227",
    "--resize",
    "256",
    "--channels",
    "BGR",
    "--scale",
    "255",
    "--mean",
    "104,117,123",
    "--std",
    "1,1,1",
)
HALF = ("--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5")

# spec, weights, images, options; top-1 and top-5 in percent as stated beside the data, and how far ours may be off: one image of
# 800 where pixels are the same; the published crop of MobileNetV2 differs by a rounding of its preprocessing.
KNOWN = [
    ("torchvision:squeezenet1_1", "squeezenet1_1_imagenet", SAMPLE, (), 61.1, 84.0, 0.15),
    ("torchvision:squeezenet1_0", "squeezenet1_0_imagenet", SAMPLE, CAFFE, 62.9, 83.0, 0.15),
    ("timm:mobilenetv2_100?pad_type=same", "mobilenetv2_100_imagenet", SAMPLE, HALF, 87.0, 97.6, 0.6),
    (f"{NETWORKS}:tiny_darknet", "tiny_darknet_imagenet", SAMPLE, ("CLASSES",), 65.3, 86.8, 0.15),
    (f"{NETWORKS}:resnet20", "resnet20_cifar10", CIFAR, (), 91.73, None, 0.02),
    (f"{NETWORKS}:resnet56", "resnet56_cifar10", CIFAR, (), 93.39, None, 0.02),
]


@pytest.mark.parametrize(
    ("spec", "weights", "images", "options", "top1", "top5", "off"), KNOWN, ids=lambda v: str(v)[-24:]
)
def test_accuracy_is_what_it_is_known_to_be(
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    spec: str,
    weights: str,
    images: str,
    options: tuple[str, ...],
    top1: float,
    top5: float | None,
    off: float,
) -> None:
    if options == ("CLASSES",):
        options = ("--classes", str(data_dir / "labels" / "imagenet_classes.json"))
    path = str(data_dir / "weights" / f"{weights}.safetensors")
    # As many as equality is tested on; how fast the formats are is not asked here.
    monkeypatch.setattr("convscope.network.check.MOST_EXAMPLES", 4)
    with pytest.raises(SystemExit) as stopped:
        main(["check", spec, str(data_dir / images), "--weights", path, "--json", "--quiet", *options])
    assert not stopped.value.code
    found = json.loads(capsys.readouterr().out)
    assert found["graph_difference"] <= 1e-5
    assert found["folded_difference"] <= 1e-4
    assert not found["missing_rules"]
    assert not found["problems"]
    assert 100 * found["accuracy"]["top1"]["value"] == pytest.approx(top1, abs=off)
    if top5 is not None:
        assert 100 * found["accuracy"]["top5"]["value"] == pytest.approx(top5, abs=off)


def face_net(data_dir: Path, name: str) -> cs.Network:
    return cs.load(f"{NETWORKS}:{name}", weights=data_dir / "weights" / f"{name}_face.safetensors")


@pytest.mark.parametrize(
    ("name", "accepted", "rejected"), [("pnet", 1.0, 0.973), ("rnet", 1.0, 0.993), ("onet", 1.0, 0.995)]
)
def test_face_detectors_accept_faces_and_reject_scenes(
    data_dir: Path, name: str, accepted: float, rejected: float
) -> None:
    net = face_net(data_dir, f"mtcnn_{name}")
    faces = np.load(data_dir / "datasets" / "faces" / "orl_faces.npz")
    shown = [square(face, points) for face, points in zip(faces["images"], faces["landmarks_5pt_xy"], strict=True)]
    rng = np.random.default_rng(0)
    scenes = [crop(path, rng) for path in sorted((data_dir / SAMPLE).iterdir())[:400]]
    assert face_share(net, shown) >= accepted - 0.01
    assert 1 - face_share(net, scenes) >= rejected - 0.03  # other random crops than those of the statement


def face_share(net: cs.Network, pictures: list[np.ndarray]) -> float:
    """The share of pictures taken for a face with more than 0.7."""
    with torch.no_grad():
        return float((net(net.preprocess(pictures)).softmax(1)[:, 1] > 0.7).float().mean())


def square(face: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The square round five landmarks that a detector would look at, as RGB."""
    center, extent = points.mean(axis=0), np.ptp(points, axis=0).max() * 2.2
    left, top = center - extent / 2
    return np.asarray(Image.fromarray(face).convert("RGB").crop((left, top, left + extent, top + extent)))


def crop(path: Path, rng: np.random.Generator) -> np.ndarray:
    picture = Image.open(path).convert("RGB")
    side = int(rng.integers(24, min(picture.size)))
    left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
    return np.asarray(picture.crop((left, top, left + side, top + side)))


TEMPLATE = np.array([(38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20)])


def test_face_embedding_recognizes_people(data_dir: Path) -> None:
    net = face_net(data_dir, "mobilefacenet")
    faces = np.load(data_dir / "datasets" / "faces" / "orl_faces.npz")
    aligned = [align(face, points) for face, points in zip(faces["images"], faces["landmarks_5pt_xy"], strict=True)]
    with torch.no_grad():
        embedded = torch.nn.functional.normalize(
            torch.cat([net(net.preprocess(aligned[i : i + 50])) for i in range(0, 400, 50)])
        )
    alike = embedded @ embedded.T
    alike.fill_diagonal_(-1)
    person = torch.from_numpy(faces["person"])
    assert float((person[alike.argmax(1)] == person).float().mean()) >= 0.995  # rank-1, stated as 100 %


def align(face: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The face moved, turned and scaled (least squares) so that its landmarks fall on the template, 112 x 112 RGB."""
    n = len(points)
    rows = np.zeros((2 * n, 4))
    rows[:n] = np.stack([TEMPLATE[:, 0], -TEMPLATE[:, 1], np.ones(n), np.zeros(n)], axis=1)
    rows[n:] = np.stack([TEMPLATE[:, 1], TEMPLATE[:, 0], np.zeros(n), np.ones(n)], axis=1)
    a, b, dx, dy = np.linalg.lstsq(rows, np.concatenate([points[:, 0], points[:, 1]]), rcond=None)[0]
    picture = Image.fromarray(face).convert("RGB")
    return np.asarray(
        picture.transform((112, 112), Image.Transform.AFFINE, (a, -b, dx, b, a, dy), Image.Resampling.BILINEAR)
    )
