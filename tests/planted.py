"""Networks and images whose answers are known, because they were planted: dead units, copies, units for one thing alone."""

from functools import cache

import numpy as np
import torch
from torch import nn

import convscope as cs

SIZE = (21, 34)  # y x
CLASSES = ("red", "green", "blue", "grey")
DEAD = {"relu1": (1, 5, 9, 20), "relu2": (0, 3, 11)}
COPIES = {"relu1": ((2, 7), (4, 13)), "relu2": ((6, 10),)}  # (a unit, the one that repeats it up to scale)
FOR_BLUE = ("relu1", 6)  # fires where a pixel is bluer than red and green together, which blue images alone have


class Planted(nn.Sequential):
    """Two convolutions and a dense layer, seven units of which are dead and three of which repeat another."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 3, padding=1)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(24, 16, 3, stride=2)
        self.relu2 = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(16, len(CLASSES))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for conv, scale in ((self.conv1, 0.3), (self.conv2, 0.05), (self.fc, 0.3)):
                conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator) * scale)
                conv.bias.copy_(
                    torch.rand(conv.bias.shape, generator=generator) * 0.2 + 0.5
                )  # they answer to all classes
            for conv, layer in ((self.conv1, "relu1"), (self.conv2, "relu2")):
                for i, (first, second) in enumerate(COPIES[layer]):
                    conv.weight[second], conv.bias[second] = conv.weight[first] * (1 + i), conv.bias[first] * (1 + i)
                conv.bias[list(DEAD[layer])] = -1000
            unit = FOR_BLUE[1]
            self.conv1.weight[unit] = 0
            self.conv1.weight[unit, :, 1, 1] = torch.tensor([-1.0, -1.0, 1.0])
            self.conv1.bias[unit] = -0.2


def planted_network() -> cs.Network:
    settings = {"resize": None, "crop": SIZE, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    return cs.load(Planted().eval(), size=SIZE, preprocess=settings, classes=CLASSES)


def planted_images(n: int = 120, seed: int = 0) -> cs.Images:
    """Noise in which no pixel is coloured, with a patch of the class's colour somewhere."""
    rng = np.random.default_rng(seed)
    pixels = np.repeat(rng.integers(60, 200, (n, *SIZE, 1)), 3, axis=3).astype(np.uint8)
    labels = np.arange(n) % len(CLASSES)
    for image, label in zip(pixels, labels, strict=True):
        y, x = rng.integers(0, SIZE[0] - 6), rng.integers(0, SIZE[1] - 8)
        color = (30, 30, 30) if CLASSES[label] == "grey" else np.eye(3)[label] * 220 + 10
        image[y : y + 6, x : x + 8] = color
    return cs.images(pixels, labels=[CLASSES[label] for label in labels])


# Detectors: what each unit answers to is written into its weights

DARK, LIGHT, RED, EDGE = range(4)  # units of the first layer
WHEEL, RING, RED_2, EDGE_2 = range(4)  # of the second
RADIUS = 5.6  # of the wheel's tyre, px
DIRECTION_DEG = 45  # of the edge, counter-clockwise from horizontal


class Detectors(nn.Sequential):
    """Dark, light, red and an edge of 45 deg; then a wheel (a dark tyre, a light hub) and a light ring; max-pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 4, 7), nn.ReLU()
        self.conv2, self.relu2, self.pool = nn.Conv2d(4, 4, 17, padding=8), nn.ReLU(), nn.MaxPool2d(2)
        with torch.no_grad():
            for conv in (self.conv1, self.conv2):
                conv.weight.zero_()
                conv.bias.zero_()
            first, second = self.conv1, self.conv2
            first.weight[DARK, :, 3, 3], first.bias[DARK] = -1 / 3, 0.3
            first.weight[LIGHT, :, 3, 3], first.bias[LIGHT] = 1 / 3, -0.3
            first.weight[RED, :, 2:5, 2:5] = torch.tensor([1.0, -0.6, -0.6])[:, None, None] / 9
            first.bias[RED] = 0.12  # a little on where all is grey: a picture can be climbed to from there
            first.weight[EDGE] = torch.from_numpy(edge_45()).float()
            y, x = np.mgrid[:17, :17] - 8.0
            r = np.hypot(y, x)
            tyre, hub, around = wheel_parts(r)
            on_ring, off_ring = (r > 4.2) & (r < 5.8), (r < 3.4) | ((r > 6.6) & (r < 8.2))
            for unit, where, weight in (
                ((WHEEL, DARK), tyre, 2.0),
                ((WHEEL, LIGHT), tyre, -2.0),
                ((WHEEL, LIGHT), hub, 1.0),
                ((WHEEL, DARK), hub, -2.0),
                ((WHEEL, DARK), around, -4.0),
                ((RING, LIGHT), on_ring, 1.0),
                ((RING, LIGHT), off_ring, -1.0),
            ):
                second.weight[unit] += torch.from_numpy(weight * where / where.sum()).float()
            second.weight[RED_2, RED, 8, 8] = second.weight[EDGE_2, EDGE, 8, 8] = 1
            second.bias[RING] = -0.05

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs).mean((2, 3))


def wheel_parts(r: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where, by distance from its middle, the tyre, the hub and the surroundings of the wheel are."""
    return (r > 0.5 * RADIUS) & (r < RADIUS), r < 0.45 * RADIUS, (r > RADIUS + 1) & (r < RADIUS + 2.5)


def edge_45() -> np.ndarray:
    """Light on the upper left, dark on the lower right of a line that rises to the right, alike in all channels."""
    y, x = np.mgrid[:7, :7] - 3.0
    across, along = -(x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    kernel = across * np.exp(-(across**2) / 2 - along**2 / 18)
    return np.stack([kernel / np.abs(kernel).sum()] * 3)


@cache
def detectors(size: tuple[int, int] = (64, 64)) -> cs.Network:
    """The detectors for images of a size (y x)."""
    settings = {"resize": None, "crop": size, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    return cs.load(Detectors().eval(), size=size, preprocess=settings)
