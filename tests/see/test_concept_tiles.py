"""Is what stands under a picture of a concept what the counts would say of that image?"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import convscope as cs
from convscope.images import Picture, Preprocess
from convscope.images.concepts.concept import Concept, Masks
from convscope.instruments.concepts.dissect import labels_of
from convscope.see.shown_concept import Answer, overlap, where_section

SIZE = (18, 26)  # y x
THERE, VOID, REST = slice(0, 8), slice(8, 14), slice(14, 26)  # columns


@dataclass(frozen=True)
class Given:
    """A concept on the left, of whose right side nothing is known."""

    per_pixel = True
    concepts = (Concept("left", "object"), Concept("top", "object"))

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        values, void = np.zeros((2, 2, *SIZE), bool)
        values[0, :, THERE], void[0, :, VOID] = True, True
        values[1, :5] = True
        return Masks(values, np.ones(2, bool), void)

    def strays(self, ids: Collection[str]) -> tuple[()]:
        return ()


def test_void_pixels_count_neither_for_nor_against() -> None:
    """The unit is on at the concept and all over what is void: IoU 1 of what is known, 8 / 14 of all pixels."""
    pixels = np.full((6, *SIZE, 3), 20, np.uint8)
    pixels[:, :, THERE] = pixels[:, :, VOID] = (230, 20, 20)
    conv = nn.Conv2d(3, 1, 1)
    with torch.no_grad():
        conv.weight[0, :, 0, 0], conv.bias[0] = torch.tensor([1.0, -1, -1]), 0
    recipe = {"resize": None, "crop": SIZE, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    module = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    net = cs.load(module.eval(), size=SIZE, preprocess=recipe)
    labels = labels_of(net, cs.images(pixels), (Given(),))
    section = where_section(net, labels, 0, "left", [Answer("0:0", "1", lambda values: values[0] > 0.1)])
    assert section is not None
    assert len(section.tiles) == 3  # the half that measures
    assert {tile.words for tile in section.tiles} == {"0:0: IoU 1.00 in this image."}
    section = where_section(net, labels, 1, "top", [Answer("0:0", "1", lambda values: values[0] > 0.1)])
    assert section is not None  # of the other all is known
    expected = 5 * 14 / (5 * 26 + 18 * 14 - 5 * 14)
    assert section.tiles[0].words == f"0:0: IoU {expected:.2f} in this image."


def test_where_all_is_void_nothing_overlaps() -> None:
    every = np.ones((3, 4), bool)
    assert overlap(every, every, ~every) == 0
    assert overlap(every, every, every) == 1
    assert overlap(np.eye(4, dtype=bool), np.eye(4, dtype=bool)[::-1], np.arange(4) < 2) == pytest.approx(0)
